//! Concurrency limits. A call holds a permit from its headers until its response body ends; calls above the limit are rejected;
//! shutdown waits for all permits. No caller holds more than its share, and no connection, if there are several.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::authorization::Origin;
use super::connections::ActiveCall;
use super::health_watches::{HealthWatches, WatchPermit};
use super::rate_limit::CallerRateLimits;
use super::reauthorization::{CallersWatch, Reauthorization};
use super::rejection::{Rejection, trailers};
use super::response_stream;
use super::selection::Selected;
use super::shares::{CallerShares, SharePermit};
use crate::grpc::methods::{self, MethodClass};
use crate::grpc::server::Limits;

/// The permits for calls and streams, over all connections, and whether the server is shutting down.
#[derive(Debug, Clone)]
pub(crate) struct ConcurrencyLimits {
    max_calls: usize,
    calls: Arc<Semaphore>,
    call_shares: Arc<CallerShares>,
    connection_calls: Arc<CallerShares>,
    streams: Arc<Semaphore>,
    stream_shares: Arc<CallerShares>,
    connection_streams: Arc<CallerShares>,
    watches: Arc<HealthWatches>,
    watch_shares: Arc<CallerShares>,
    rates: Arc<ArcSwapOption<CallerRateLimits>>,
    shutdown: CancellationToken,
}

/// Held by a call until its response is sent.
#[derive(Debug, Default)]
struct Permit {
    _slot: Option<OwnedSemaphorePermit>,
    _watch: Option<WatchPermit>,
    _share: Option<SharePermit>,
    _connection_share: Option<SharePermit>,
}

impl ConcurrencyLimits {
    /// Makes all permits available. Every new call but a health check is rejected once `shutdown` is cancelled.
    pub(crate) fn new(shutdown: CancellationToken, limits: &Limits, calls_per_second: Option<NonZeroU32>) -> Self {
        Self {
            max_calls: limits.calls,
            calls: Arc::new(Semaphore::new(limits.calls)),
            call_shares: CallerShares::half_of(limits.calls),
            connection_calls: CallerShares::of_connections(limits.calls),
            streams: Arc::new(Semaphore::new(limits.streams)),
            stream_shares: CallerShares::half_of(limits.streams),
            connection_streams: CallerShares::of_connections(limits.streams),
            watches: HealthWatches::new(limits.streams),
            watch_shares: CallerShares::half_of(limits.streams),
            rates: Arc::new(ArcSwapOption::from(
                calls_per_second.map(|rate| Arc::new(CallerRateLimits::new(rate))),
            )),
            shutdown,
        }
    }

    /// Replaces the limit of one caller's calls per second.
    pub(crate) fn set_calls_per_second(&self, calls_per_second: Option<NonZeroU32>) {
        self.rates
            .store(calls_per_second.map(|rate| Arc::new(CallerRateLimits::new(rate))));
    }

    /// Resolves once every call is finished. Meant for shutdown, when no call starts any more.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(self.max_calls).unwrap_or(u32::MAX);
        // It fails only if the semaphore is closed, which never happens.
        let _ = self.calls.acquire_many(all).await;
    }

    /// Drops the rate-limit state of idle callers.
    pub(crate) fn forget_idle_callers(&self) {
        if let Some(rates) = &*self.rates.load() {
            rates.forget_idle();
        }
    }

    /// Acquires a permit for a call of `caller` about the connection `selected`; `superseded` ends the watch of an unauthenticated client.
    ///
    /// # Errors
    /// The server is shutting down, or a limit is reached.
    fn acquire(
        &self,
        path: &str,
        caller: Option<&Arc<str>>,
        selected: Option<&Selected>,
        superseded: Option<&CancellationToken>,
    ) -> Result<Permit, Rejection> {
        let class = methods::class(path);
        let (slots, shares, connection_shares) = match class {
            MethodClass::HealthCheck => return Ok(Permit::default()),
            MethodClass::HealthWatch => (None, &self.watch_shares, None),
            MethodClass::Streaming => (Some(&self.streams), &self.stream_shares, Some(&self.connection_streams)),
            MethodClass::Unary => (Some(&self.calls), &self.call_shares, Some(&self.connection_calls)),
        };
        if self.shutdown.is_cancelled() {
            return Err(Rejection::ShuttingDown);
        }
        if let Some(rates) = &*self.rates.load()
            && methods::find(path).is_none_or(|(service, _)| service.rate_limited)
        {
            rates.check(caller).map_err(Rejection::RateExceeded)?;
        }
        let share = caller.map(|caller| shares.acquire(caller).ok_or(Rejection::Overloaded));
        let share = share.transpose()?;
        let connection = selected
            .filter(|selected| selected.is_one_of_several)
            .and_then(|selected| selected.connection.name());
        let connection_share = match (connection, connection_shares, slots) {
            (Some(name), Some(shares), Some(slots)) => {
                let share = shares.acquire_within(name.key(), slots.available_permits());
                Some(share.ok_or(Rejection::Overloaded)?)
            }
            _ => None,
        };
        let (slot, watch) = match slots {
            Some(slots) => (Arc::clone(slots).try_acquire_owned().ok(), None),
            None => (None, self.watches.acquire(superseded.cloned())),
        };
        if slot.is_none() && watch.is_none() {
            return Err(Rejection::Overloaded);
        }
        Ok(Permit {
            _slot: slot,
            _watch: watch,
            _share: share,
            _connection_share: connection_share,
        })
    }
}

