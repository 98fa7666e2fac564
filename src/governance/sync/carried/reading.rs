//! One reading of the access that principals carry to the resources of a type.
//!
//! It runs in the background, independently of the calls that wait for it. A rate limit delays it. Any other failure ends the
//! run and fails the calls that wait for it; the next call starts another run, which reads only what is missing. So the index is
//! complete or an error, and no list is read twice because another one failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::StreamExt;
use futures::stream;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::carriers::CarrierList;
use super::index::{CarriedIndex, PendingCarrier};
use crate::governance::model::Level;
use crate::governance::provider::{Amount, Carried, Failure, ListStage, Provider, ResourceType};
use crate::governance::rate_limit::LimitExceeded;
use crate::governance::sync::progress::ProgressLog;
use crate::governance::sync::rate_limit_reset::{MIN_RETRY_DELAY, retry_after_resets};
use crate::governance::{CallContext, GovernanceError, Lane};
use crate::telemetry::traces::OperationSpan;

/// The principals that hold a level of a resource, in the order of their ids.
pub(super) type Holders = Vec<(Uuid, Option<&'static Level>)>;

/// What all readings share.
#[derive(Debug)]
pub(super) struct Readers {
    pub(super) provider: Arc<dyn Provider>,
    /// The readings of all types, in the order in which they were begun. A session is locked before them, never after.
    pub(super) all: Mutex<Vec<Weak<Reading>>>,
    /// Bounds the principals whose lists are read at once, over all readings.
    pub(super) permits: Semaphore,
    pub(super) concurrency: usize,
}

impl Readers {
    /// The readings that are in use, in the order in which they were begun.
    pub(super) fn readings(&self) -> Vec<Arc<Reading>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Adds a reading that is begun.
    pub(super) fn add(&self, reading: &Arc<Reading>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(reading));
    }

    /// Drops the rows of a principal that is proven absent from every reading: the list of another type may have been read before.
    pub(super) fn remove(&self, carrier: Uuid) {
        for reading in self.readings() {
            reading.remove(carrier);
        }
    }
}

/// A reading. Dropping it ends its run.
#[derive(Debug)]
pub(super) struct Reading {
    source: Arc<Source>,
    run: Mutex<Option<Run>>,
}

/// What is read, and what was read of it.
#[derive(Debug)]
struct Source {
    readers: Arc<Readers>,
    resources: Arc<dyn ResourceType>,
    carriers: Arc<dyn ResourceType>,
    /// `None` once the principals are in the index.
    carrier_list: Mutex<Option<Arc<CarrierList>>>,
    state: Mutex<State>,
    progress: ProgressLog,
}

#[derive(Debug)]
struct State {
    index: CarriedIndex,
    /// When every list was read for the first time.
    completed_at: Option<Instant>,
    /// The latest retry time in a response to a client.
    retry_at: Option<Instant>,
}

/// A task that reads what is missing.
#[derive(Debug)]
struct Run {
    /// The context of the reads, with their statistics: waits are charged to the calls that wait for the run.
    call: CallContext,
    outcome: Outcome,
    _task: AbortOnDropHandle<()>,
}

/// `None` during the run.
type Outcome = watch::Receiver<Option<Result<(), GovernanceError>>>;

impl Reading {
    /// A reading of the access that `carriers` carry to `resources`, which starts on demand. `list` lists the principals that are
    /// added to those of [`Self::add_carriers`].
    pub(super) fn new(
        readers: &Arc<Readers>,
        resources: &Arc<dyn ResourceType>,
        carriers: &Arc<dyn ResourceType>,
        list: Option<Arc<CarrierList>>,
    ) -> Self {
        let state = State {
            index: CarriedIndex::new(resources.info()),
            completed_at: None,
            retry_at: None,
        };
        let source = Source {
            readers: Arc::clone(readers),
            resources: Arc::clone(resources),
            carriers: Arc::clone(carriers),
            carrier_list: Mutex::new(list),
            state: Mutex::new(state),
            progress: ProgressLog::default(),
        };
        Self {
            source: Arc::new(source),
            run: Mutex::default(),
        }
    }

