//! The door: the [keeper](super::keeper)'s decisions, waited for.
//!
//! Every waiter holds a place in the queue and sleeps until it is called, or until the moment at which time alone changes
//! something; whoever wakes asks the keeper for all that follows and calls those whom it concerns. So there is no task
//! behind the door, and nothing to stop. A waiter that goes away leaves the queue as if it had never come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, StatusCode};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::LimitExceeded;
use super::headers::{Bucket, Reading, Refusal};
use super::keeper::{Admitted, Answer, Keeper, Refused, Turn};
use super::length::Outlook;
use super::options::BudgetOptions;
use super::state::BudgetState;
use super::ticket::Ticket;
use crate::providers::buildkite::call::{CallContext, Lane};
use crate::telemetry::metrics::LANE_WAIT;

/// The one door to the network.
#[derive(Debug)]
pub struct Door {
    hall: Arc<Hall>,
}

/// What lies behind the door, for as long as somebody is there.
#[derive(Debug)]
struct Hall {
    desk: Mutex<Desk>,
    /// The next moment at which time alone changes something.
    alarm: watch::Sender<Option<Instant>>,
    options: BudgetOptions,
}

#[derive(Debug)]
struct Desk {
    keeper: Keeper,
    waiting: HashMap<u64, oneshot::Sender<Result<Admitted, Refused>>>,
}

impl Door {
    /// A door that spends the budget as it is told to.
    #[must_use]
    pub fn new(options: BudgetOptions) -> Self {
        let hall = Hall {
            desk: Mutex::new(Desk {
                keeper: Keeper::new(options, Instant::now()),
                waiting: HashMap::new(),
            }),
            alarm: watch::Sender::new(None),
            options,
        };
        Self { hall: Arc::new(hall) }
    }

    /// Waits until the call may send one request. Dropping the future gives the place up.
    ///
    /// # Errors
    /// What is closed, as soon as it is known to open later than the call or the longest wait allows.
    pub async fn enter(&self, call: &CallContext) -> Result<Admission, LimitExceeded> {
        let arrived = Instant::now();
        let patience = arrived + self.hall.options.patience(call.lane());
        let until = call.deadline().map_or(patience, |deadline| deadline.min(patience));
        let decision = self.hall.queue(call, arrived, until).decision().await;
        let limited = match &decision {
            Ok(admitted) => admitted.limited,
            Err(refused) => refused.limited,
        };
        if limited {
            call.record_wait_since(arrived);
        }
        match decision {
            Ok(admitted) => {
                LANE_WAIT.took([call.lane().as_str()], arrived.elapsed());
                Ok(Admission {
                    hall: Arc::clone(&self.hall),
                    ticket: Some(admitted.ticket),
                })
            }
            Err(refused) => Err(refused.closed),
        }
    }

    /// How the budget stands.
    #[must_use]
    pub fn state(&self) -> BudgetState {
        self.hall.desk().keeper.state(Instant::now())
    }

    /// When the last of so many requests of a lane is likely to have its turn, if nobody else comes; none where nothing
    /// is in the way. The operator's own limit and both buckets are considered as they are known now.
    #[must_use]
    pub fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        let ahead = requests.saturating_sub(1);
        let desk = self.hall.desk();
        desk.keeper
            .forecast(lane, ahead, Instant::now(), Outlook::Likely)
            .retry_at
    }
}

impl Hall {
    fn queue<'a>(&'a self, call: &'a CallContext, arrived: Instant, until: Instant) -> Place<'a> {
        let (decide, called) = oneshot::channel();
        let mut desk = self.desk();
        let number = desk.keeper.join(call.lane(), until);
        desk.waiting.insert(number, decide);
        self.serve(desk);
        Place {
            hall: self,
            call,
            arrived,
            number,
            called,
        }
    }

    /// Does all that follows from the state of things.
    fn serve(&self, mut desk: MutexGuard<'_, Desk>) {
        let now = Instant::now();
        let alarm = loop {
            let (number, decision) = match desk.keeper.turn(now) {
                Turn::Admit(admitted) => (admitted.number, Ok(admitted)),
                Turn::Refuse(refused) => (refused.number, Err(refused)),
                Turn::Rest(until) => break until,
            };
            if let Some(call) = desk.waiting.remove(&number)
                && let Err(Ok(admitted)) = call.send(decision)
            {
                // Its place is given up under the same lock, so nobody is called in vain; were it so, nothing is lost.
                desk.keeper.withdrawn(&admitted.ticket);
            }
        };
        drop(desk);
        self.alarm.send_if_modified(|set| {
            let is_new = *set != alarm;
            *set = alarm;
            is_new
        });
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Every change of the desk is complete before anything that could panic: what was left is consistent.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue.
struct Place<'a> {
    hall: &'a Hall,
    call: &'a CallContext,
    arrived: Instant,
    number: u64,
    called: oneshot::Receiver<Result<Admitted, Refused>>,
}

impl Place<'_> {
    async fn decision(mut self) -> Result<Admitted, Refused> {
        let mut alarm = self.hall.alarm.subscribe();
        loop {
            let at = *alarm.borrow_and_update();
            let rings = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                decision = &mut self.called => {
                    return decision.unwrap_or_else(|_| Err(Refused {
                        number: self.number,
                        closed: LimitExceeded::unknown(),
                        limited: false,
                    }));
                }
                _ = alarm.changed() => {}
                () = rings => self.hall.serve(self.hall.desk()),
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut desk = self.hall.desk();
        desk.waiting.remove(&self.number);
        let mut limited = desk.keeper.leave(self.number);
        if let Ok(Ok(admitted)) = self.called.try_recv() {
            desk.keeper.withdrawn(&admitted.ticket);
            limited |= admitted.limited;
        }
        self.hall.serve(desk);
        if limited {
            // Whoever goes because another's answer will do has waited for the limit all the same.
            self.call.record_wait_since(self.arrived);
        }
    }
}

/// The right to send one request. Dropped unanswered, the request counts as sent without an answer.
#[derive(Debug)]
pub struct Admission {
    hall: Arc<Hall>,
    ticket: Option<Ticket>,
}

impl Admission {
    /// Tells the door what came back; for a 429, what it closed.
    #[must_use]
    pub fn answered(mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<LimitExceeded> {
        let ticket = self.ticket.take()?;
        let answer = Answer {
            organization: Reading::of(Bucket::Organization, headers),
            user: Reading::of(Bucket::User, headers),
            refusal: (status == StatusCode::TOO_MANY_REQUESTS).then(|| Refusal::read(headers, body)),
        };
        let mut desk = self.hall.desk();
        let closed = desk.keeper.answered(&ticket, answer, Instant::now());
        self.hall.serve(desk);
        closed
    }

    /// Tells the door that nothing was sent, because no connection was made.
    pub fn never_sent(mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut desk = self.hall.desk();
            desk.keeper.withdrawn(&ticket);
            self.hall.serve(desk);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut desk = self.hall.desk();
            desk.keeper.lost(&ticket, Instant::now());
            self.hall.serve(desk);
        }
    }
}
