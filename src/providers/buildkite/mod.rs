//! Buildkite's REST API v2 as typed calls.
//!
//! This room knows how Buildkite is asked and how its answers are to be read: endpoints, rows, windows of long lists, the
//! classes of trouble, the credential and the budget that every request is spent from. It knows nothing of governance:
//! what an answer *means* for somebody's access is decided in [`crate::governance`].

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
