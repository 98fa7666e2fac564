//! Which requests are coalesced, and how: identical reads that are in flight at the same time share one request.
//!
//! Only reads are coalesced, and only those of a call that permits it ([`CallContext::may_coalesce`]). A call on the
//! provisioning lane and one that is [uncoalesced][`CallContext::uncoalesced`] do not, because their answers may
//! not be older than they are: they never use a request that was sent before. Other reads may share the requests that
//! they send. A write is never shared. A read that one credential must serve is shared only with others that it must serve: owners may
//! be shown different rows.
//!
//! [`CallContext::may_coalesce`]: crate::governance::CallContext::may_coalesce
//! [`CallContext::uncoalesced`]: crate::governance::CallContext::uncoalesced
//!
//! A reader waits for a permit and for another reader's identical request at once. Each flight sends one request and
//! every holder must poll it, because a shared future makes no progress unpolled; the request continues as long as
//! one holder is left. A write starts a new generation, so reads begun after a write never join one begun before it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::future::{BoxFuture, FutureExt, Shared};
use tokio::sync::Notify;

use super::transport::{Exchange, RequestKey};
use crate::providers::buildkite::budget::Permit;

/// A request in flight, shared by all its holders.
pub(crate) type SharedExchange = Shared<BoxFuture<'static, Exchange>>;

/// The reads that are waiting to be sent or in flight.
#[derive(Debug, Default)]
pub(crate) struct SingleFlight {
    flights: Mutex<HashMap<FlightKey, Weak<Flight>>>,
    generation: AtomicU64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FlightKey {
    request: RequestKey,
    /// The only credential that may serve the request; `None` if any that serves reads may.
    credential: Option<usize>,
    /// The number of own writes that completed before.
    generation: u64,
}

impl SingleFlight {
    /// The flight of a request that has no response yet; created if there is none.
    pub(crate) fn join(&self, key: RequestKey, credential: Option<usize>) -> Arc<Flight> {
        self.find_or_create(key, credential, |flight| !flight.is_complete())
    }

    /// A flight of a request that is not started yet, for a reader that holds a permit and must send its own request.
    pub(crate) fn lead(&self, key: RequestKey, credential: Option<usize>) -> Arc<Flight> {
        self.find_or_create(key, credential, |flight| flight.request().is_none())
    }

    fn find_or_create(
        &self,
        key: RequestKey,
        credential: Option<usize>,
        is_usable: impl Fn(&Flight) -> bool,
    ) -> Arc<Flight> {
        let key = FlightKey {
            request: key,
            credential,
            generation: self.generation.load(Ordering::Acquire),
        };
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        let kept = flights.get(&key).and_then(Weak::upgrade);
        kept.filter(|flight| is_usable(flight)).unwrap_or_else(|| {
            let flight = Arc::default();
            flights.insert(key, Arc::downgrade(&flight));
            flight
        })
    }

    /// A write completed or its response was lost: reads in flight may not show it.
    pub(crate) fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// One request, waiting to be sent or in flight.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    request: Mutex<Option<SharedExchange>>,
    sent: Notify,
}

impl Flight {
    /// Resolves once a holder has sent the request.
    pub(crate) async fn started(&self) -> SharedExchange {
        loop {
            let sent = self.sent.notified();
            if let Some(exchange) = self.request().clone() {
                return exchange;
            }
            sent.await;
        }
    }

    /// Sends the request with `permit` for all holders. If another holder has already sent it, returns that
    /// request and the permit.
    pub(crate) fn start(
        &self,
        permit: Permit,
        send: impl FnOnce(Permit) -> BoxFuture<'static, Exchange>,
    ) -> (SharedExchange, Option<Permit>) {
        let mut request = self.request();
        if let Some(exchange) = request.as_ref() {
            return (exchange.clone(), Some(permit));
        }
        let exchange = send(permit).shared();
        *request = Some(exchange.clone());
        drop(request);
        self.sent.notify_waiters();
        (exchange, None)
    }

    fn is_complete(&self) -> bool {
        self.request()
            .as_ref()
            .is_some_and(|exchange| exchange.peek().is_some())
    }

    fn request(&self) -> MutexGuard<'_, Option<SharedExchange>> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
