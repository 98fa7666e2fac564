//! Reads that are under way, and who takes part in them: identical reads in flight are one request.
//!
//! Whoever wants to read waits for a turn at the door and, at the same time, for somebody else to send the same question. An
//! answer belongs to all who asked before it came; each lets go of it as it likes, and the request goes on for as long as
//! anybody is left. A spot sees one request, and whoever is there waits for it: one that is kept and not waited for would not
//! go on, and not end. A question is the same only between two writes of ours: what was asked before a write was answered
//! may not show it, and so is not for those who ask after it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::future::{BoxFuture, FutureExt, Shared};
use tokio::sync::Notify;

use super::transport::{Asked, Sent};
use crate::providers::buildkite::budget::Admission;

/// A request on its way, for everybody who waits for it.
pub(crate) type Answer = Shared<BoxFuture<'static, Sent>>;

/// The reads that are wanted or under way.
#[derive(Debug, Default)]
pub(crate) struct SharedReads {
    wanted: Mutex<HashMap<Question, Weak<Spot>>>,
    writes: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    asked: Asked,
    /// Our writes that were answered before it was asked.
    writes: u64,
}

impl SharedReads {
    /// Where those meet who ask the same. A request that was answered already is nobody's who comes now.
    pub(crate) fn spot(&self, asked: Asked) -> Arc<Spot> {
        self.spot_where(asked, |spot| !spot.is_answered())
    }

    /// The same for one whose turn it is to ask: nobody has asked there yet.
    pub(crate) fn open_spot(&self, asked: Asked) -> Arc<Spot> {
        self.spot_where(asked, |spot| spot.request().is_none())
    }

    fn spot_where(&self, asked: Asked, will_do: impl Fn(&Spot) -> bool) -> Arc<Spot> {
        let question = Question {
            asked,
            writes: self.writes.load(Ordering::Acquire),
        };
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|_, spot| spot.strong_count() > 0);
        let kept = wanted.get(&question).and_then(Weak::upgrade);
        kept.filter(|spot| will_do(spot)).unwrap_or_else(|| {
            let spot = Arc::default();
            wanted.insert(question, Arc::downgrade(&spot));
            spot
        })
    }

    /// A write of ours was answered, or its answer was lost: what is under way may not show it.
    pub(crate) fn changed(&self) {
        self.writes.fetch_add(1, Ordering::Release);
    }
}

/// One question, and the request that somebody sent for it.
#[derive(Debug, Default)]
pub(crate) struct Spot {
    request: Mutex<Option<Answer>>,
    sent: Notify,
}

impl Spot {
    /// Resolves once somebody has sent the question.
    pub(crate) async fn asked(&self) -> Answer {
        loop {
            let sent = self.sent.notified();
            if let Some(answer) = self.request().clone() {
                return answer;
            }
            sent.await;
        }
    }

    /// Sends the question with `admission`, for others to take part in. Where somebody was faster, it is theirs, and the
    /// admission comes back.
    pub(crate) fn ask(
        &self,
        admission: Admission,
        send: impl FnOnce(Admission) -> BoxFuture<'static, Sent>,
    ) -> (Answer, Option<Admission>) {
        let mut request = self.request();
        if let Some(answer) = request.as_ref() {
            return (answer.clone(), Some(admission));
        }
        let answer = send(admission).shared();
        *request = Some(answer.clone());
        drop(request);
        self.sent.notify_waiters();
        (answer, None)
    }

    fn is_answered(&self) -> bool {
        self.request().as_ref().is_some_and(|answer| answer.peek().is_some())
    }

    fn request(&self) -> MutexGuard<'_, Option<Answer>> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