/// Rejects the call above a limit and during shutdown.
pub(crate) async fn limit(State(limits): State<ConcurrencyLimits>, mut request: Request, next: Next) -> Response {
    let origin = request.extensions_mut().remove::<Origin>();
    let path = request.uri().path();
    let class = methods::class(path);
    let caller = origin.as_ref().and_then(|origin| origin.caller.as_ref());
    // An unauthenticated watch ends when a newer one needs its permit, or when its connection is evicted.
    let superseded = origin
        .as_ref()
        .filter(|origin| class == MethodClass::HealthWatch && origin.caller.is_none())
        .map(|origin| origin.connection.evicted().child_token());
    let permit = match limits.acquire(path, caller, request.extensions().get(), superseded.as_ref()) {
        Ok(permit) => permit,
        Err(rejection) => return Status::from(rejection).into_http(),
    };
    let shutdown = class.is_open_ended().then(|| limits.shutdown.clone());
    let response = next.run(request).await;
    response.map(|body| {
        let mut tracked = PermitBody::new(body, permit, shutdown);
        tracked.superseded = superseded.map(|token| Box::pin(token.cancelled_owned()));
        tracked.callers = origin.and_then(|origin| {
            tracked.active_call = origin.active_call;
            origin.reauthorization.map(Reauthorization::watch)
        });
        Body::new(tracked)
    })
}

/// A response body that holds its call's permit. A stream ends at shutdown, or when its caller loses its access.
struct PermitBody {
    body: Body,
    permit: Option<Permit>,
    active_call: Option<ActiveCall>,
    shutdown: Option<Shutdown>,
    superseded: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    callers: Option<CallersWatch>,
    is_finished: bool,
}

struct Shutdown {
    token: CancellationToken,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl PermitBody {
    fn new(body: Body, permit: Permit, shutdown: Option<CancellationToken>) -> Self {
        let shutdown = shutdown.map(|token| Shutdown {
            cancelled: Box::pin(token.clone().cancelled_owned()),
            token,
        });
        Self {
            body,
            permit: Some(permit),
            active_call: None,
            shutdown,
            superseded: None,
            callers: None,
            is_finished: false,
        }
    }

    fn end_with(&mut self, rejection: Rejection) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_finished = true;
        self.permit = None;
        self.active_call = None;
        Poll::Ready(Some(trailers(&rejection.into())))
    }

    /// Resolves with the reason once a stream must end.
    fn poll_rejection(&mut self, context: &mut Context<'_>) -> Poll<Rejection> {
        if let Some(callers) = &mut self.callers
            && let Poll::Ready(rejection) = callers.poll(context)
        {
            return Poll::Ready(rejection);
        }
        match &mut self.superseded {
            Some(superseded) => superseded.as_mut().poll(context).map(|()| Rejection::Overloaded),
            None => Poll::Pending,
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_finished {
            return Poll::Ready(None);
        }
        if let Poll::Ready(rejection) = self.poll_rejection(context) {
            return self.end_with(rejection);
        }
        // Deliver pending messages first, such as the final NOT_SERVING update.
        let next = Pin::new(&mut self.body).poll_frame(context);
        let Some(shutdown) = &mut self.shutdown else {
            return next;
        };
        match next {
            Poll::Pending if shutdown.cancelled.as_mut().poll(context).is_ready() => {
                self.end_with(Rejection::ShuttingDown)
            }
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() && shutdown.token.is_cancelled() => {
                self.end_with(Rejection::ShuttingDown)
            }
            other => other,
        }
    }
}

impl HttpBody for PermitBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.get_mut().poll_next(context);
        match &next {
            Poll::Ready(_) => response_stream::frame_offered(),
            Poll::Pending => response_stream::nothing_to_send(),
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.is_finished || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
