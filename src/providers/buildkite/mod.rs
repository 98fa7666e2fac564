//! Buildkite as a provider, by its REST API v2.
//!
//! [`api`], [`pagination`] and [`budget`] implement the REST client: endpoints, rows, long lists, classification of errors, the
//! credential, and the request budget. [`BuildkiteProvider`] implements the seam of [`crate::governance`]: `resources` has one file
//! for each resource type, `error_meaning` decides what an error means, `absence`, `lists` and `visibility` decide when a response
//! is trusted, and [`health`] reports.

mod absence;
pub mod actions;
pub mod api;
pub mod budget;
mod coverage;
mod credential;
pub(crate) mod credential_status;
mod error_meaning;
pub mod health;
mod lists;
mod lockout;
mod organization;
pub mod pagination;
mod provider;
pub mod resources;
mod shared;
#[cfg(test)]
mod tests;
mod visibility;

pub use crate::telemetry::redact::{mask, redact};
pub use api::client::pool::CredentialSpec;
pub use api::client::{Client, ClientError, ClientOptions, SharedTls};
pub use api::endpoint::Endpoint;
pub use api::error::{ApiError, ApiErrorKind, Unavailability};
pub use api::ids::{
    ClusterId, IdError, InvitationId, MaintainerId, ObjectSlug, OrganizationId, OrganizationSlug, PipelineId,
    PipelineSlug, RegistryId, Role, SuiteId, TeamId, UserId,
};
pub use api::objects::{
    Cluster, ClusterMaintainer, Invitation, InvitingUser, MaintainerActor, Pipeline, Registry, Suite,
};
pub use api::origin::{ApiOrigin, OriginError};
pub use api::repository::Repository;
pub use api::scope::{Scope, UnknownScope};
pub use api::time::timestamp;
pub use api::types::{
    AccessToken, CurrentUser, ListedRole, Organization, OrganizationMember, Team, TeamMember, TokenUser,
};
pub(crate) use coverage::OwnerRequirement;
pub use coverage::{Coverage, CoverageError, IncludedType, UnknownType};
pub use credential::refusal::{CredentialRefusal, RefusalCause};
pub use credential::secret_file::SecretFileError;
pub use credential::signing_key::KeyError;
pub use credential::token::{ApiToken, CredentialError};
pub use credential::{
    Credential, CredentialFileError, CredentialForm, OAuthSubject, OAuthSubjectError, OAuthUrl, OAuthUrlError,
    TokenExchangeOptions,
};
pub use credential_status::CredentialStatus;
pub(crate) use error_meaning::{Subject, from_api};
pub use organization::Organizations;
pub use provider::{Buildkite, BuildkiteProvider, govern, govern_shared, govern_with_sink};
pub use shared::Shared;
