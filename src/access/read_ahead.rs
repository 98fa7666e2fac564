//! Read-ahead: while a platform asks for one team after the other, the members of those to come are read already.
//!
//! It begins with the second team that a sync asks for, and only where this process listed that sync's teams. A platform
//! visits its teams in the order of its store, often backwards, so the order is guessed from the last two: a neighbour in the
//! list or among the sorted ids, in either direction. A wrong guess costs nothing but the order, since every team is
//! asked for in the end. What is held is bounded in teams and rows, and dropped at the sync's end or when it goes quiet. A
//! grant or revoke of ours makes a newer generation of its team: what was read, or being read, before is not served.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Upstream;
use super::listing::ENOUGH;
use crate::buildkite::pages::{Batch, Position};
use crate::buildkite::{ApiError, Call, Lane, TeamId, TeamMember, Trouble};

/// Teams that are read and not asked for yet, for each request that may be under way: enough to never let the client wait
/// for a round trip, too few to matter if it goes away.
const HELD_PER_REQUEST: usize = 4;

/// Rows that are held at most: a few megabytes.
const HELD_ROWS: usize = 20_000;

/// A sync that asks for nothing for so long is over, or stopped.
const QUIET: Duration = Duration::from_secs(60);

/// The members read ahead, by sync.
#[derive(Debug)]
pub(super) struct ReadAhead {
    upstream: Arc<dyn Upstream>,
    /// Requests that are under way at once, for each sync; zero reads nothing ahead.
    limit: usize,
    held_rows: Arc<AtomicUsize>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    syncs: HashMap<String, Ahead>,
    generations: HashMap<TeamId, u64>,
}

/// One sync.
#[derive(Debug)]
struct Ahead {
    listed: Vec<TeamId>,
    sorted: Vec<TeamId>,
    asked: HashSet<TeamId>,
    last: Option<TeamId>,
    reads: HashMap<TeamId, Read>,
    touched: Instant,
}

/// A team's members, read or being read. Dropping it ends the reading.
#[derive(Debug)]
struct Read {
    generation: u64,
    /// What the reading cost, the time that it slept included.
    call: Call,
    task: AbortOnDropHandle<Result<Held, ApiError>>,
}

/// Rows that count as held for as long as they are.
#[derive(Debug)]
struct Held {
    batch: Option<Batch<TeamMember>>,
    rows: usize,
    counted_in: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counted_in.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

impl ReadAhead {
    pub(super) fn new(upstream: Arc<dyn Upstream>, limit: usize) -> Self {
        Self {
            upstream,
            limit,
            held_rows: Arc::default(),
            state: Arc::default(),
        }
    }

    /// A sync's teams, as far as they are listed. Must be called within a runtime.
    pub(super) fn teams(&self, sync: &str, first: bool, teams: impl Iterator<Item = TeamId>) {
        if self.limit == 0 || sync.is_empty() {
            return;
        }
        let mut state = self.lock();
        if first {
            state.syncs.insert(sync.to_owned(), Ahead::default());
            if state.syncs.len() == 1 {
                tokio::spawn(sweep(Arc::downgrade(&self.state)));
            }
        }
        if let Some(ahead) = state.syncs.get_mut(sync) {
            ahead.touched = Instant::now();
            ahead.listed.extend(teams);
        }
    }

