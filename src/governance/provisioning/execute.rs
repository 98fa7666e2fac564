//! Reads, writes and confirms, until the table has nothing left to do.
//!
//! What comes back from a write is one of these, and each has one continuation:
//!
//! | came back | what is done |
//! | --- | --- |
//! | 2xx that echoes the wanted role | done; a POST that echoes a row from long before found what was there already |
//! | 2xx that does not | read again until it shows; claimed only then; where something else shows, decide once more |
//! | no connection | nothing was sent: decide once more |
//! | nothing, 5xx, a cut answer | may have been applied: read again; if it shows it was ours, else decide once more |
//! | 404, 409, 422 | may mean "already so": read again and decide once more; if nothing changed, the refusal stands |
//! | 403, 401, no budget | stands, after a 403 on a POST was checked for a person outside the organization |

use tokio::time::Instant;

use super::audit::AuditRecord;
use super::plan::{Plan, Request, Write, plan};
use super::{Outcome, Provisioning, WriteTimeouts};
use crate::governance::model::{Level, Membership};
use crate::governance::provider::{Assignable, Failure, FailureClass, ResourceType, WriteReply};
use crate::governance::{CallContext, GovernanceError};

/// Writes that one request may send: the first, and again where the one before is seen not to have been applied.
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
    /// The user as messages name them.
    pub(crate) user_label: String,
    request: Request,
    pub(crate) call: CallContext,
    pub(crate) record: &'a mut AuditRecord,
    /// A write of ours whose reply was lost: if it shows, it was this one.
    pub(crate) lost_write: Option<Write>,
}

impl<'a> Operation<'a> {
    pub(crate) fn new(
        provisioning: &'a Provisioning,
        (resources, levels): (&'a dyn ResourceType, &'a dyn Assignable),
        membership: Membership,
        user_label: String,
        request: Request,
        call: CallContext,
        record: &'a mut AuditRecord,
    ) -> Self {
        Self {
            provisioning,
            resources,
            levels,
            membership,
            user_label,
            request,
            call,
            record,
            lost_write: None,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Outcome, GovernanceError> {
        match (self.converge().await, self.request) {
            // In a team that is proven gone nobody holds anything.
            (Err(GovernanceError::ResourceNotFound { .. }), Request::Revoke(_)) => Ok(Outcome::AlreadyRevoked),
            (outcome, _) => outcome,
        }
    }

    async fn converge(&mut self) -> Result<Outcome, GovernanceError> {
        let mut current = self.read_current_level().await?;
        let mut last_error = None;
        for _ in 0..MAX_WRITES {
            let write = match self.decide(current) {
                Plan::NoChange => return self.finish_unchanged(current).await,
                Plan::Apply(write) => write,
            };
            self.preflight(write).await?;
            match self.send(write).await? {
                WriteResult::AlreadyPresent if self.lost_write.is_none() => {
                    self.record.observe_level(write.resulting_level());
                    return Ok(Outcome::unchanged(self.request));
                }
                WriteResult::Confirmed | WriteResult::AlreadyPresent => return Ok(self.done(write)),
                WriteResult::Unconfirmed(echo) => {
                    let before = current;
                    current = self.await_visibility(write, before, echo).await?;
                    if current == write.resulting_level() {
                        return Ok(self.done(write));
                    }
                    if current == before {
                        return Err(self.not_visible_error(write, current));
                    }
                }
                WriteResult::NotSent(error) => {
                    current = self.poll_level(|_| true, &[]).await?;
                    last_error = Some(error);
                }
                WriteResult::ReplyLost(error) => {
                    current = self.recover_lost_reply(write).await?;
                    if current != write.resulting_level() && !error.is_transient() {
                        return Err(self.explain(error).await);
                    }
                    last_error = Some(error);
                }
                WriteResult::Rejected(error) => current = self.recheck_after_rejection(write, current, error).await?,
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
            self.provisioning.level_instead(self.membership.resource, self.request),
        )
    }

    /// Nothing is left to do: because a write of ours did it, or because it was so.
    async fn finish_unchanged(&mut self, current: Option<&'static Level>) -> Result<Outcome, GovernanceError> {
        if let Some(write) = self.lost_write.filter(|write| write.resulting_level() == current) {
            return Ok(self.done(write));
        }
        if current.is_none() {
            // Revoked already, if "not found" means what it says: the resource has to exist for its holder to be absent.
            let id = self.membership.resource.id;
            match self.resources.get(id, &self.call).await {
                Ok(resource) => self.provisioning.directory.record(&[resource]),
                Err(failure) => return Err(self.resources.explain(failure, Some(id), &self.call).await),
            }
        }
        Ok(Outcome::unchanged(self.request))
    }

    fn done(&mut self, write: Write) -> Outcome {
        self.record.observe_level(write.resulting_level());
        self.record_own_write(write);
        Outcome::of(self.request, write)
    }

    fn record_own_write(&self, write: Write) {
        let valid_for = self.timeouts().own_write_window;
        let recent_writes = &self.provisioning.recent_writes;
        recent_writes.record(self.membership, write.resulting_level(), valid_for);
    }

    /// The last check before a write: the guards, whether the caller still waits, and the record.
    async fn preflight(&mut self, write: Write) -> Result<(), GovernanceError> {
        self.provisioning
            .guard(self.levels, self.membership, write, &self.call)
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
        // Both before and after: a sync that reads the grants meanwhile may see either, and must not keep the older.
        self.provisioning.listings.invalidate(self.membership.resource);
        let reply = self.levels.write(self.membership, write, &self.call).await;
        self.provisioning.listings.invalidate(self.membership.resource);
        let not_sent = matches!(&reply, Err(failure) if !failure.may_have_applied());
        if !not_sent {
            // The write may have been applied: from here on the rest is finished, also if the caller is gone.
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
    /// different role, which is a concurrent change.
    async fn await_visibility(
        &mut self,
        write: Write,
        before: Option<&'static Level>,
        echo: Option<&'static Level>,
    ) -> Result<Option<&'static Level>, GovernanceError> {
        self.record_own_write(write);
        let instead = echo.filter(|_| echo != before);
        let pauses = &self.timeouts().read_back_delays;
        self.poll_level(
            |current| current == write.resulting_level() || (current.is_some() && current == instead),
            pauses,
        )
        .await
    }

    /// A write's reply was lost: it is looked for, and remembered as one that may still come to show.
    async fn recover_lost_reply(&mut self, write: Write) -> Result<Option<&'static Level>, GovernanceError> {
        self.record_own_write(write);
        self.lost_write = Some(write);
        let doubts = self.timeouts().recheck_delays();
        self.poll_level(|current| current == write.resulting_level(), doubts)
            .await
    }

    fn not_visible_error(&self, write: Write, current: Option<&'static Level>) -> GovernanceError {
        let held = current.map_or_else(|| "holds nothing".to_owned(), |level| format!("is {level}"));
        GovernanceError::Unavailable {
            endpoint: self.levels.endpoint(write),
            why: format!("the change was sent but does not show ({} now {held})", self.user_label),
        }
    }
}
