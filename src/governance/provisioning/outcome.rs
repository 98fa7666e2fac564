//! The outcome of a grant or revoke.

use super::plan::{Request, Write};
use crate::governance::model::{EntitlementId, GrantId, Level};

/// The outcome of a grant or revoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The level was granted to a principal that held none.
    Granted,
    /// The level was held already.
    AlreadyExists,
    /// The granted level replaced this one.
    Replaced(&'static Level),
    /// The level was removed.
    Revoked,
    /// The level was not held.
    AlreadyRevoked,
    /// The level was replaced by the level below.
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

    pub(crate) fn of(request: Request, write: Write) -> Self {
        match (request, write) {
            (Request::Grant(_), Write::Change { from, .. }) => Self::Replaced(from),
            (Request::Grant(_), _) => Self::Granted,
            (Request::Revoke(_), Write::Change { .. }) => Self::Demoted,
            (Request::Revoke(_), _) => Self::Revoked,
        }
    }

    pub(crate) fn unchanged(request: Request) -> Self {
        match request {
            Request::Grant(_) => Self::AlreadyExists,
            Request::Revoke(_) => Self::AlreadyRevoked,
        }
    }
}

/// The result of a request that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvisioningResult {
    /// The requested grant.
    pub grant: GrantId,
    /// The outcome.
    pub outcome: Outcome,
    /// The level before the request; `None` if none was held.
    pub before: Option<&'static Level>,
}

impl ProvisioningResult {
    /// The grant that this one replaced, if any.
    #[must_use]
    pub fn replaced(&self) -> Option<GrantId> {
        let Outcome::Replaced(level) = self.outcome else {
            return None;
        };
        let entitlement = EntitlementId {
            level,
            ..self.grant.entitlement
        };
        Some(GrantId {
            entitlement,
            ..self.grant
        })
    }
}
