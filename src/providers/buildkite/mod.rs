//! Buildkite's REST API v2 as typed calls.
//!
//! This module implements the REST client: endpoints, rows, pagination of long lists, classification of errors, the
//! credential, and the request budget. It does not depend on governance: [`crate::governance`] decides what a
//! response means for access.

pub mod api;
pub mod budget;
mod call;
mod credential;
pub mod pagination;

pub use crate::telemetry::redact::{mask, redact};
pub use api::client::{Client, ClientError, ClientOptions};
pub use api::endpoint::{Endpoint, Scope};
pub use api::error::{ApiError, ApiErrorKind, Unavailability};
pub use api::ids::{IdError, OrganizationSlug, Role, TeamId, UserId};
pub use api::origin::{ApiOrigin, OriginError};
pub use api::time::timestamp;
pub use api::types::{
    AccessToken, CurrentUser, ListedRole, Organization, OrganizationMember, Team, TeamMember, TokenUser,
};
pub use call::{CallContext, CallStats, Lane};
pub use credential::token::{ApiToken, CredentialError};
pub use credential::token_file::{Credential, TokenFileError};
