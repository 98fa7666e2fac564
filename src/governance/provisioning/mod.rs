//! Grants and revokes: the role held now is read, the table decides, one change is made, and it is confirmed by what
//! Buildkite echoes or by reading again.
//!
//! [`plan`] is the table, [`execute`] the reading, writing and confirming, [`rejected_write`] what a refused write means,
//! [`keyed_lock`] the order of calls about one pair, `principal` who is meant, [`protection`] what is never touched, `audit` the
//! record. A write that was begun is finished and recorded even if the caller hangs up, so it runs in a task of its own; a
//! caller that is gone before the write begins has changed nothing.

mod audit;
mod disconnect;
pub mod display_names;
pub mod execute;
pub mod keyed_lock;
mod outcome;
pub mod plan;
mod preview;
mod principal;
pub mod protection;
pub mod read_back;
pub mod rejected_write;
#[cfg(test)]
mod tests;
pub mod timeouts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use audit::AuditSink;
pub use disconnect::OwnToken;
pub use keyed_lock::Pair;
pub use outcome::{Outcome, ProvisioningResult};
pub use plan::{MaintainerRevoke, Operation, Plan, Request, Write, decide};
pub use preview::Preview;
pub(crate) use protection::Names as ProtectedNames;
pub use protection::Protected;
pub use timeouts::WriteTimeouts;

use super::{EntitlementId, Governance, GovernanceError, GrantId, Principal};
use crate::providers::buildkite::{CallContext, Lane};
use audit::{Audit, Record, Subject};
use display_names::Names;
use execute::Work;
use keyed_lock::Turns;
use principal::Directory;
use protection::Guards;

/// The sink that is a file.
pub(crate) fn file_sink(path: PathBuf) -> Arc<dyn AuditSink> {
    Audit::file(path)
}

/// What provisioning keeps between calls.
#[derive(Debug, Default)]
pub(crate) struct Provisioning {
    turns: Turns,
    directory: Directory,
    guards: Guards,
    pub(crate) names: Names,
    audit: Arc<Audit>,
    under_way: TaskTracker,
    ending: CancellationToken,
}

impl Provisioning {
    /// Records on the log and in `sink`; `news` is notified when health has something to say.
    pub(crate) fn new(sink: Option<Arc<dyn AuditSink>>, append: Duration, news: Arc<Notify>) -> Self {
        Self {
            audit: Arc::new(Audit::new(sink, append, news)),
            ..Self::default()
        }
    }
}

/// Who asks, and for how long.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Who called, as the record names them.
    pub caller: Arc<str>,
    /// The name of the request in both sides' records.
    pub request_id: String,
    /// When they stop waiting.
    pub deadline: Option<Instant>,
    /// When the call ends as `DEADLINE_EXCEEDED`: a little earlier.
    pub answer_by: Option<Instant>,
}

impl RequestContext {
    /// Why the caller does not wait any more: it was answered that its time is over, or it hung up.
    fn gone(&self) -> GovernanceError {
        if self.answer_by.is_some_and(|answer_by| answer_by <= Instant::now()) {
            GovernanceError::DeadlineExceeded
        } else {
            GovernanceError::Abandoned
        }
    }
}

/// What could be read of a request that is not well formed.
#[derive(Debug, Clone)]
pub struct Malformed {
    /// The operation.
    pub operation: Operation,
    /// The entitlement, where it could be read.
    pub entitlement: Option<EntitlementId>,
    /// The principal, where it could be read.
    pub principal: Option<Principal>,
}

impl Governance {
    /// Lets `principal` hold the entitlement.
    ///
    /// # Errors
    /// Each leaves the caller knowing that nothing may be claimed: see the design's table.
    pub async fn grant(
        self: &Arc<Self>,
        entitlement: EntitlementId,
        principal: Principal,
        asker: RequestContext,
    ) -> Result<ProvisioningResult, GovernanceError> {
        self.provision(Request::Grant(entitlement.role), entitlement, principal, asker)
            .await
    }

    /// Lets `principal` hold the entitlement no longer.
    ///
    /// # Errors
    /// As for a grant.
    pub async fn revoke(
        self: &Arc<Self>,
        entitlement: EntitlementId,
        principal: Principal,
        asker: RequestContext,
    ) -> Result<ProvisioningResult, GovernanceError> {
        self.provision(Request::Revoke(entitlement.role), entitlement, principal, asker)
            .await
    }

    /// Puts a request on record that was refused because it is not well formed, and returns `error`, the reason.
    pub async fn record_refusal(
        &self,
        request: Malformed,
        asker: RequestContext,
        error: GovernanceError,
    ) -> GovernanceError {
        let call = CallContext::new(Lane::Provisioning);
        let Malformed {
            operation,
            entitlement,
            principal,
        } = request;
        let record = self.record(operation, entitlement, principal, asker, call);
        let refused = Err(error);
        record.conclude(&refused).await;
        refused.err().unwrap_or(GovernanceError::Abandoned)
    }

