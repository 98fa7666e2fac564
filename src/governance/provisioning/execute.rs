//! Reads, writes and confirms, until the plan requires no further write.
//!
//! Each result of a write has one continuation:
//!
//! | result | continuation |
//! | --- | --- |
//! | 2xx that echoes the requested level | done; after a POST that echoes an old row the level was held already |
//! | 2xx without that echo | read until the write is visible, and only then done; if another level is visible, plan again |
//! | no connection | nothing was sent: plan again |
//! | no response, 5xx, truncated body | may have been applied: read again; a visible write was this one, otherwise plan again |
//! | 404, 409, 422 | the level may be held already: read and plan again; if nothing changed, return the rejection |
//! | 403, 401, no budget | return the error; a 403 on a POST may mean a user outside the organization, which is checked first |

use tokio::time::Instant;

use super::audit::AuditRecord;
use super::plan::{Plan, Request, Write, plan};
use super::{GuardLock, Outcome, Provisioning, WriteTimeouts};
use crate::governance::model::{Level, Membership, ResourceKind};
use crate::governance::provider::{Assignable, Failure, FailureClass, Labels, ResourceType, WriteReply};
use crate::governance::{CallContext, GovernanceError};
use crate::telemetry::traces::OperationSpan;

/// The maximum number of writes of one request: a write is repeated if the previous one was seen not to have been applied.
const MAX_WRITES: usize = 5;

/// The result of a write.
enum WriteResult {
    /// The response is what was requested.
    Confirmed,
    /// The response matches, but its row predates this request: the level was held already, and the earlier read was stale.
    AlreadyPresent,
    /// The response shows another level, or none.
    Unconfirmed(Option<&'static Level>),
    NotSent(Failure),
    ReplyLost(Failure),
    Rejected(Failure),
}

/// The execution of one request about one membership.
pub(crate) struct Operation<'a> {
    pub(crate) provisioning: &'a Provisioning,
    pub(crate) resources: &'a dyn ResourceType,
    pub(crate) levels: &'a dyn Assignable,
    pub(crate) membership: Membership,
    /// The names of the resource and the principal in messages.
    pub(crate) labels: Labels,
    request: Request,
    pub(crate) call: CallContext,
    pub(crate) record: &'a mut AuditRecord,
    /// A write of this request whose reply was lost: if it becomes visible, this request made the change.
    pub(crate) lost_write: Option<Write>,
    /// What the guard permitted a write by, until the operation ends.
    guard_lock: GuardLock,
}

impl<'a> Operation<'a> {
    pub(crate) fn new(
        provisioning: &'a Provisioning,
        (resources, levels): (&'a dyn ResourceType, &'a dyn Assignable),
        membership: Membership,
        labels: Labels,
        request: Request,
        call: CallContext,
        record: &'a mut AuditRecord,
    ) -> Self {
        Self {
            provisioning,
            resources,
            levels,
            membership,
            labels,
            request,
            call,
            record,
            lost_write: None,
            guard_lock: GuardLock::default(),
        }
    }

    /// Carries out the request; `decision` is the span of its first decision.
    pub(crate) async fn run(mut self, decision: OperationSpan) -> Result<Outcome, GovernanceError> {
        match (self.converge(decision).await, self.request) {
            // A resource that is proven absent has no grants.
            (Err(GovernanceError::ResourceNotFound { .. }), Request::Revoke(_)) => Ok(Outcome::AlreadyRevoked),
            (outcome, _) => outcome,
        }
    }

    async fn converge(&mut self, decision: OperationSpan) -> Result<Outcome, GovernanceError> {
        let mut current = decision.run(self.read_current_level()).await?;
        let mut decision = Some(decision);
        let mut last_error = None;
        for _ in 0..MAX_WRITES {
            let deciding = decision.take().unwrap_or_else(OperationSpan::decision);
            let write = match self.decide(current) {
                Plan::NoChange => return deciding.run(self.finish_unchanged(current)).await,
                Plan::Apply(write) => write,
            };
            deciding.run(self.preflight(write)).await?;
            drop(deciding);
            match OperationSpan::write().run(self.send(write)).await? {
                WriteResult::AlreadyPresent if self.lost_write.is_none() => {
                    self.record.observe_level(write.resulting_level());
                    return Ok(Outcome::unchanged(self.request));
                }
                WriteResult::Confirmed | WriteResult::AlreadyPresent => return Ok(self.done(write)),
                WriteResult::Unconfirmed(echo) => {
                    let before = current;
                    let confirmed = self.await_visibility(write, before, echo);
                    current = OperationSpan::confirm().run(confirmed).await?;
                    if current == write.resulting_level() {
                        return Ok(self.done(write));
                    }
                    if current == before {
                        return Err(self.not_visible_error(write, current));
                    }
                }
                WriteResult::NotSent(error) => {
                    current = OperationSpan::confirm().run(self.poll_level(|_| true, &[])).await?;
                    last_error = Some(error);
                }
                WriteResult::ReplyLost(error) => {
                    current = OperationSpan::confirm().run(self.recover_lost_reply(write)).await?;
                    if current != write.resulting_level() && !error.is_transient() {
                        return Err(self.explain(error).await);
                    }
                    last_error = Some(error);
                }
                WriteResult::Rejected(error) => {
                    let rechecked = self.recheck_after_rejection(write, current, error);
                    current = OperationSpan::confirm().run(rechecked).await?;
                }
            }
        }
        match self.decide(current) {
            Plan::NoChange => self.finish_unchanged(current).await,
            Plan::Apply(write) => Err(last_error.map_or_else(
                || self.not_visible_error(write, current),
                |failure: Failure| failure.error,
            )),
        }
    }

