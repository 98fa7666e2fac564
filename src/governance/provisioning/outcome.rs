//! What a grant or revoke came to.

use super::plan::{Request, Write};
use crate::governance::model::{EntitlementId, GrantId, Level};

/// What a grant or revoke came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The role was granted to a user without one.
    Granted,
    /// The role was held already.
    AlreadyExists,
    /// The role took the place of this one.
    Replaced(&'static Level),
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

/// A request that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvisioningResult {
    /// The grant that was asked for.
    pub grant: GrantId,
    /// What became of it.
    pub outcome: Outcome,
    /// The role that was read first; none for none.
    pub before: Option<&'static Level>,
}

impl ProvisioningResult {
    /// The grant that this one took the place of.
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
