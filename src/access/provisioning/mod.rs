//! Grants and revokes: the role held now is read, the table decides, one change is made, and it is confirmed by what
//! Buildkite echoes or by reading again.
//!
//! [`decision`] is the table, [`carry_out`] the reading, writing and confirming, [`refusal`] what a refused write means,
//! [`turns`] the order of calls about one pair, [`principal`] who is meant, [`guards`] what is never touched, [`audit`] the
//! record. A write that was begun is finished and recorded even if the caller hangs up, so it runs in a task of its own; a
//! caller that is gone before the write begins has changed nothing.

mod audit;
mod carry_out;
mod decision;
mod guards;
mod names;
mod outcome;
mod patience;
mod principal;
mod reading;
mod refusal;
#[cfg(test)]
mod tests;
mod turns;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use audit::AuditSink;
pub use decision::{Decision, MaintainerRevoke, Operation, Request, Write, decide};
pub(super) use guards::Names as ProtectedNames;
pub use guards::Protected;
pub use outcome::{Outcome, Receipt};
pub use patience::Patience;
pub use turns::Pair;

use super::{Access, AccessError, EntitlementId, GrantId, Principal};
use crate::buildkite::{Call, Lane};
use audit::{Audit, Record, Subject};
use carry_out::Work;
use guards::Guards;
use names::Names;
use principal::Directory;
use turns::Turns;

/// The sink that is a file.
pub(super) fn file_sink(path: PathBuf) -> Arc<dyn AuditSink> {
    Audit::file(path)
}

/// What provisioning keeps between calls.
#[derive(Debug, Default)]
pub(super) struct Provisioning {
    turns: Turns,
    directory: Directory,
    guards: Guards,
    pub(super) names: Names,
    audit: Arc<Audit>,
    under_way: TaskTracker,
    ending: CancellationToken,
}

impl Provisioning {
    /// Records on the log and in `sink`; `news` is notified when health has something to say.
    pub(super) fn new(sink: Option<Arc<dyn AuditSink>>, append: Duration, news: Arc<Notify>) -> Self {
        Self {
            audit: Arc::new(Audit::new(sink, append, news)),
            ..Self::default()
        }
    }
}

/// Who asks, and for how long.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Who called, as the record names them.
    pub caller: Arc<str>,
    /// The name of the request in both sides' records.
    pub request_id: String,
    /// When they stop waiting.
    pub deadline: Option<Instant>,
    /// When the call ends as `DEADLINE_EXCEEDED`: a little earlier.
    pub answer_by: Option<Instant>,
}

impl Asker {
    /// Why the caller does not wait any more: it was answered that its time is over, or it hung up.
    fn gone(&self) -> AccessError {
        if self.answer_by.is_some_and(|answer_by| answer_by <= Instant::now()) {
            AccessError::DeadlineExceeded
        } else {
            AccessError::Abandoned
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

impl Access {
    /// Lets `principal` hold the entitlement.
    ///
    /// # Errors
    /// Each leaves the caller knowing that nothing may be claimed: see the design's table.
    pub async fn grant(
        self: &Arc<Self>,
        entitlement: EntitlementId,
        principal: Principal,
        asker: Asker,
    ) -> Result<Receipt, AccessError> {
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
        asker: Asker,
    ) -> Result<Receipt, AccessError> {
        self.provision(Request::Revoke(entitlement.role), entitlement, principal, asker)
            .await
    }

    /// Puts a request on record that was refused because it is not well formed, and returns `error`, the reason.
    pub async fn record_refusal(&self, request: Malformed, asker: Asker, error: AccessError) -> AccessError {
        let call = Call::new(Lane::Provisioning);
        let Malformed {
            operation,
            entitlement,
            principal,
        } = request;
        let record = self.record(operation, entitlement, principal, asker, call);
        let refused = Err(error);
        record.conclude(&refused).await;
        refused.err().unwrap_or(AccessError::Abandoned)
    }

    /// What keeps audit records from being written, if anything does.
    #[must_use]
    pub fn audit_trouble(&self) -> Option<String> {
        self.provisioning.audit.trouble()
    }

    /// Where audit records cannot be written, finds out whether they can be again.
    pub(super) async fn look_at_audit(&self) {
        self.provisioning.audit.look().await;
    }

    /// From now on no write is begun: what waits for its turn or for the budget ends as `ShuttingDown`.
    pub fn begin_no_more(&self) {
        self.provisioning.ending.cancel();
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
        asker: Asker,
    ) -> Result<Receipt, AccessError> {
        let call = Call::new(Lane::Provisioning)
            .until(asker.deadline)
            .unless(&self.provisioning.ending);
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
                let failed = Err(error);
                record.conclude(&failed).await;
                return Err(failed.err().unwrap_or(AccessError::Abandoned));
            }
        };
        let somebody_waits = call.waited_for();
        let access = Arc::clone(self);
        let task = self.provisioning.under_way.spawn(async move {
            let _turn = turn;
            let person = access.provisioning.names.person(&principal);
            let outcome = Work::new(&access, pair, person, request, call, &mut record).run().await;
            let outcome = outcome.map_err(|error| access.because_of_the_end(error, &asker));
            record.conclude(&outcome).await;
            // Whether the record could be written is part of health.
            access.observed.stir();
            outcome
        });
        let outcome = match task.await {
            Ok(outcome) => outcome,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(_) => Err(AccessError::Abandoned),
            },
        };
        drop(somebody_waits);
        Ok(Receipt {
            grant: GrantId {
                entitlement,
                user: pair.user,
            },
            outcome: outcome?,
        })
    }

    fn record(
        &self,
        operation: Operation,
        entitlement: Option<EntitlementId>,
        principal: Option<Principal>,
        asker: Asker,
        call: Call,
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
        call: &Call,
    ) -> Result<(Pair, turns::Turn), AccessError> {
        if !self.settings.provisioning {
            return Err(AccessError::ProvisioningDisabled);
        }
        if call.is_abandoned() {
            return Err(AccessError::ShuttingDown);
        }
        let user = self.resolve(principal, call).await?;
        record.is_about(user, self.provisioning.names.email(user));
        let pair = Pair {
            team: entitlement.team,
            user,
        };
        let turn = tokio::select! {
            biased;
            () = call.given_up() => return Err(AccessError::ShuttingDown),
            turn = self.provisioning.turns.take(pair, call.deadline()) => turn,
        };
        Ok((pair, turn.ok_or(AccessError::DeadlineExceeded)?))
    }

    /// A write that was not begun because the process ends, or because its caller's time was over, says so rather than that the
    /// caller is gone.
    fn because_of_the_end(&self, error: AccessError, asker: &Asker) -> AccessError {
        match error {
            AccessError::Abandoned if self.provisioning.ending.is_cancelled() => AccessError::ShuttingDown,
            AccessError::Abandoned => asker.gone(),
            other => other,
        }
    }
}