    /// The id of the type whose grants are read.
    pub(super) fn type_id(&self) -> &'static str {
        self.source.resources.info().id
    }

    /// Adds principals. Those that were read keep their rows.
    pub(super) fn add_carriers(&self, carriers: impl IntoIterator<Item = Uuid>) {
        self.source.lock().index.add_carriers(carriers);
    }

    /// Reads the principal's list again, because it changes.
    pub(super) fn invalidate(&self, carrier: Uuid) {
        self.source.lock().index.invalidate(carrier);
    }

    /// Drops the rows of a principal that no longer exists.
    pub(super) fn remove(&self, carrier: Uuid) {
        self.source.lock().index.remove(carrier);
    }

    /// When every list was read for the first time.
    pub(super) fn completed_at(&self) -> Option<Instant> {
        self.source.lock().completed_at
    }

    /// The latest retry time in a response to a client.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.source.lock().retry_at
    }

    /// How many resources of the complete index are not among those that `is_listed` accepts.
    pub(super) fn count_unlisted(&self, is_listed: impl Fn(Uuid) -> bool) -> usize {
        let state = self.source.lock();
        state.index.resources().filter(|resource| !is_listed(*resource)).count()
    }

    /// Starts a run, unless there is one or nothing is missing. Must be called within a runtime.
    pub(super) fn start(&self) {
        if !self.source.is_complete() {
            self.running();
        }
    }

    /// The principals that hold a level of the resource, once every list was read. `call` waits for that until its deadline, and no
    /// longer than the rate limit's maximum wait. Must be called within a runtime.
    ///
    /// # Errors
    /// The failure to read a list, or a rate limit that delays the reading for too long; the reading continues.
    pub(super) async fn holders(&self, resource: Uuid, call: &CallContext) -> Result<Holders, GovernanceError> {
        let longest = Instant::now() + self.source.readers.provider.max_wait(Lane::Sync);
        loop {
            if let Some(holders) = self.source.holders(resource) {
                return Ok(holders);
            }
            let (outcome, run_call) = self.running();
            let (waited_before, joined_at) = (run_call.stats().waited, Instant::now());
            let outcome = self.wait(outcome, longest, call).await;
            let waited = run_call.stats().waited.saturating_sub(waited_before);
            call.add_wait(waited.min(joined_at.elapsed()));
            outcome?;
        }
    }

    /// Waits for the end of a run.
    async fn wait(&self, mut outcome: Outcome, longest: Instant, call: &CallContext) -> Result<(), GovernanceError> {
        if let Some(deadline) = call.deadline()
            && self.source.forecast().is_some_and(|end| end > deadline)
        {
            return Err(self.source.limit_exceeded());
        }
        let until = call.deadline().map_or(longest, |deadline| deadline.min(longest));
        let ended = tokio::select! {
            () = call.cancelled() => return Err(GovernanceError::Abandoned),
            ended = tokio::time::timeout_at(until, outcome.wait_for(Option::is_some)) => ended,
        };
        match ended {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or(Ok(())),
            Ok(Err(_)) => Err(self.source.interrupted()),
            Err(_) if call.is_overdue() => Err(GovernanceError::DeadlineExceeded),
            Err(_) => Err(self.source.limit_exceeded()),
        }
    }

    /// The current run, or a new one.
    fn running(&self) -> (Outcome, CallContext) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let current = run.take().filter(|run| {
            let has_ended = run.outcome.borrow().is_some() || run.outcome.has_changed().is_err();
            !has_ended
        });
        let run = run.insert(current.unwrap_or_else(|| Run::start(&self.source)));
        (run.outcome.clone(), run.call.clone())
    }
}

