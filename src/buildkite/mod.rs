//! Buildkite's REST API v2 as typed calls.
//!
//! This room knows how Buildkite is asked and how its answers are to be read: endpoints, rows, windows of long lists, the
//! classes of trouble, the credential and the budget that every request is spent from. It knows nothing of governance:
//! what an answer *means* for somebody's access is decided in [`crate::access`].

pub mod budget;
mod call;
mod client;
mod clock;
mod credential;
mod endpoint;
mod error;
mod ids;
mod origin;
mod outcome;
pub mod pages;
mod redact;
mod rotation;
mod time;
mod types;

pub use call::{Call, Lane, Spent};
pub use client::{Client, ClientError, ClientOptions};
pub use credential::{ApiToken, CredentialError};
pub use endpoint::{Endpoint, Scope};
pub use error::{ApiError, Cause, Trouble};
pub use ids::{IdError, OrganizationSlug, Role, TeamId, UserId};
pub use origin::{ApiOrigin, OriginError};
pub use redact::{mask, redact};
pub use rotation::{Credential, TokenFileError};
pub use time::timestamp;
pub use types::{AccessToken, ListedRole, Organization, OrganizationMember, Owner, Team, TeamMember, TokenOwner};
