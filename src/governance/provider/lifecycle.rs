//! The part of the seam that is about resources as a whole: inviting people, and creating and deleting resources.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use uuid::Uuid;

use super::Failure;
use crate::governance::model::{EntitlementId, ProfileValue, Resource};
use crate::governance::{CallContext, GovernanceError};

/// The role in the organization that an invitation gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountRole {
    /// An ordinary member.
    #[default]
    Member,
    /// Manages the organization.
    Admin,
}

impl AccountRole {
    /// The role's name in requests and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Member, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// Whether an invited person has to sign in through the identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SsoMode {
    /// They have to.
    Required,
    /// They may use a password.
    Optional,
}

impl SsoMode {
    /// The mode's name in requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
        }
    }

    /// The mode with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Required, Self::Optional]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }
}

/// An invitation to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvitation {
    /// The address, in the case that the request gave it.
    pub email: String,
    /// The role in the organization.
    pub role: AccountRole,
    /// The levels of groups that the person holds once they accept; each group once.
    pub groups: Vec<EntitlementId>,
    /// How they have to sign in; `None` leaves it out of the request.
    pub sso_mode: Option<SsoMode>,
}

/// Invites people. By accepting, they become resources of the type.
#[async_trait]
pub trait AccountManager: Debug + Send + Sync {
    /// The pending invitations, read now. A person's address is the handle.
    ///
    /// # Errors
    /// What keeps the list from being read completely.
    async fn pending(&self, call: &CallContext) -> Result<Vec<Resource>, GovernanceError>;

    /// Sends an invitation, once. `None` if it was accepted and the response does not show it.
    async fn invite(&self, invitation: &NewInvitation, call: &CallContext) -> Result<Option<Resource>, Failure>;

    /// The error of an invitation that failed.
    async fn explain_invitation(&self, failure: Failure, call: &CallContext) -> GovernanceError;

    /// Revokes invitations.
    fn invitations(&self) -> &dyn Deletable;
}

/// A resource type whose resources can be deleted.
#[async_trait]
pub trait Deletable: Debug + Send + Sync {
    /// The resource, read now; `None` if it is proven absent.
    ///
    /// # Errors
    /// What keeps the resource from being read, or prevents its deletion.
    async fn find(&self, id: Uuid, call: &CallContext) -> Result<Option<Resource>, GovernanceError>;

    /// Whether a read shows the resource: enough to see that a deletion that was accepted is done.
    async fn is_shown(&self, id: Uuid, call: &CallContext) -> Result<bool, Failure>;

    /// Rejects a deletion after which the connector or the organization could not be managed.
    ///
    /// # Errors
    /// `Protected`, or what keeps the state from being read.
    async fn guard_deletion(&self, resource: &Resource, call: &CallContext) -> Result<(), GovernanceError>;

    /// The groups that the resource is in, and that its deletion takes from it.
    ///
    /// # Errors
    /// What keeps them from being read.
    async fn groups(&self, id: Uuid, call: &CallContext) -> Result<Vec<Resource>, GovernanceError>;

    /// Sends the deletion, once.
    async fn delete(&self, id: Uuid, call: &CallContext) -> Result<(), Failure>;

    /// The error of a deletion that failed.
    async fn explain_deletion(&self, failure: Failure, id: Uuid, call: &CallContext) -> GovernanceError;

    /// The name of the request that deletes.
    fn deletion_endpoint(&self) -> &'static str;
}

/// The fields of a resource to create, by the names that a request uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewResource {
    /// The name.
    pub name: String,
    /// The other fields.
    pub fields: BTreeMap<String, ProfileValue>,
}

/// A resource type of which resources can be created.
#[async_trait]
pub trait Creatable: Debug + Send + Sync {
    /// Checks the fields of a new resource, and adds the defaults of those that are missing.
    ///
    /// # Errors
    /// `Invalid`, which names the field.
    fn complete(&self, new: NewResource) -> Result<NewResource, GovernanceError>;

    /// Creates the resource; sends the request once. `None` if it was created and the response does not show it.
    async fn create(&self, new: &NewResource, call: &CallContext) -> Result<Option<Resource>, Failure>;

    /// The name of the request that creates.
    fn creation_endpoint(&self) -> &'static str;
}
