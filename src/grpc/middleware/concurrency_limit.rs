//! A place for every call that is under way, from its headers to its answer's last byte: who finds none is turned away, and
//! the end waits until all are free again. No caller holds more than its share of them.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::authorization::Origin;
use super::connections::ActiveCall;
use super::health_watches::{HealthWatches, WatchPermit};
use super::limits::Kind;
use super::rate_limit::CallerRateLimits;
use super::reauthorization::{CallersWatch, Reauthorization};
use super::rejection::{Refusal, trailers};
use super::response_stream;
use super::shares::{CallerShares, SharePermit};
use crate::grpc::server::Limits;

/// The services that a caller's rate does not count: probes, and what tells the rates themselves.
const UNCOUNTED: [&str; 2] = ["/grpc.health.v1.", "/c1.ratelimit.v1."];

/// How many calls and streams may be under way, over all connections, and whether any may be begun at all.
#[derive(Debug, Clone)]
pub(crate) struct ConcurrencyLimits {
    max_calls: usize,
    calls: Arc<Semaphore>,
    call_shares: Arc<CallerShares>,
    streams: Arc<Semaphore>,
    stream_shares: Arc<CallerShares>,
    watches: Arc<HealthWatches>,
    watch_shares: Arc<CallerShares>,
    rates: Option<Arc<CallerRateLimits>>,
    ending: CancellationToken,
}

/// What a call holds until its response is sent.
#[derive(Debug, Default)]
struct Permit {
    _place: Option<OwnedSemaphorePermit>,
    _watch: Option<WatchPermit>,
    _share: Option<SharePermit>,
}

impl ConcurrencyLimits {
    /// All of them free, until `ending`.
    pub(crate) fn until(ending: CancellationToken, limits: &Limits, calls_per_second: Option<NonZeroU32>) -> Self {
        Self {
            max_calls: limits.calls,
            calls: Arc::new(Semaphore::new(limits.calls)),
            call_shares: CallerShares::half_of(limits.calls),
            streams: Arc::new(Semaphore::new(limits.streams)),
            stream_shares: CallerShares::half_of(limits.streams),
            watches: HealthWatches::new(limits.streams),
            watch_shares: CallerShares::half_of(limits.streams),
            rates: calls_per_second.map(|rate| Arc::new(CallerRateLimits::new(rate))),
            ending,
        }
    }

    pub(crate) fn bound<S>(&self, inner: S) -> Bounded<S> {
        Bounded {
            inner,
            places: self.clone(),
        }
    }

    /// Resolves once every call is finished. To be asked at the end, when none is begun any more.
    pub(crate) async fn free(&self) {
        let all = u32::try_from(self.max_calls).unwrap_or(u32::MAX);
        // It fails only where the semaphore is closed, and nobody closes it.
        let _ = self.calls.acquire_many(all).await;
    }

    /// Forgets what the rate limits need not know of callers any more.
    pub(crate) fn forget_idle_callers(&self) {
        if let Some(rates) = &self.rates {
            rates.forget_idle();
        }
    }

    /// Takes a place for a call of `caller`, or of a stranger, whose watch `superseded` ends.
    fn take(
        &self,
        path: &str,
        caller: Option<&Arc<str>>,
        superseded: Option<&CancellationToken>,
    ) -> Result<Permit, Refusal> {
        let kind = Kind::of(path);
        let (places, shares) = match kind {
            Kind::Probe => return Ok(Permit::default()),
            Kind::Watch => (None, &self.watch_shares),
            Kind::Stream => (Some(&self.streams), &self.stream_shares),
            Kind::Call => (Some(&self.calls), &self.call_shares),
        };
        if self.ending.is_cancelled() {
            return Err(Refusal::Ending);
        }
        if let Some(rates) = &self.rates
            && !UNCOUNTED.iter().any(|uncounted| path.starts_with(uncounted))
        {
            rates.check(caller).map_err(Refusal::RateExceeded)?;
        }
        let share = caller.map(|caller| shares.acquire(caller).ok_or(Refusal::Overloaded));
        let share = share.transpose()?;
        let (place, watch) = match places {
            Some(places) => (Arc::clone(places).try_acquire_owned().ok(), None),
            None => (None, self.watches.acquire(superseded.cloned())),
        };
        if place.is_none() && watch.is_none() {
            return Err(Refusal::Overloaded);
        }
        Ok(Permit {
            _place: place,
            _watch: watch,
            _share: share,
        })
    }
}

