//! The seam between governance and a provider: what a provider offers, in terms of the model.
//!
//! A [`Provider`] has [`ResourceType`]s, which are listed and read. A type whose levels can be changed is [`Assignable`], one whose
//! grants are listed by principal has [`CarriedGrants`], one whose resources can be created or deleted is [`Creatable`] or
//! [`Deletable`], and one that people are invited to has an [`AccountManager`]. Its other operations are those of an
//! [`ActionProvider`]. A provider does not implement what it cannot do.

mod actions;
mod batch;
mod carried;
#[cfg(test)]
pub(crate) mod examples;
mod failure;
mod health;
mod lifecycle;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

pub use actions::{ActionProvider, Invocation};
pub use batch::{Amount, Batch, Cursor, Rows};
pub use carried::{Carried, CarriedGrants};
pub use failure::{Failure, FailureClass};
#[cfg(test)]
pub(crate) use health::MockHealthSource;
pub use health::{HealthContext, HealthSource, MaxAge};
pub use lifecycle::{AccountManager, AccountRole, Creatable, Deletable, NewInvitation, NewResource, SsoMode};

use super::model::{Holding, Level, Membership, Resource, ResourceId, ResourceTypeInfo};
use super::provisioning::{GuardLock, MaintainerRevoke, Write};
use super::rate_limit::BudgetState;
use super::sync::ListHistory;
use super::{CallContext, GovernanceError, Lane};

/// One organization of a provider.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Provider: Debug + Send + Sync {
    /// The name of the organization in the provider's URLs and in page tokens.
    fn organization(&self) -> &str;

    /// The resource types, in the order in which they are listed: principals first.
    fn resource_types(&self) -> &[Arc<dyn ResourceType>];

    /// The state of the request budget.
    fn budget(&self) -> BudgetState;

    /// When the last of `requests` requests of a lane can be expected to be sent; `None` if no limit delays them.
    fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant>;

    /// The longest time that a call of a lane waits for the rate limit.
    fn max_wait(&self, lane: Lane) -> Duration;

    /// The history of lists; an empty list is compared with it.
    fn list_history(&self) -> &ListHistory;

    /// Succeeds if the credential and the organization were seen to work within `max_age`, or work now.
    ///
    /// # Errors
    /// The failure to read the credential or the organization.
    async fn confirm_access(&self, max_age: Duration, call: &CallContext) -> Result<(), GovernanceError>;

    /// The credential that the provider is called with.
    fn credential(&self) -> &dyn OwnCredential;

    /// The actions of the provider; `None` if it has none.
    fn actions(&self) -> Option<Arc<dyn ActionProvider>> {
        None
    }

    /// The health of the provider.
    fn health(&self) -> Arc<dyn HealthSource>;
}

/// When the visibility of a list is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStage {
    /// Before its first page.
    First,
    /// Before a later page.
    Later,
    /// After its last page, whenever the pages were read.
    End,
}

/// How often a list was read that has no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyReading {
    /// It was read once; if the check passes, it is read again.
    First,
    /// It was read twice.
    Second,
}

/// One resource type of a provider.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ResourceType: Debug + Send + Sync {
    /// The type's description.
    fn info(&self) -> &'static ResourceTypeInfo;

    /// Reads rows of the list from `from` on; `None` is the beginning.
    async fn list(
        &self,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Resource>>, Failure>;

    /// Reads one resource.
    async fn get(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure>;

    /// Reads one resource from nothing older than the call. A type whose [`Self::get`] may use an earlier list replaces this.
    async fn get_now(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure> {
        self.get(id, call).await
    }

    /// Reads rows of the list of principals that hold a level of the resource. Not called for a type with [`Self::carried`] grants.
    async fn grants(
        &self,
        id: Uuid,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure>;

    /// Finds the cause of a failed request, by further requests if necessary: the missing scope after "forbidden", or proof that
    /// `resource` is absent after "not found". Without a resource, the failure is about the list.
    async fn explain(&self, failure: Failure, resource: Option<Uuid>, call: &CallContext) -> GovernanceError;

    /// The error for a name in a request that a complete and current list does not contain.
    async fn explain_unlisted(&self, name: &str, call: &CallContext) -> GovernanceError;

    /// Rejects a list that shows only part of the type's resources, if the operator requires all.
    async fn check_visibility(&self, stage: ListStage, call: &CallContext) -> Result<(), GovernanceError>;

    /// Rejects an empty list that cannot be correct.
    async fn check_empty(&self, reading: EmptyReading, call: &CallContext) -> Result<(), GovernanceError>;

    /// Reads the type's grants by principal; `None` if they are listed by resource.
    #[allow(clippy::needless_lifetimes, reason = "the mock needs the name of the lifetime")]
    fn carried<'a>(&'a self) -> Option<&'a dyn CarriedGrants> {
        None
    }

    /// Reads and writes the type's levels; `None` if they cannot be changed.
    #[allow(clippy::needless_lifetimes, reason = "the mock needs the name of the lifetime")]
    fn assignable<'a>(&'a self) -> Option<&'a dyn Assignable>;

    /// Drops what the type keeps of its lists about levels, because this process changes or removes `changed`: a resource of the
    /// type, or a principal that may hold a level of one. A type that keeps nothing does nothing.
    fn invalidate(&self, changed: ResourceId) {
        let _ = changed;
    }

    /// Invites people; `None` if the type has no invitations.
    #[allow(clippy::needless_lifetimes, reason = "the mock needs the name of the lifetime")]
    fn accounts<'a>(&'a self) -> Option<&'a dyn AccountManager> {
        None
    }

    /// Creates resources; `None` if they cannot be created.
    #[allow(clippy::needless_lifetimes, reason = "the mock needs the name of the lifetime")]
    fn creatable<'a>(&'a self) -> Option<&'a dyn Creatable> {
        None
    }

    /// Deletes resources; `None` if they cannot be deleted.
    #[allow(clippy::needless_lifetimes, reason = "the mock needs the name of the lifetime")]
    fn deletable<'a>(&'a self) -> Option<&'a dyn Deletable> {
        None
    }
}

