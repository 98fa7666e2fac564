//! Removes a user from the organization. Their pending invitations are revoked first, because one that is left would let them back
//! in; then the user is deleted and read back until they are absent.

use std::sync::Arc;

use super::attempt::{Attempt, unless_cancelled};
use super::record::RecordedGroup;
use super::removal_limit::Removal;
use super::{LifecycleOutcome, Subject, not_offered};
use crate::governance::GovernanceError;
use crate::governance::model::{LifecycleOperation, Membership, Resource, ResourceId};
use crate::governance::provider::{AccountManager, Deletable, ResourceType};
use crate::governance::provisioning::KeyGuard;
use crate::telemetry::traces::OperationSpan;

/// The field of a user's profile that names their role in the organization.
const ORGANIZATION_ROLE: &str = "organization_role";

/// What a removal needs.
struct PreparedRemoval {
    email: String,
    /// The pending invitations to the address.
    invitations: Vec<Resource>,
    /// The groups that the user loses.
    groups: Vec<Resource>,
    permission: Removal,
    /// Prevents an invitation to the address while its invitations are revoked.
    _exclusive: KeyGuard,
}

impl Attempt {
    pub(super) async fn off_board(
        &mut self,
        id: ResourceId,
        users: &dyn ResourceType,
        deletable: &dyn Deletable,
    ) -> Result<LifecycleOutcome, GovernanceError> {
        let accounts = users.accounts();
        let accounts = accounts.ok_or_else(|| not_offered(id.resource_type, LifecycleOperation::Delete))?;
        let call = self.call.clone();
        let removal = unless_cancelled(&call, self.prepare_removal(id, accounts, deletable));
        let Some(removal) = OperationSpan::decision().run(removal).await? else {
            return Ok(LifecycleOutcome::AlreadyAbsent);
        };
        self.revoke_invitations(accounts, &removal).await?;
        self.invalidate(&removal.groups);
        let outcome = self.delete_until_absent(deletable, id).await?;
        self.invalidate(&removal.groups);
        if outcome == LifecycleOutcome::Deleted {
            removal.permission.commit();
        }
        Ok(outcome)
    }

    /// Reads what a removal needs, if nothing forbids it; `None` if the user is proven absent.
    async fn prepare_removal(
        &mut self,
        id: ResourceId,
        accounts: &dyn AccountManager,
        deletable: &dyn Deletable,
    ) -> Result<Option<PreparedRemoval>, GovernanceError> {
        let Some(user) = self.deletable_resource(deletable, id).await? else {
            return Ok(None);
        };
        if let Some(role) = user.profile_text(ORGANIZATION_ROLE) {
            self.record.set_role(role);
        }
        let Some(email) = user.handle else {
            return Err(GovernanceError::EmailUnknown {
                user: user.name.unwrap_or_else(|| id.to_string()),
            });
        };
        let lifecycle = Arc::clone(&self.lifecycle);
        let exclusive = lifecycle.lock(Subject::of_email(&email), &self.call).await?;
        let permission = lifecycle.removals.reserve()?;
        let groups = deletable.groups(id.id, &self.call).await?;
        self.record.set_groups(self.recorded(id, &groups));
        Ok(Some(PreparedRemoval {
            invitations: lifecycle.pending(accounts, &email, &self.call).await?,
            email,
            groups,
            permission,
            _exclusive: exclusive,
        }))
    }

    /// Revokes the pending invitations to the address. One that is accepted meanwhile is no failure: the user is a member already.
    async fn revoke_invitations(
        &mut self,
        accounts: &dyn AccountManager,
        removal: &PreparedRemoval,
    ) -> Result<(), GovernanceError> {
        for invitation in &removal.invitations {
            match self.delete_until_absent(accounts.invitations(), invitation.id).await {
                Ok(_) | Err(GovernanceError::InvitationAccepted { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.lifecycle.recent_invitations.forget(&removal.email);
        Ok(())
    }

    /// The groups that the user loses, each with the level if a write of this process shows it.
    fn recorded(&self, user: ResourceId, groups: &[Resource]) -> Vec<RecordedGroup> {
        let provisioning = &self.lifecycle.provisioning;
        let recorded = groups.iter().map(|group| {
            let membership = Membership {
                resource: group.id,
                principal: user,
            };
            RecordedGroup {
                id: group.id.id,
                slug: group.handle.clone(),
                role: provisioning.written_level(membership).map(|level| level.slug),
            }
        });
        recorded.collect()
    }

    /// Drops what was read ahead of the groups' grants.
    fn invalidate(&self, groups: &[Resource]) {
        for group in groups {
            self.lifecycle.listings.invalidate_resource(group.id);
        }
    }
}
