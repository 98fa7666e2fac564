//! The task that drives one HTTP/2 stream, and what the response body reports to it.
//!
//! hyper does not poll a response body while it holds a frame for which the client's flow-control window has no room. The body
//! cannot end itself then, so the task ends the stream: it drops the response, which releases its permits, and h2 resets the
//! stream.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::limits;

tokio::task_local! {
    static RESPONSE: Response;
}

/// What is known of a stream's response. Only the stream's own task uses it.
#[derive(Debug, Default)]
struct Response {
    /// When the body returned the frame that is being sent; none while the body itself is waited for.
    offered_at: Cell<Option<Instant>>,
    /// When the whole response must have been sent.
    deadline: Cell<Option<Instant>>,
    /// Whether the stream was ended because of the deadline.
    deadline_exceeded: Cell<bool>,
}

/// Records that the body returned a frame, which the client has yet to take. Does nothing outside a stream's task.
pub(crate) fn frame_offered() {
    let _ = RESPONSE.try_with(|response| response.offered_at.set(Some(Instant::now())));
}

/// Records that the body has nothing to send for now.
pub(crate) fn nothing_to_send() {
    let _ = RESPONSE.try_with(|response| response.offered_at.set(None));
}

/// Sets the time at which the stream ends although its response is not sent.
pub(crate) fn set_deadline(deadline: Instant) {
    let _ = RESPONSE.try_with(|response| response.deadline.set(Some(deadline)));
}

/// Whether the current stream is being dropped because its deadline passed.
pub(crate) fn deadline_exceeded() -> bool {
    RESPONSE
        .try_with(|response| response.deadline_exceeded.get())
        .unwrap_or(false)
}

/// Runs the streams of a connection.
#[derive(Debug, Clone)]
pub(crate) struct StreamExecutor {
    /// How long a client may leave a frame of a response untaken.
    pub(crate) unread_timeout: Duration,
    /// Cancelled when the server shuts down, which shortens that time.
    pub(crate) shutdown: CancellationToken,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(RESPONSE.scope(Response::default(), drive(stream, self.clone())));
    }
}

/// Drives `stream` to its end, or drops it where its client does not take the response in time.
async fn drive(stream: impl Future<Output = ()>, executor: StreamExecutor) {
    let mut stream = pin!(stream);
    let mut shutdown = pin!(executor.shutdown.cancelled());
    let mut shutdown_at = None;
    let mut timer = Timer::default();
    poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        RESPONSE.with(|response| {
            let Some(offered_at) = response.offered_at.get() else {
                return timer.poll(response.deadline.get(), context).map(|()| expire(response));
            };
            if shutdown_at.is_none() && shutdown.as_mut().poll(context).is_ready() {
                shutdown_at = Some(Instant::now());
            }
            let unread = match shutdown_at {
                None => offered_at + executor.unread_timeout,
                Some(shutdown_at) => offered_at.max(shutdown_at) + limits::FINAL_UNREAD_TIMEOUT,
            };
            let expires_at = response.deadline.get().map_or(unread, |deadline| {
                // The status can only follow the frame.
                unread.min(offered_at.max(deadline) + limits::FINAL_UNREAD_TIMEOUT)
            });
            timer.poll(Some(expires_at), context).map(|()| expire(response))
        })
    })
    .await;
}

/// Notes why the stream ends before it is dropped.
fn expire(response: &Response) {
    let passed = response
        .deadline
        .get()
        .is_some_and(|deadline| Instant::now() >= deadline);
    response.deadline_exceeded.set(passed);
    tracing::info!(
        deadline_exceeded = passed,
        "a response was dropped because its client did not take it"
    );
}

/// A timer that is made when it is first needed, and moved when its time changes.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, expires_at: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(expires_at) = expires_at else {
            return Poll::Pending;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(expires_at)));
        if sleep.deadline() != expires_at {
            sleep.as_mut().reset(expires_at);
        }
        sleep.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests;
