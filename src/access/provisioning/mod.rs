//! Grants and revokes: the role held now is read, the table decides, one change is made, and it is confirmed by what
//! Buildkite echoes or by reading again.
//!
//! [`decision`] is the table, [`carry_out`] the reading, writing and confirming, [`turns`] the order of calls about one pair,
//! [`principal`] who is meant. A write that was begun is finished even if the caller hangs up, so it runs in a task of its own;
//! a caller that is gone before the write begins has changed nothing.

mod carry_out;
mod decision;
mod principal;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use decision::{Decision, MaintainerRevoke, Request, Write, decide};
pub use turns::Pair;

use super::{Access, AccessError, EntitlementId, GrantId, Principal};
use crate::buildkite::{Call, Lane, Role};
use carry_out::Work;
use principal::Directory;
use turns::Turns;

/// What provisioning keeps between calls.
#[derive(Debug, Default)]
pub(super) struct Provisioning {
    turns: Turns,
    directory: Directory,
}

/// What a grant or revoke came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The role was given to somebody who held none.
    Granted,
    /// The role was held already.
    AlreadyExists,
    /// The role took the place of this one.
    Replaced(Role),
    /// The role was taken away.
    Revoked,
    /// The role was not held.
    AlreadyRevoked,
    /// The role was taken away, and membership left.
    Demoted,
}

impl Outcome {
    /// The outcome's name in logs and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::AlreadyExists => "already_exists",
            Self::Replaced(_) => "replaced",
            Self::Revoked => "revoked",
            Self::AlreadyRevoked => "already_revoked",
            Self::Demoted => "demoted",
        }
    }

    fn of(request: Request, write: Write) -> Self {
        match (request, write) {
            (Request::Grant(_), Write::Change { from, .. }) => Self::Replaced(from),
            (Request::Grant(_), _) => Self::Granted,
            (Request::Revoke(_), Write::Change { .. }) => Self::Demoted,
            (Request::Revoke(_), _) => Self::Revoked,
        }
    }

    fn already(request: Request) -> Self {
        match request {
            Request::Grant(_) => Self::AlreadyExists,
            Request::Revoke(_) => Self::AlreadyRevoked,
        }
    }
}

/// A request that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The grant that was asked for.
    pub grant: GrantId,
    /// What became of it.
    pub outcome: Outcome,
}

impl Receipt {
    /// The grant that this one took the place of.
    #[must_use]
    pub fn replaced(&self) -> Option<GrantId> {
        let Outcome::Replaced(role) = self.outcome else {
            return None;
        };
        let entitlement = EntitlementId {
            role,
            ..self.grant.entitlement
        };
        Some(GrantId {
            entitlement,
            ..self.grant
        })
    }
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
        deadline: Option<Instant>,
    ) -> Result<Receipt, AccessError> {
        self.provision(Request::Grant(entitlement.role), entitlement, principal, deadline)
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
        deadline: Option<Instant>,
    ) -> Result<Receipt, AccessError> {
        self.provision(Request::Revoke(entitlement.role), entitlement, principal, deadline)
            .await
    }

    async fn provision(
        self: &Arc<Self>,
        request: Request,
        entitlement: EntitlementId,
        principal: Principal,
        deadline: Option<Instant>,
    ) -> Result<Receipt, AccessError> {
        if !self.settings.provisioning {
            return Err(AccessError::ProvisioningDisabled);
        }
        let call = Call::new(Lane::Provisioning).until(deadline);
        let begun = Instant::now();
        let user = self.resolve(&principal, &call).await?;
        let pair = Pair {
            team: entitlement.team,
            user,
        };
        // Taken before the task is made, so that arrival decides the order and a caller that hangs up here starts nothing.
        let turn = self
            .provisioning
            .turns
            .take(pair, deadline)
            .await
            .ok_or(AccessError::DeadlineExceeded)?;
        let somebody_waits = call.waited_for();
        let (access, task_call) = (Arc::clone(self), call.clone());
        let task = tokio::spawn(async move {
            let _turn = turn;
            Work::new(&access, pair, request, task_call).run().await
        });
        let outcome = match task.await {
            Ok(outcome) => outcome,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        };
        drop(somebody_waits);
        log(request, pair, &outcome, &call, begun.elapsed());
        Ok(Receipt {
            grant: GrantId { entitlement, user },
            outcome: outcome?,
        })
    }
}

fn log(request: Request, pair: Pair, outcome: &Result<Outcome, AccessError>, call: &Call, took: Duration) {
    let spent = call.spent();
    let statuses: Vec<u16> = spent
        .attempts
        .iter()
        .map(|attempt| attempt.status.map_or(0, |status| status.as_u16()))
        .collect();
    let outcome = match outcome {
        Ok(outcome) => outcome.as_str().to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::info!(
        target: "audit",
        operation = request.operation(),
        role = %request.role(),
        team = %pair.team,
        user = %pair.user,
        outcome,
        ?statuses,
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "provisioning"
    );
}
