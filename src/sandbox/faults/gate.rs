//! A gate that holds responses back until a test opens it, so that a test can act in the meantime without a timeout.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Closed until it is opened, then open for good. Clones share one state.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Opens the gate for all waiting and later requests.
    pub fn open(&self) {
        self.0.close();
    }

    /// Waits until the gate is open.
    pub(in crate::sandbox) async fn wait(&self) {
        // The semaphore never has a permit: this returns once it is closed.
        let _ = self.0.acquire().await;
    }
}
