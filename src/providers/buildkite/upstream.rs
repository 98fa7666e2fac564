//! Buildkite as governance needs it: the one seam between governance and the provider.

use async_trait::async_trait;
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::governance::rate_limit::BudgetState;
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::pagination::{Batch, Cursor};
use crate::providers::buildkite::{
    AccessToken, ApiError, Client, CurrentUser, Organization, OrganizationMember, Role, Team, TeamId, TeamMember,
    UserId,
};

/// The calls that governance is made of. Each ends as the client's method of the same name does.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Upstream: std::fmt::Debug + Send + Sync {
    /// The organization's slug.
    fn organization_slug(&self) -> &str;
    /// How the request budget stands.
    fn budget(&self) -> BudgetState;
    /// How far Buildkite's clock is ahead of this machine's, where known.
    fn clock_ahead(&self) -> Option<SignedDuration>;
    /// When the last of so many requests of a lane is likely to have its turn; none where nothing is in the way.
    fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant>;
    /// The token's own record.
    async fn access_token(&self, call: &CallContext) -> Result<AccessToken, ApiError>;
    /// The token's owner.
    async fn user(&self, call: &CallContext) -> Result<CurrentUser, ApiError>;
    /// The organization.
    async fn organization(&self, call: &CallContext) -> Result<Organization, ApiError>;
    /// The organizations that the token reaches.
    async fn organizations(&self, call: &CallContext) -> Result<Vec<Organization>, ApiError>;
    /// People, from a position on.
    async fn people(
        &self,
        from: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<OrganizationMember>, ApiError>;
    /// One person.
    async fn person(&self, user: UserId, call: &CallContext) -> Result<OrganizationMember, ApiError>;
    /// Teams, from a position on.
    async fn teams(&self, from: Cursor, enough: usize, call: &CallContext) -> Result<Batch<Team>, ApiError>;
    /// One team.
    async fn team(&self, team: TeamId, call: &CallContext) -> Result<Team, ApiError>;
    /// A team's members, from a position on.
    async fn members(
        &self,
        team: TeamId,
        from: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<TeamMember>, ApiError>;
    /// One member.
    async fn member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<TeamMember, ApiError>;
    /// Puts somebody into a team; what Buildkite echoed, where it was readable.
    async fn add_member(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError>;
    /// Changes a role; what Buildkite echoed, where it was readable.
    async fn change_role(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError>;
    /// Takes somebody out of a team.
    async fn remove_member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<(), ApiError>;
    /// Revokes the token itself.
    async fn revoke_token(&self, call: &CallContext) -> Result<(), ApiError>;
}

#[async_trait]
impl Upstream for Client {
    fn organization_slug(&self) -> &str {
        self.organization_slug().as_str()
    }

    fn budget(&self) -> BudgetState {
        self.budget()
    }

    fn clock_ahead(&self) -> Option<SignedDuration> {
        self.clock_ahead()
    }

    fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        self.forecast(lane, requests)
    }

    async fn access_token(&self, call: &CallContext) -> Result<AccessToken, ApiError> {
        self.access_token(call).await
    }

    async fn user(&self, call: &CallContext) -> Result<CurrentUser, ApiError> {
        self.user(call).await
    }

    async fn organization(&self, call: &CallContext) -> Result<Organization, ApiError> {
        self.organization(call).await
    }

    async fn organizations(&self, call: &CallContext) -> Result<Vec<Organization>, ApiError> {
        self.organizations(call).await
    }

    async fn people(
        &self,
        from: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<OrganizationMember>, ApiError> {
        self.people(from, enough, call).await
    }

    async fn person(&self, user: UserId, call: &CallContext) -> Result<OrganizationMember, ApiError> {
        self.person(user, call).await
    }

    async fn teams(&self, from: Cursor, enough: usize, call: &CallContext) -> Result<Batch<Team>, ApiError> {
        self.teams(from, enough, call).await
    }

    async fn team(&self, team: TeamId, call: &CallContext) -> Result<Team, ApiError> {
        self.team(team, call).await
    }

    async fn members(
        &self,
        team: TeamId,
        from: Cursor,
        enough: usize,
        call: &CallContext,
    ) -> Result<Batch<TeamMember>, ApiError> {
        self.members(team, from, enough, call).await
    }

    async fn member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<TeamMember, ApiError> {
        self.member(team, user, call).await
    }

    async fn add_member(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError> {
        self.add_member(team, user, role, call).await
    }

    async fn change_role(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &CallContext,
    ) -> Result<Option<TeamMember>, ApiError> {
        self.change_role(team, user, role, call).await
    }

    async fn remove_member(&self, team: TeamId, user: UserId, call: &CallContext) -> Result<(), ApiError> {
        self.remove_member(team, user, call).await
    }

    async fn revoke_token(&self, call: &CallContext) -> Result<(), ApiError> {
        self.revoke_token(call).await
    }
}
