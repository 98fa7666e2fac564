//! Removes a user from the organization. Their pending invitations are revoked first, because one that is left would let them back
//! in; then the user is deleted and read back until they are absent.

use std::sync::Arc;

use futures::future::join_all;

use super::attempt::{Attempt, unless_cancelled};
use super::record::RecordedGroup;
use super::removal_limit::Removal;
use super::{LifecycleOutcome, Subject, not_offered};
use crate::governance::GovernanceError;
use crate::governance::model::{Level, LifecycleOperation, Membership, Resource, ResourceId};
use crate::governance::provider::{AccountManager, Deletable, ResourceType};
use crate::governance::provisioning::KeyGuard;
use crate::telemetry::traces::OperationSpan;

/// The field of a user's profile that names their role in the organization.
const ORGANIZATION_ROLE: &str = "organization_role";

/// The maximum number of groups whose level is read for the record of a removal, so that it does not use up the rate limit.
const MAX_LEVEL_READS: usize = 20;

/// How many of these reads are made at once.
const CONCURRENT_LEVEL_READS: usize = 5;

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
        let Some(mut removal) = OperationSpan::decision().run(removal).await? else {
            return Ok(LifecycleOutcome::AlreadyAbsent);
        };
        self.revoke_invitations(accounts, &removal).await?;
        self.invalidate(id, &removal.groups);
        // A removal that may have been made counts, also if no read confirms it.
        let may_be_done = removal.permission.may_be_done();
        let outcome = self.delete_until_absent(deletable, id, may_be_done).await;
        self.invalidate(id, &removal.groups);
        outcome
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
        let recorded = self.recorded(id, &groups).await;
        self.record.set_groups(recorded);
        Ok(Some(PreparedRemoval {
            invitations: self.pending(accounts, &email).await?,
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
            let invitations = accounts.invitations();
            match self.delete_until_absent(invitations, invitation.id, &mut false).await {
                Ok(_) | Err(GovernanceError::InvitationAccepted { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.lifecycle.shared.recent_invitations.forget(&removal.email);
        Ok(())
    }

    /// The groups that the user loses, each with the level that they hold: by a write of this process, or else by a read of at most
    /// [`MAX_LEVEL_READS`] groups. A level that cannot be read does not delay the removal any further: it is recorded as not known.
    async fn recorded(&self, user: ResourceId, groups: &[Resource]) -> Vec<RecordedGroup> {
        let mut recorded = Vec::with_capacity(groups.len());
        for chunk in groups.chunks(CONCURRENT_LEVEL_READS) {
            let may_read = recorded.len() < MAX_LEVEL_READS;
            let chunk: Vec<_> = chunk
                .iter()
                .map(|group| self.recorded_group(user, group, may_read))
                .collect();
            recorded.extend(join_all(chunk).await);
        }
        recorded
    }

    async fn recorded_group(&self, user: ResourceId, group: &Resource, may_read: bool) -> RecordedGroup {
        let membership = Membership {
            resource: group.id,
            principal: user,
        };
        let level = match self.lifecycle.provisioning.written_level(membership) {
            None if may_read => self.read_level(membership).await,
            written => written,
        };
        RecordedGroup {
            id: group.id.id,
            slug: group.handle.clone(),
            role: level.map(|level| level.slug),
        }
    }

    /// The level that a read shows; `None` if it cannot be read.
    async fn read_level(&self, membership: Membership) -> Option<&'static Level> {
        let resources = self.lifecycle.listings.resource_type(membership.resource.resource_type);
        let held = resources.ok()?.assignable()?.read_level(membership, &self.call).await;
        held.ok().flatten()
    }

    /// Drops what was read of the grants that the user loses.
    fn invalidate(&self, user: ResourceId, groups: &[Resource]) {
        let listings = &self.lifecycle.listings;
        for group in groups {
            listings.invalidate(Membership {
                resource: group.id,
                principal: user,
            });
        }
        listings.invalidate_resource(user);
    }
}
