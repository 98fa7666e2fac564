//! What a caller may ask of this process at once: each a constant with its reason. Too much is `OVERLOADED`, said at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tower::Service;

use super::refusal::Refusal;

/// Connections open at once. A platform needs one; a flood of them is dropped before it costs a handshake.
pub(super) const CONNECTIONS: usize = 512;

/// Calls under way at once on one connection: above what a platform with many workers makes, below what fills memory.
pub(super) const CALLS_PER_CONNECTION: u32 = 256;

/// Calls under way in all. Buildkite answers 16 requests at once at most; a thousand callers already wait for minutes.
const CALLS: usize = 1024;

/// Bytes of a call's headers: a bearer, a trace and a request id are a few hundred.
pub(super) const HEADERS: u32 = 16 * 1024;

/// A TLS handshake takes two round trips; who needs longer is not shaking hands.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// A client that is gone without a word is noticed within twice this time.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Time for one call whose caller names no deadline: two windows of rate limit, and the writes that wait for them.
pub(super) const CALL: Duration = Duration::from_secs(300);

/// How many calls may be under way, over all connections.
#[derive(Debug, Clone)]
pub(super) struct Calls(Arc<Semaphore>);

impl Calls {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CALLS)))
    }

    pub(super) fn bound<S>(&self, inner: S) -> Bounded<S> {
        Bounded {
            inner,
            calls: self.clone(),
        }
    }
}

/// The service that turns calls away where there are too many.
#[derive(Debug, Clone)]
pub(super) struct Bounded<S> {
    inner: S,
    calls: Calls,
}

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Probes are cheap, and one that is turned away would restart the process in its worst minute.
        if request.uri().path().starts_with("/grpc.health.v1.Health/") {
            return self.inner.call(request).boxed();
        }
        let Ok(permit) = Arc::clone(&self.calls.0).try_acquire_owned() else {
            let response = tonic::Status::from(Refusal::Overloaded).into_http();
            return async move { Ok(response) }.boxed();
        };
        let answer = self.inner.call(request);
        async move {
            let _permit = permit;
            answer.await
        }
        .boxed()
    }
}