/// A resource type whose levels can be granted and revoked.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Assignable: Debug + Send + Sync {
    /// Reads the level that the principal holds; `None` if it holds none. The read is never coalesced with another.
    async fn read_level(&self, membership: Membership, call: &CallContext) -> Result<Option<&'static Level>, Failure>;

    /// Sends a write, once.
    async fn write(&self, membership: Membership, write: Write, call: &CallContext) -> Result<WriteReply, Failure>;

    /// The name of the request that a write sends.
    fn endpoint(&self, write: Write) -> &'static str;

    /// The level that a principal keeps whose `revoked` level is revoked; `None` if it keeps none. `maintainer_revoke` is the
    /// operator's choice for maintainers of teams.
    fn replacement(&self, revoked: &'static Level, maintainer_revoke: MaintainerRevoke) -> Option<&'static Level>;

    /// Rejects a write that the type does not offer, and one after which the connector could no longer change the resource. Where
    /// what was read for this permits the write, `lock` prevents other writes of this process from changing it meanwhile.
    async fn guard(
        &self,
        membership: Membership,
        write: Write,
        labels: &Labels,
        lock: &mut GuardLock,
        call: &CallContext,
    ) -> Result<(), GovernanceError>;
}

/// The names of a resource and a principal in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The resource's name.
    pub resource: String,
    /// The principal's name.
    pub principal: String,
}

/// The response to a write that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteReply {
    /// The response shows the level that was written.
    Confirmed,
    /// The response shows the level in a row from long before the write: it was held already.
    AlreadyPresent,
    /// The response shows another level, or none.
    Unconfirmed(Option<&'static Level>),
}

/// The role of the credential's owner in the organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerRole {
    /// The owner sees and can change every resource.
    Admin,
    /// The owner does not see secret resources, and can change only the resources that they maintain.
    Member,
    /// The role is not known: an older response, or a missing scope. Treated as admin, but not accepted as proof.
    Unknown,
}

/// The details of the provider's credential.
#[derive(Debug, Clone)]
pub struct CredentialDetails {
    /// The owner's e-mail or name.
    pub owner: String,
    /// The owner's role in the organization.
    pub owner_role: OwnerRole,
    /// Whether the organization was read with it. If not, the credential lacks the scope for that.
    pub reaches_organization: bool,
    /// The description that was given when the credential was created.
    pub description: Option<String>,
    /// The scopes of the credential, as the provider names them.
    pub scopes: Vec<String>,
    /// When it expires, as the provider prints it; `None` if it does not.
    pub expires_at: Option<String>,
}

/// The credential that a provider is called with: it can be shown and revoked.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait OwnCredential: Debug + Send + Sync {
    /// Reads the credential's record, its owner and the organization.
    ///
    /// # Errors
    /// The failure to read the record, or an organization that the credential does not reach.
    async fn details(&self, call: &CallContext) -> Result<CredentialDetails, GovernanceError>;

    /// Sends the request that revokes the credential, once.
    async fn revoke(&self, call: &CallContext) -> Result<(), Failure>;

    /// Whether the provider rejects the credential.
    async fn is_rejected(&self, call: &CallContext) -> Result<bool, Failure>;
}
