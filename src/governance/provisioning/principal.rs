//! Resolves a principal: an id as it is, or the only user with an e-mail address.
//!
//! Addresses are compared without regard to ASCII case. The list of users is cached. An address that does not match exactly one
//! user in the cached list is looked up in a list that was read after the request arrived. The user that was found is confirmed by
//! their own record before anything is written.

use super::Provisioning;
use crate::governance::directory::Freshness;
use crate::governance::model::{Principal, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::FailureClass;
use crate::governance::{CallContext, GovernanceError};

impl Provisioning {
    /// The resource that a principal names.
    ///
    /// # Errors
    /// `UserNotInOrganization` or `AmbiguousPrincipal` for an e-mail address, or the failure to read users.
    pub(crate) async fn resolve_principal(
        &self,
        principal: &Principal,
        call: &CallContext,
    ) -> Result<ResourceId, GovernanceError> {
        let email = match principal {
            Principal::Resource(resource) => return Ok(*resource),
            Principal::Email(email) => email,
        };
        let cached = Freshness::YoungerThan(self.settings.directory_max_age);
        if let [user] = self.users_with_email(email, cached, call).await?.as_slice()
            && self.has_email(*user, email, call).await?
        {
            return Ok(*user);
        }
        let fresh = Freshness::ReadAfter(call.begun());
        match self.users_with_email(email, fresh, call).await?.as_slice() {
            [user] if self.has_email(*user, email, call).await? => Ok(*user),
            // The user in the list no longer has this address.
            [] | [_] => Err(GovernanceError::UserNotInOrganization { user: email.clone() }),
            several => Err(GovernanceError::AmbiguousPrincipal {
                email: email.clone(),
                users: several.len(),
            }),
        }
    }

    /// Every user with the address.
    pub(crate) async fn users_with_email(
        &self,
        email: &str,
        freshness: Freshness,
        call: &CallContext,
    ) -> Result<Vec<ResourceId>, GovernanceError> {
        let users = self.type_of_kind(ResourceKind::User)?;
        let read = || self.listings.all(users, call);
        self.directory.users_with_email(email, freshness, read).await
    }

    /// The first resource type of a kind.
    pub(crate) fn type_of_kind(&self, kind: ResourceKind) -> Result<&'static ResourceTypeInfo, GovernanceError> {
        let mut types = self.listings.catalog().types().iter().copied();
        types
            .find(|known| known.kind == kind)
            .ok_or_else(|| GovernanceError::Invalid {
                field: "principal.id",
                problem: "the provider has no resource type for it".to_owned(),
            })
    }

    async fn has_email(&self, user: ResourceId, email: &str, call: &CallContext) -> Result<bool, GovernanceError> {
        let users = self.listings.resource_type(user.resource_type)?;
        match users.get(user.id, call).await {
            Ok(user) => Ok(user.handle.is_some_and(|has| has.eq_ignore_ascii_case(email))),
            Err(failure) if failure.class == FailureClass::NotFound => Ok(false),
            Err(failure) => Err(users.explain(failure, None, call).await),
        }
    }
}
