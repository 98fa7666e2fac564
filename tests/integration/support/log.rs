//! The log of one thread. A test whose runtime has no other thread captures what its own tasks log, and nothing else.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level};
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::MakeWriter;

/// While one subscriber alone exists, the library takes the interest in a call site from the thread that reaches it first, which may
/// have no subscriber. Two more that never end, and that no thread uses, prevent that a call site is disabled for all threads.
static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();

/// Everything that was logged so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures events up to `level` until the guard is dropped.
    pub fn capture(level: Level) -> (Self, DefaultGuard) {
        OTHERS.get_or_init(|| [0; 2].map(|_| Dispatch::new(Registry::default())));
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