impl Run {
    fn start(source: &Arc<Source>) -> Self {
        let call = CallContext::new(Lane::Sync);
        let (ended, outcome) = watch::channel(None);
        let (source, run_call) = (Arc::clone(source), call.clone());
        let span = OperationSpan::prefetched_page("carried", source.resources.info().id);
        let task = tokio::spawn(async move {
            let outcome = span.run(source.read_missing(&run_call)).await;
            if let Err(error) = &outcome {
                tracing::info!(resource_type = source.resources.info().id, %error, "the access that principals carry cannot be read: the next call continues");
            }
            ended.send_replace(Some(outcome));
        });
        Self {
            call,
            outcome,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

impl Source {
    /// Reads every list that is missing.
    async fn read_missing(&self, call: &CallContext) -> Result<(), GovernanceError> {
        self.list_carriers(call).await?;
        loop {
            let pending = self.lock().index.pending();
            if pending.is_empty() {
                break;
            }
            let failed: Mutex<Option<GovernanceError>> = Mutex::default();
            let failure = &|| failed.lock().unwrap_or_else(PoisonError::into_inner);
            let reads = stream::iter(pending).for_each_concurrent(self.readers.concurrency, |carrier| async move {
                // A failure ends the run: no further list is requested, and what is in flight is kept.
                if failure().is_some() {
                    return;
                }
                match self.read(carrier, call).await {
                    Ok(rows) => self.store(carrier, &rows),
                    Err(error) => *failure() = Some(error),
                }
            });
            reads.await;
            if let Some(error) = failure().take() {
                return Err(error);
            }
        }
        // A list that was read with fewer rights than the first ones shows less of what its principal carries.
        retry_after_resets(call, || self.resources.check_visibility(ListStage::End, call)).await?;
        let mut state = self.lock();
        if state.index.is_complete() {
            state.completed_at.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Adds the principals to the index, unless they are in it.
    async fn list_carriers(&self, call: &CallContext) -> Result<(), GovernanceError> {
        let list = self.lock_list().clone();
        let Some(list) = list else {
            return Ok(());
        };
        let call = call.clone().with_concurrency(self.readers.concurrency);
        let history = self.readers.provider.list_history();
        let carriers = retry_after_resets(&call, || list.get(&*self.carriers, history, &call)).await?;
        self.lock().index.add_carriers(carriers.iter().copied());
        *self.lock_list() = None;
        Ok(())
    }

    /// The rows of a principal; none of one that is proven absent.
    async fn read(&self, carrier: PendingCarrier, call: &CallContext) -> Result<Vec<Carried>, GovernanceError> {
        let _permit = self.readers.permits.acquire().await;
        let history = self.readers.provider.list_history();
        let info = self.resources.info();
        retry_after_resets(call, || async {
            let mut rows = self.read_once(carrier.id, call).await?;
            if rows.is_empty() && history.had_carried(info, carrier.id) {
                rows = self.read_once(carrier.id, call).await?;
            }
            history.record_carried(info, carrier.id, !rows.is_empty());
            Ok(rows)
        })
        .await
    }

    async fn read_once(&self, carrier: Uuid, call: &CallContext) -> Result<Vec<Carried>, GovernanceError> {
        let failure = match self.read_to_end(carrier, call).await {
            Ok(rows) => return Ok(rows),
            Err(failure) => failure,
        };
        match self.carriers.explain(failure, Some(carrier), call).await {
            GovernanceError::ResourceNotFound { .. } => {
                tracing::info!(%carrier, "a principal that no longer exists carries no access");
                self.readers.remove(carrier);
                Ok(Vec::new())
            }
            error => Err(error),
        }
    }

    async fn read_to_end(&self, carrier: Uuid, call: &CallContext) -> Result<Vec<Carried>, Failure> {
        let (mut rows, mut from) = (Vec::new(), None);
        let Some(lists) = self.resources.carried() else {
            return Ok(rows);
        };
        loop {
            let page = lists.carried_by(carrier, from, Amount::All, call).await?.take_all();
            rows.extend(page.rows);
            from = page.next;
            if from.is_none() {
                return Ok(rows);
            }
        }
    }

    fn store(&self, carrier: PendingCarrier, rows: &[Carried]) {
        let mut state = self.lock();
        state.index.store(carrier, rows);
        let (all, pending) = (state.index.carrier_count(), state.index.pending_count());
        drop(state);
        let (provider, resource_type) = (&*self.readers.provider, self.resources.info().id);
        self.progress.log_carried(provider, resource_type, all - pending, all);
    }

    /// The principals that hold a level of the resource; `None` while a list is missing.
    fn holders(&self, resource: Uuid) -> Option<Holders> {
        let mut state = self.lock();
        let is_complete = state.completed_at.is_some() && state.index.is_complete();
        is_complete.then(|| state.index.holders(resource))
    }

    fn is_complete(&self) -> bool {
        let state = self.lock();
        state.completed_at.is_some() && state.index.is_complete()
    }

    /// When the last missing list can be expected to be requested; `None` if no limit delays it.
    fn forecast(&self) -> Option<Instant> {
        let pending = self.lock().index.pending_count();
        let requests = u32::try_from(pending).unwrap_or(u32::MAX);
        self.readers.provider.forecast(Lane::Sync, requests.max(1))
    }

    /// The error for a call that cannot wait until the reading is complete.
    fn limit_exceeded(&self) -> GovernanceError {
        let soonest = Instant::now() + MIN_RETRY_DELAY;
        let retry_at = self.forecast().map_or(soonest, |end| end.max(soonest));
        let mut state = self.lock();
        state.retry_at = state.retry_at.max(Some(retry_at));
        let buckets = self.readers.provider.budget().buckets;
        let tightest = buckets.iter().min_by_key(|bucket| bucket.remaining_for_sync);
        GovernanceError::RateLimited(LimitExceeded {
            bucket: tightest.map(|bucket| bucket.bucket),
            limit: tightest.and_then(|bucket| bucket.limit).map(i64::from),
            retry_at: Some(retry_at),
        })
    }

    /// The error for a run that ended without an outcome.
    fn interrupted(&self) -> GovernanceError {
        GovernanceError::Unavailable {
            endpoint: self.resources.info().grants_endpoint,
            why: "the reading was interrupted".to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_list(&self) -> MutexGuard<'_, Option<Arc<CarrierList>>> {
        self.carrier_list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