    /// The first part of a team's members, where it was read ahead and nothing of ours has changed since.
    ///
    /// # Errors
    /// Where the reading waited for a rate limit in vain: who asks now has waited with it, and waits no second time.
    pub(super) async fn take(
        &self,
        sync: &str,
        team: TeamId,
        call: &Call,
    ) -> Result<Option<Batch<TeamMember>>, ApiError> {
        let Some(read) = self.next(sync, team) else {
            return Ok(None);
        };
        let (slept_before, asked_at) = (read.call.spent().waited, Instant::now());
        let had_ended = read.task.is_finished();
        let outcome = read.task.await;
        let slept = read.call.spent().waited.saturating_sub(slept_before);
        call.waited(slept.min(asked_at.elapsed()));
        match outcome {
            Ok(Ok(mut held)) => {
                let generation = self.lock().generations.get(&team).copied().unwrap_or_default();
                Ok((generation == read.generation).then(|| held.batch.take()).flatten())
            }
            Ok(Err(error)) if matches!(error.trouble, Trouble::RateLimited(_)) && !had_ended => Err(error),
            // What else failed, or failed before anybody asked, is asked for again by the call that needs it, which then tells why.
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    /// What was begun for the team, if anything was; and begins what is likely to be asked for next.
    fn next(&self, sync: &str, team: TeamId) -> Option<Read> {
        let mut state = self.lock();
        let State { syncs, generations } = &mut *state;
        let ahead = syncs.get_mut(sync)?;
        ahead.touched = Instant::now();
        let read = ahead.reads.remove(&team);
        self.go_on(ahead, generations, team);
        read
    }

    /// Nothing that was read of the team so far is served any more.
    pub(super) fn forget(&self, team: TeamId) {
        *self.lock().generations.entry(team).or_default() += 1;
    }

    /// Frees what a sync held.
    pub(super) fn end(&self, sync: &str) {
        self.lock().syncs.remove(sync);
    }

    fn go_on(&self, ahead: &mut Ahead, generations: &HashMap<TeamId, u64>, team: TeamId) {
        if ahead.sorted.len() != ahead.listed.len() {
            ahead.sorted.clone_from(&ahead.listed);
            ahead.sorted.sort_unstable();
        }
        ahead.asked.insert(team);
        let Some(last) = ahead.last.replace(team).filter(|last| *last != team) else {
            return;
        };
        let under_way = ahead.reads.values().filter(|read| !read.task.is_finished()).count();
        let waiting = ahead.reads.len() - under_way;
        let room =
            (self.limit - under_way.min(self.limit)).min((self.limit * HELD_PER_REQUEST).saturating_sub(waiting));
        if self.held_rows.load(Ordering::Relaxed) >= HELD_ROWS {
            return;
        }
        let next: Vec<TeamId> = ahead.after(last, team).take(room).collect();
        for team in next {
            let generation = generations.get(&team).copied().unwrap_or_default();
            let call = Call::new(Lane::Sync);
            let task = self.read(team, call.clone());
            ahead.reads.insert(team, Read { generation, call, task });
        }
    }

    fn read(&self, team: TeamId, call: Call) -> AbortOnDropHandle<Result<Held, ApiError>> {
        let (upstream, held) = (Arc::clone(&self.upstream), Arc::clone(&self.held_rows));
        AbortOnDropHandle::new(tokio::spawn(async move {
            let batch = upstream.members(team, Position::Start, ENOUGH, &call).await?;
            let rows = batch.rows.len();
            held.fetch_add(rows, Ordering::Relaxed);
            Ok(Held {
                batch: Some(batch),
                rows,
                counted_in: held,
            })
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frees what syncs held that went quiet, until there is none.
async fn sweep(state: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(QUIET / 4).await;
        let Some(state) = state.upgrade() else {
            return;
        };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.syncs.retain(|_, ahead| ahead.touched.elapsed() < QUIET);
        if state.syncs.is_empty() {
            return;
        }
    }
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            listed: Vec::new(),
            sorted: Vec::new(),
            asked: HashSet::new(),
            last: None,
            reads: HashMap::new(),
            touched: Instant::now(),
        }
    }
}

impl Ahead {
    /// The teams that are likely to be asked for next, the likeliest first: on from `team` in the order and direction in which
    /// it follows `last`, then around.
    fn after(&self, last: TeamId, team: TeamId) -> impl Iterator<Item = TeamId> {
        let place = |order: &[TeamId], of: TeamId| order.iter().position(|listed| *listed == of);
        let follows = |order: &[TeamId], forward: bool| match (place(order, last), place(order, team)) {
            (Some(before), Some(now)) if forward => now == before + 1,
            (Some(before), Some(now)) => now + 1 == before,
            _ => false,
        };
        let guesses = [
            (&self.sorted, false),
            (&self.sorted, true),
            (&self.listed, false),
            (&self.listed, true),
        ];
        let (order, forward) = guesses
            .into_iter()
            .find(|(order, forward)| follows(order, *forward))
            .unwrap_or((&self.sorted, false));
        let from = place(order, team).unwrap_or_default();
        let count = order.len();
        (1..count)
            .map(move |step| {
                if forward {
                    (from + step) % count
                } else {
                    (from + count - step) % count
                }
            })
            .filter_map(move |at| order.get(at).copied())
            .filter(|team| !self.asked.contains(team) && !self.reads.contains_key(team))
    }
}
