//! A gate that holds answers back until a test opens it: what is to happen meanwhile happens, however busy the machine is.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Closed until it is opened, and open from then on. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets through whatever is held back, and whatever comes.
    pub fn open(&self) {
        self.0.close();
    }

    /// Resolves once the gate is open.
    pub(in crate::sandbox) async fn passed(&self) {
        // No permit is ever there: it ends when the semaphore is closed.
        let _ = self.0.acquire().await;
    }
}
