//! Calls that go on while something is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::wait::until_async;

/// Clients that call continuously and must not fail.
pub struct Load {
    over: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    callers: JoinSet<()>,
}

impl Load {
    pub fn of<F: Future<Output = Result<(), tonic::Status>> + Send>(
        call: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let (over, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let (over, made, call) = (Arc::clone(&over), Arc::clone(&made), call.clone());
            callers.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    call().await.unwrap();
                    made.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
        Self { over, made, callers }
    }

    /// Waits for 20 more calls.
    pub async fn goes_on(&self) {
        let before = self.made.load(Ordering::Relaxed);
        until_async("the load goes on", async || {
            self.made.load(Ordering::Relaxed) >= before + 20
        })
        .await;
    }

    /// Ends it: none has failed.
    pub async fn ends(mut self) {
        self.goes_on().await;
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
    }
}
