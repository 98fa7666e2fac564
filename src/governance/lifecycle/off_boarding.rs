//! Removes a user from the organization. Their pending invitations are revoked first, because one that is left would let them back
//! in; then the user is deleted and read back until they are absent.

use std::sync::Arc;

use super::attempt::Attempt;
use super::record::RecordedGroup;
use super::{LifecycleOutcome, Subject, not_offered};
use crate::governance::GovernanceError;
use crate::governance::model::{LifecycleOperation, Membership, Resource, ResourceId};
use crate::governance::provider::{AccountManager, Deletable, ResourceType};

/// The field of a user's profile that names their role in the organization.
const ORGANIZATION_ROLE: &str = "organization_role";

impl Attempt {
    pub(super) async fn off_board(
        &mut self,
        id: ResourceId,
        users: &dyn ResourceType,
        deletable: &dyn Deletable,
    ) -> Result<LifecycleOutcome, GovernanceError> {
        let Some(user) = deletable.find(id.id, &self.call).await? else {
            return Ok(LifecycleOutcome::AlreadyAbsent);
        };
        self.record.set_name(user.handle.as_deref());
        if let Some(role) = user.profile_text(ORGANIZATION_ROLE) {
            self.record.set_role(role);
        }
        let accounts = users.accounts();
        let accounts = accounts.ok_or_else(|| not_offered(id.resource_type, LifecycleOperation::Delete))?;
        let lifecycle = Arc::clone(&self.lifecycle);
        lifecycle.provisioning.guard_protected(&[id], &self.call).await?;
        deletable.guard_deletion(&user, &self.call).await?;
        let Some(email) = &user.handle else {
            return Err(GovernanceError::EmailUnknown {
                user: user.name.unwrap_or_else(|| id.to_string()),
            });
        };
        // Nobody is invited again while their invitations are revoked.
        let _invitations = lifecycle.lock(Subject::of_email(email), &self.call).await?;
        let removal = lifecycle.removals.reserve()?;
        let groups = deletable.groups(id.id, &self.call).await?;
        self.record.set_groups(self.recorded(id, &groups));
        self.revoke_invitations(accounts, email).await?;
        self.invalidate(&groups);
        let outcome = self.delete_until_absent(deletable, id).await?;
        self.invalidate(&groups);
        if outcome == LifecycleOutcome::Deleted {
            removal.commit();
        }
        Ok(outcome)
    }

    /// Revokes the pending invitations to the address. One that is accepted meanwhile makes nobody a member who is not one already.
    async fn revoke_invitations(&mut self, accounts: &dyn AccountManager, email: &str) -> Result<(), GovernanceError> {
        let lifecycle = Arc::clone(&self.lifecycle);
        for invitation in lifecycle.pending(accounts, email, &self.call).await? {
            match self.delete_until_absent(accounts.invitations(), invitation.id).await {
                Ok(_) | Err(GovernanceError::InvitationAccepted { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        lifecycle.recent_invitations.forget(email);
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

    /// Drops the grants of the groups that were read ahead.
    fn invalidate(&self, groups: &[Resource]) {
        for group in groups {
            self.lifecycle.listings.invalidate_resource(group.id);
        }
    }
}
