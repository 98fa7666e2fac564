//! The observer of a client: the one place that sees every typed response.

use std::fmt::Debug;

use tokio::time::Instant;

use crate::governance::CallContext;
use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::providers::buildkite::api::error::ApiError;
use crate::providers::buildkite::api::ids::UserId;
use crate::providers::buildkite::api::types::{AccessToken, CurrentUser, Organization, OrganizationMember};

/// Is notified of each completed call of a client. Not of a revocation of the token: the reads that follow show its effect.
pub(crate) trait Observer: Debug + Send + Sync {
    /// A method of the client returned: `call` is the call that it served, `begun` the time at which it was called. `credential` is
    /// the position of the credential, if one had to serve it.
    fn observe(&self, credential: Option<usize>, call: &CallContext, begun: Instant, completed: Completed<'_>);
}

/// What a method of the client returned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Completed<'a> {
    AccessToken(&'a Result<AccessToken, ApiError>),
    User(&'a Result<CurrentUser, ApiError>),
    Organization(&'a Result<Organization, ApiError>),
    Organizations(&'a Result<Vec<Organization>, ApiError>),
    /// The user whose record was requested, and the record.
    OrganizationMember(UserId, &'a Result<OrganizationMember, ApiError>),
    /// A call whose value no observer needs: a list, a row of a team, or a write.
    Other(Endpoint, Result<(), &'a ApiError>),
}