/// The service that turns calls away where there are too many, or the end has come.
#[derive(Debug, Clone)]
pub(crate) struct Bounded<S> {
    inner: S,
    places: ConcurrencyLimits,
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let origin = request.extensions_mut().remove::<Origin>();
        let path = request.uri().path();
        let kind = Kind::of(path);
        let caller = origin.as_ref().and_then(|origin| origin.caller.as_ref());
        // A stranger's watch ends for another one, and with a connection that makes way.
        let superseded = origin
            .as_ref()
            .filter(|origin| kind == Kind::Watch && origin.caller.is_none())
            .map(|origin| origin.connection.evicted().child_token());
        let permit = match self.places.take(path, caller, superseded.as_ref()) {
            Ok(permit) => permit,
            Err(refusal) => return futures::future::ready(Ok(Status::from(refusal).into_http())).boxed(),
        };
        let ending = matches!(kind, Kind::Watch | Kind::Stream).then(|| self.places.ending.clone());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await?;
            Ok(answer.map(|body| {
                let mut held = Held::new(body, permit, ending);
                held.superseded = superseded.map(|token| Box::pin(token.cancelled_owned()));
                held.callers = origin.and_then(|origin| {
                    held.active_call = origin.active_call;
                    origin.reauthorization.map(Reauthorization::watch)
                });
                Body::new(held)
            }))
        }
        .boxed()
    }
}

/// An answer that holds its place until it is gone; a stream's ends when the server does, or its caller may not have it any
/// more.
struct Held {
    body: Body,
    permit: Option<Permit>,
    active_call: Option<ActiveCall>,
    ending: Option<Ending>,
    superseded: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    callers: Option<CallersWatch>,
    over: bool,
}

struct Ending {
    token: CancellationToken,
    come: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Held {
    fn new(body: Body, permit: Permit, ending: Option<CancellationToken>) -> Self {
        let ending = ending.map(|token| Ending {
            come: Box::pin(token.clone().cancelled_owned()),
            token,
        });
        Self {
            body,
            permit: Some(permit),
            active_call: None,
            ending,
            superseded: None,
            callers: None,
            over: false,
        }
    }

    fn goodbye(&mut self, refusal: Refusal) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.over = true;
        self.permit = None;
        self.active_call = None;
        Poll::Ready(Some(trailers(&refusal.into())))
    }

    /// Why nothing more of a stream may be sent, once that is so.
    fn poll_revoked(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        if let Some(callers) = &mut self.callers
            && let Poll::Ready(refusal) = callers.poll(context)
        {
            return Poll::Ready(refusal);
        }
        match &mut self.superseded {
            Some(superseded) => superseded.as_mut().poll(context).map(|()| Refusal::Overloaded),
            None => Poll::Pending,
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(refusal) = self.poll_revoked(context) {
            return self.goodbye(refusal);
        }
        // What is there to be said is said first: that nothing is served any more, for one.
        let next = Pin::new(&mut self.body).poll_frame(context);
        let Some(ending) = &mut self.ending else {
            return next;
        };
        match next {
            Poll::Pending if ending.come.as_mut().poll(context).is_ready() => self.goodbye(Refusal::Ending),
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() && ending.token.is_cancelled() => {
                self.goodbye(Refusal::Ending)
            }
            other => other,
        }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.get_mut().poll_next(context);
        match &next {
            Poll::Ready(_) => response_stream::frame_offered(),
            Poll::Pending => response_stream::nothing_to_send(),
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
