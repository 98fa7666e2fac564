//! A place for every call that is under way, from its headers to its answer's last byte: who finds none is turned away, and
//! the end waits until all are free again.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::bounds::{self, Kind};
use super::refusal::Refusal;

/// How many calls and streams may be under way, over all connections, and whether any may be begun at all.
#[derive(Debug, Clone)]
pub(super) struct Places {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    ending: CancellationToken,
}

impl Places {
    /// All of them free, until `ending`.
    pub(super) fn until(ending: CancellationToken) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(bounds::CALLS)),
            streams: Arc::new(Semaphore::new(bounds::STREAMS)),
            watches: Arc::new(Semaphore::new(bounds::STREAMS)),
            ending,
        }
    }

    pub(super) fn bound<S>(&self, inner: S) -> Bounded<S> {
        Bounded {
            inner,
            places: self.clone(),
        }
    }

    /// Resolves once every call is finished. To be asked at the end, when none is begun any more.
    pub(super) async fn free(&self) {
        let all = u32::try_from(bounds::CALLS).unwrap_or(u32::MAX);
        // It fails only where the semaphore is closed, and nobody closes it.
        let _ = self.calls.acquire_many(all).await;
    }

    fn take(&self, kind: Kind) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let places = match kind {
            Kind::Probe => return Ok(None),
            Kind::Watch => &self.watches,
            Kind::Stream => &self.streams,
            Kind::Call => &self.calls,
        };
        if self.ending.is_cancelled() {
            return Err(Refusal::Ending);
        }
        let place = Arc::clone(places).try_acquire_owned();
        place.map(Some).map_err(|_| Refusal::Overloaded)
    }
}

/// The service that turns calls away where there are too many, or the end has come.
#[derive(Debug, Clone)]
pub(super) struct Bounded<S> {
    inner: S,
    places: Places,
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
        let kind = Kind::of(request.uri().path());
        let place = match self.places.take(kind) {
            Ok(place) => place,
            Err(refusal) => return futures::future::ready(Ok(Status::from(refusal).into_http())).boxed(),
        };
        let ending = matches!(kind, Kind::Watch | Kind::Stream).then(|| self.places.ending.clone());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Body::new(Held::new(body, place, ending))))
        }
        .boxed()
    }
}

/// An answer that holds its place until it is gone; a stream's ends when the server does.
struct Held {
    body: Body,
    _place: Option<OwnedSemaphorePermit>,
    ending: Option<Ending>,
    over: bool,
}

struct Ending {
    token: CancellationToken,
    come: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Held {
    fn new(body: Body, place: Option<OwnedSemaphorePermit>, ending: Option<CancellationToken>) -> Self {
        let ending = ending.map(|token| Ending {
            come: Box::pin(token.clone().cancelled_owned()),
            token,
        });
        Self {
            body,
            _place: place,
            ending,
            over: false,
        }
    }

    fn goodbye(&mut self) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.over = true;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(match Status::from(Refusal::Ending).add_header(&mut trailers) {
            Ok(()) => Ok(Frame::trailers(trailers)),
            Err(status) => Err(status),
        }))
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        // What is there to be said is said first: that nothing is served any more, for one.
        let next = Pin::new(&mut this.body).poll_frame(context);
        let Some(ending) = &mut this.ending else {
            return next;
        };
        match next {
            Poll::Pending if ending.come.as_mut().poll(context).is_ready() => this.goodbye(),
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() && ending.token.is_cancelled() => this.goodbye(),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