    fn decide(&self, current: Option<&'static Level>) -> Plan {
        plan(
            self.request,
            current,
            self.provisioning.replacement_level(self.levels, self.request),
        )
    }

    /// Ends a request without a further write: an earlier write of it was applied, or the state was as requested from the start.
    async fn finish_unchanged(&mut self, current: Option<&'static Level>) -> Result<Outcome, GovernanceError> {
        if let Some(write) = self.lost_write.filter(|write| write.resulting_level() == current) {
            return Ok(self.done(write));
        }
        if current.is_none() {
            self.confirm_existence().await?;
        }
        Ok(Outcome::unchanged(self.request))
    }

    /// Confirms that "not found" means that no level is held: the resource is visible now, and so is a group, whose path the level
    /// was read under. An earlier list proves nothing: the credential's owner may have lost sight of the resource since.
    async fn confirm_existence(&self) -> Result<(), GovernanceError> {
        let Membership { resource, principal } = self.membership;
        let group = Some(principal).filter(|principal| principal.resource_type.kind == ResourceKind::Group);
        for id in [Some(resource), group].into_iter().flatten() {
            let existing = self.provisioning.listings.resource_now(id, &self.call).await?;
            self.provisioning.directory.record(&[existing]);
        }
        Ok(())
    }

    fn done(&mut self, write: Write) -> Outcome {
        self.record.observe_level(write.resulting_level());
        self.record_own_write(write);
        Outcome::of(self.request, write)
    }

    fn record_own_write(&self, write: Write) {
        let valid_for = self.timeouts().own_write_window;
        let recent_writes = &self.provisioning.memberships.recent_writes;
        recent_writes.record(self.membership, write.resulting_level(), valid_for);
    }

    /// The last checks before a write: the protections, the caller's deadline and connection, and the audit record.
    async fn preflight(&mut self, write: Write) -> Result<(), GovernanceError> {
        self.provisioning
            .guard(
                self.levels,
                self.membership,
                write,
                &self.labels,
                &mut self.guard_lock,
                &self.call,
            )
            .await?;
        if self.call.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(GovernanceError::DeadlineExceeded);
        }
        if self.call.is_cancelled() {
            return Err(GovernanceError::Abandoned);
        }
        self.record.write_intent(write).await
    }

    async fn send(&mut self, write: Write) -> Result<WriteResult, GovernanceError> {
        // Invalidate before and after: a sync that reads the grants in between may see either state, and must not keep the old
        // one.
        self.provisioning.listings.invalidate(self.membership);
        let reply = self.levels.write(self.membership, write, &self.call).await;
        self.provisioning.listings.invalidate(self.membership);
        let not_sent = matches!(&reply, Err(failure) if !failure.may_have_applied());
        if !not_sent {
            // The write may have been applied: from here on the request is finished even if the caller disconnects.
            self.call = self.call.detached_until(Instant::now() + self.timeouts().completion);
        }
        match reply {
            Ok(WriteReply::Confirmed) => Ok(WriteResult::Confirmed),
            Ok(WriteReply::AlreadyPresent) => Ok(WriteResult::AlreadyPresent),
            Ok(WriteReply::Unconfirmed(shown)) => Ok(WriteResult::Unconfirmed(shown)),
            Err(failure) => match failure.class {
                FailureClass::NotFound | FailureClass::Rejected => Ok(WriteResult::Rejected(failure)),
                FailureClass::NotSent => Ok(WriteResult::NotSent(failure)),
                FailureClass::Unavailable | FailureClass::Unexpected => Ok(WriteResult::ReplyLost(failure)),
                FailureClass::Forbidden if matches!(write, Write::Add(_)) => {
                    Err(self.after_forbidden_add(failure).await)
                }
                _ => Err(self.explain(failure).await),
            },
        }
    }

    /// Explains a failure that is not about whether the resource exists.
    pub(crate) async fn explain(&self, failure: Failure) -> GovernanceError {
        self.resources.explain(failure, None, &self.call).await
    }

    pub(crate) fn timeouts(&self) -> &'a WriteTimeouts {
        &self.provisioning.settings.write_timeouts
    }

    /// The write was accepted without a matching echo. Poll until it is visible; stop if both the echo and a read show the same
    /// different level, which is a concurrent change.
    async fn await_visibility(
        &mut self,
        write: Write,
        before: Option<&'static Level>,
        echo: Option<&'static Level>,
    ) -> Result<Option<&'static Level>, GovernanceError> {
        self.record_own_write(write);
        let concurrent = echo.filter(|_| echo != before);
        let delays = &self.timeouts().read_back_delays;
        self.poll_level(
            |current| current == write.resulting_level() || (current.is_some() && current == concurrent),
            delays,
        )
        .await
    }

    /// Looks for a write whose reply was lost, and remembers it, because it may become visible later.
    async fn recover_lost_reply(&mut self, write: Write) -> Result<Option<&'static Level>, GovernanceError> {
        self.record_own_write(write);
        self.lost_write = Some(write);
        let delays = self.timeouts().recheck_delays();
        self.poll_level(|current| current == write.resulting_level(), delays)
            .await
    }

    fn not_visible_error(&self, write: Write, current: Option<&'static Level>) -> GovernanceError {
        let held = current.map_or_else(|| "holds nothing".to_owned(), |level| format!("is {level}"));
        GovernanceError::Unavailable {
            endpoint: self.levels.endpoint(write),
            why: format!(
                "the change was sent but is not visible ({} now {held})",
                self.labels.principal
            ),
        }
    }
}
