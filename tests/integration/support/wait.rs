//! Waiting for a condition. The bound only keeps a test that cannot succeed from hanging: it is not a time budget.

use std::time::Duration;

/// Longer than any step of a test takes, also on a busy machine.
pub const BOUND: Duration = Duration::from_secs(120);

/// Between two evaluations of a condition in memory, which costs nothing.
const INTERVAL: Duration = Duration::from_millis(2);

/// Between two evaluations of an asynchronous condition, which mostly sends a request.
const REQUEST_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until a condition holds.
pub async fn until(condition: impl Fn() -> bool) {
    let held = async {
        while !condition() {
            tokio::time::sleep(INTERVAL).await;
        }
    };
    within("the condition", held).await;
}

/// Waits until an asynchronous condition holds; `what` names it where it never does.
pub async fn until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let held = async {
        while !condition().await {
            tokio::time::sleep(REQUEST_INTERVAL).await;
        }
    };
    within(what, held).await;
}

/// Waits for a future that completes; `what` names it where it never does.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(output) = tokio::time::timeout(BOUND, future).await else {
        panic!("not after {} s: {what}", BOUND.as_secs())
    };
    output
}