    /// What keeps audit records from being written, if anything does.
    #[must_use]
    pub fn audit_trouble(&self) -> Option<String> {
        self.provisioning.audit.trouble()
    }

    /// Where audit records cannot be written, finds out whether they can be again.
    pub(crate) async fn look_at_audit(&self) {
        self.provisioning.audit.look().await;
    }

    /// From now on no write is begun: what waits for its turn or for the budget ends as `ShuttingDown`.
    pub fn begin_no_more(&self) {
        self.provisioning.ending.cancel();
    }

    /// Resolves once nothing new is begun.
    pub async fn ending(&self) {
        self.provisioning.ending.cancelled().await;
    }

    /// Resolves once every grant and revoke that was begun is finished, also those whose caller is gone.
    pub async fn finish_changes(&self) {
        self.provisioning.under_way.close();
        self.provisioning.under_way.wait().await;
    }

    async fn provision(
        self: &Arc<Self>,
        request: Request,
        entitlement: EntitlementId,
        principal: Principal,
        asker: RequestContext,
    ) -> Result<ProvisioningResult, GovernanceError> {
        let call = CallContext::new(Lane::Provisioning)
            .with_deadline(asker.deadline)
            .with_cancellation(&self.provisioning.ending);
        let mut record = self.record(
            request.operation(),
            Some(entitlement),
            Some(principal.clone()),
            asker.clone(),
            call.clone(),
        );
        let (pair, turn) = match self.turn(entitlement, &principal, &mut record, &call).await {
            Ok(turn) => turn,
            Err(error) => {
                let failed = Err(self.because_of_the_end(error, &asker));
                record.conclude(&failed).await;
                return Err(failed.err().unwrap_or(GovernanceError::Abandoned));
            }
        };
        let somebody_waits = call.cancel_on_drop();
        let access = Arc::clone(self);
        let task = self.provisioning.under_way.spawn(async move {
            let _turn = turn;
            let person = access.provisioning.names.person(&principal);
            let outcome = Work::new(&access, pair, person, request, call, &mut record).run().await;
            let outcome = outcome.map_err(|error| access.because_of_the_end(error, &asker));
            let before = record.before();
            record.conclude(&outcome).await;
            // Whether the record could be written is part of health.
            access.observed.stir();
            (outcome, before)
        });
        let (outcome, before) = match task.await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(_) => (Err(GovernanceError::Abandoned), None),
            },
        };
        drop(somebody_waits);
        Ok(ProvisioningResult {
            grant: GrantId {
                entitlement,
                user: pair.user,
            },
            outcome: outcome?,
            before,
        })
    }

    fn record(
        &self,
        operation: Operation,
        entitlement: Option<EntitlementId>,
        principal: Option<Principal>,
        asker: RequestContext,
        call: CallContext,
    ) -> Record {
        let names = &self.provisioning.names;
        let subject = Subject {
            asker,
            operation,
            entitlement,
            principal,
            team_slug: entitlement.and_then(|entitlement| names.slug(entitlement.team)),
        };
        Record::new(Arc::clone(&self.provisioning.audit), subject, call)
    }

    /// Waits for the pair's turn. Taken before the task is made, so that arrival decides the order, and a caller that hangs up
    /// while it waits starts nothing.
    async fn turn(
        &self,
        entitlement: EntitlementId,
        principal: &Principal,
        record: &mut Record,
        call: &CallContext,
    ) -> Result<(Pair, keyed_lock::Turn), GovernanceError> {
        if !self.settings.provisioning {
            return Err(GovernanceError::ProvisioningDisabled);
        }
        if call.is_cancelled() {
            return Err(GovernanceError::ShuttingDown);
        }
        let user = self.resolve(principal, call).await?;
        record.is_about(user, self.provisioning.names.email(user));
        let pair = Pair {
            team: entitlement.team,
            user,
        };
        let turn = tokio::select! {
            biased;
            () = call.cancelled() => return Err(GovernanceError::ShuttingDown),
            turn = self.provisioning.turns.take(pair, call.deadline()) => turn,
        };
        Ok((pair, turn.ok_or(GovernanceError::DeadlineExceeded)?))
    }

    /// A write that was not begun because the process ends, or because its caller's time was over, says so rather than that the
    /// caller is gone.
    fn because_of_the_end(&self, error: GovernanceError, asker: &RequestContext) -> GovernanceError {
        match error {
            GovernanceError::Abandoned if self.provisioning.ending.is_cancelled() => GovernanceError::ShuttingDown,
            GovernanceError::Abandoned => asker.gone(),
            other => other,
        }
    }
}
