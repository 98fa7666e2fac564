//! What a request would do, found out without doing it, and teams by the names that people use.

use std::time::Duration;

use super::plan::{Plan, Request, Write, decide};
use super::{Membership, Outcome};
use crate::governance::{EntitlementId, Governance, GovernanceError, OwnerRole, Principal};
use crate::providers::buildkite::{CallContext, Lane, Role, Team, UserId};

/// What a request would come to if nothing changed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    /// The user whom the principal names.
    pub user: UserId,
    /// The role that is held now; none for none.
    pub held: Option<Role>,
    /// What would come of the request.
    pub outcome: Outcome,
}

impl Governance {
    /// The team with this slug, or this id, in a list that is read now.
    ///
    /// # Errors
    /// `Invalid` where no team is listed under the name, or whatever keeps the list from being read whole.
    pub async fn team_named(&self, named: &str) -> Result<Team, GovernanceError> {
        let call = self.changing();
        let looked = async {
            let teams: Vec<Team> = self.read_all(&call).await?;
            let by_slug = teams.iter().find(|team| team.slug.as_deref() == Some(named));
            let found = by_slug.or_else(|| teams.iter().find(|team| team.id.to_string() == named));
            match found {
                Some(team) => {
                    self.provisioning.display_names.record_teams(std::slice::from_ref(team));
                    Ok(team.clone())
                }
                None => Err(self.no_team_named(named, &call).await?),
            }
        };
        looked.await.map_err(|error| self.because_it_ends(error))
    }

    /// That a list lacks a team proves its absence only to an organization admin.
    async fn no_team_named(&self, named: &str, call: &CallContext) -> Result<GovernanceError, GovernanceError> {
        let status = self.credential_status(Duration::ZERO, call).await?;
        let problem = match status.owner_role {
            OwnerRole::Admin | OwnerRole::Unknown => {
                format!("no team has the slug `{named}`: `list teams` shows which there are")
            }
            OwnerRole::Member => format!(
                "the token's owner {} is shown no team with the slug `{named}`: check the slug, or use an organization admin's token, as secret teams are hidden from others",
                status.owner_label()
            ),
        };
        Ok(GovernanceError::Invalid { field: "team", problem })
    }

    /// What `request` would do, by the same reads, table and guards as a request that is carried out. Nothing is written, and
    /// nothing is recorded.
    ///
    /// # Errors
    /// As for the request itself, except that provisioning may be off.
    pub async fn preview(
        &self,
        request: Request,
        entitlement: EntitlementId,
        principal: &Principal,
    ) -> Result<Preview, GovernanceError> {
        let call = self.changing();
        self.looked_ahead(request, entitlement, principal, &call)
            .await
            .map_err(|error| self.because_it_ends(error))
    }

    async fn looked_ahead(
        &self,
        request: Request,
        entitlement: EntitlementId,
        principal: &Principal,
        call: &CallContext,
    ) -> Result<Preview, GovernanceError> {
        let membership = Membership {
            team: entitlement.team,
            user: self.resolve_principal(principal, call).await?,
        };
        let held = self.role_held(membership, call).await?;
        let outcome = match decide(request, held, self.settings.maintainer_revoke) {
            Plan::NoChange => Outcome::unchanged(request),
            Plan::Apply(write) => {
                self.guard(membership, write, call).await?;
                if matches!(write, Write::Add(_)) && self.is_outsider(membership.user, call).await? {
                    let person = self.provisioning.display_names.user_label(principal);
                    return Err(GovernanceError::UserNotInOrganization { person });
                }
                Outcome::of(request, write)
            }
        };
        Ok(Preview {
            user: membership.user,
            held,
            outcome,
        })
    }

    /// A call on the lane of changes, given up once nothing new is begun.
    pub(crate) fn changing(&self) -> CallContext {
        CallContext::new(Lane::Provisioning).with_cancellation(&self.provisioning.shutdown)
    }

    /// Such a call is abandoned for no other reason.
    pub(crate) fn because_it_ends(&self, error: GovernanceError) -> GovernanceError {
        match error {
            GovernanceError::Abandoned if self.provisioning.shutdown.is_cancelled() => GovernanceError::ShuttingDown,
            other => other,
        }
    }
}
