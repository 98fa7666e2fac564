//! What the token's owner is no longer shown. A list from before proves nothing about it.

use buildkite_connector::governance::PartialVisibility;
use buildkite_connector::sandbox::{ALL_SCOPES, OrganizationRole, PipelineLevel, SuiteLevel, TeamRole, TokenSpec};
use jiff::Timestamp;
use tonic::Code;

use super::model::{Change, Kind};
use super::{World, reason, setup};
use crate::support::{sandbox, sized};

#[tokio::test]
async fn a_level_of_an_object_that_went_out_of_sight_is_not_called_revoked() {
    let sandbox = sandbox(sized(4, 0, 8)).await;
    let owner = sandbox.with_organization(|organization| organization.people()[2].id);
    sandbox.edit(|organization| organization.set_role(owner, OrganizationRole::Member));
    let token = sandbox.mint(TokenSpec::owned_by(owner).with_scopes(&ALL_SCOPES));
    let mut setup = setup();
    setup.access.partial_visibility = PartialVisibility::Allow;
    let world = World::on(sandbox, &token, setup).await;
    // The owner is shown the objects by another team than the one whose level is revoked.
    world.sandbox.edit(|organization| {
        organization.set_membership(world.other_team, owner, TeamRole::Member);
        let other = organization.team_mut(world.other_team).unwrap();
        other.set_pipeline(world.pipeline, PipelineLevel::ReadOnly, Timestamp::now());
        other.set_suite(world.suite, SuiteLevel::Read, Timestamp::now());
    });
    for (kind, level) in [(Kind::Pipeline, "read_only"), (Kind::Suite, "read")] {
        world.hold(kind, Some(level));
        let listed = world.platform.resources(kind.resource_type()).await.unwrap();
        assert_eq!(listed.len(), 1, "{kind:?}");
    }
    world.sandbox.edit(|organization| {
        let other = organization.team_mut(world.other_team).unwrap();
        other.remove_pipeline(world.pipeline);
        other.remove_suite(world.suite);
    });
    for (kind, level) in [(Kind::Pipeline, "read_only"), (Kind::Suite, "read")] {
        let refused = world.perform(kind, Change::Revoke(level)).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::FailedPrecondition, "RESOURCE_UNREACHABLE".to_owned()),
            "{kind:?}"
        );
        assert_eq!(world.held(kind), Some(level), "{kind:?}");
    }
}
