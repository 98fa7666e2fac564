//! A page token that was not made here is refused, and never leads to a request.
#![no_main]

use std::sync::Arc;

use async_trait::async_trait;
use buildkite_connector::access::{Access, AccessError, AccessSettings, Upstream};
use buildkite_connector::buildkite::pages::{Batch, Position};
use buildkite_connector::buildkite::{
    AccessToken, ApiError, Call, Lane, Organization, OrganizationMember, Owner, Role, Team, TeamId, TeamMember, UserId,
};
use libfuzzer_sys::fuzz_target;

/// A Buildkite that nobody may ask.
#[derive(Debug)]
struct Nobody;

#[async_trait]
#[rustfmt::skip]
impl Upstream for Nobody {
    fn organization_slug(&self) -> &str { "acme" }
    async fn access_token(&self, _: &Call) -> Result<AccessToken, ApiError> { unreachable!() }
    async fn user(&self, _: &Call) -> Result<Owner, ApiError> { unreachable!() }
    async fn organization(&self, _: &Call) -> Result<Organization, ApiError> { unreachable!() }
    async fn people(&self, _: Position, _: usize, _: &Call) -> Result<Batch<OrganizationMember>, ApiError> { unreachable!() }
    async fn person(&self, _: UserId, _: &Call) -> Result<OrganizationMember, ApiError> { unreachable!() }
    async fn teams(&self, _: Position, _: usize, _: &Call) -> Result<Batch<Team>, ApiError> { unreachable!() }
    async fn team(&self, _: TeamId, _: &Call) -> Result<Team, ApiError> { unreachable!() }
    async fn members(&self, _: TeamId, _: Position, _: usize, _: &Call) -> Result<Batch<TeamMember>, ApiError> { unreachable!() }
    async fn member(&self, _: TeamId, _: UserId, _: &Call) -> Result<TeamMember, ApiError> { unreachable!() }
    async fn add_member(&self, _: TeamId, _: UserId, _: Role, _: &Call) -> Result<Option<TeamMember>, ApiError> { unreachable!() }
    async fn change_role(&self, _: TeamId, _: UserId, _: Role, _: &Call) -> Result<Option<TeamMember>, ApiError> { unreachable!() }
    async fn remove_member(&self, _: TeamId, _: UserId, _: &Call) -> Result<(), ApiError> { unreachable!() }
}

fuzz_target!(|token: &str| {
    if token.is_empty() {
        return;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        return;
    };
    let access = Access::new(Arc::new(Nobody), AccessSettings::default());
    let refused = runtime.block_on(access.people(token, "", &Call::new(Lane::Sync)));
    assert!(matches!(
        refused,
        Err(AccessError::Invalid {
            field: "page_token",
            ..
        })
    ));
});
