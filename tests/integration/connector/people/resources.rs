//! Revoking invitations, and creating and deleting teams.

use std::collections::BTreeMap;

use buildkite_connector::governance::provisioning::ProtectedResource;
use buildkite_connector::proto::c1::connector::v2::Resource;
use buildkite_connector::providers::buildkite::resources::TEAM;
use buildkite_connector::sandbox::{
    ALL_SCOPES, Edit, Endpoint, Fault, FaultKind, Invitation, Privacy, TeamEcho, TeamRole, TokenSpec, WriteLag,
};
use prost_types::{Struct, Value};
use rstest::rstest;
use tonic::Code;

use super::{ADA, World, flag, list, text};
use crate::connector::provisioning::reason;
use crate::support::platform::id_of;
use crate::support::{TestServer, details, resource, sized};

#[tokio::test]
async fn a_pending_invitation_is_revoked_and_one_that_is_not_pending_is_a_success() {
    let world = World::new().await;
    let id = world.edit(|organization| organization.add_invitation(Invitation::new(ADA)));
    world.delete("invitation", id).await.unwrap();
    assert!(world.pending().is_empty());
    world.delete_v2("invitation", id).await.unwrap();
    assert_eq!(world.count(Endpoint::RevokeInvitation), 1);
    let lines = world.outcomes();
    assert_eq!(
        (&lines[0]["operation"], &lines[0]["outcome"]),
        (&"revoke_invitation".into(), &"deleted".into())
    );
    assert_eq!(
        (&lines[0]["user_email"], &lines[1]["outcome"]),
        (&ADA.into(), &"already_absent".into())
    );
}

#[rstest]
#[case::before_the_read(false)]
#[case::between_read_and_write(true)]
#[tokio::test]
async fn an_invitation_that_was_accepted_is_not_revoked(#[case] races: bool) {
    let world = World::new().await;
    let id = world.edit(|organization| organization.add_invitation(Invitation::new(ADA)));
    if races {
        let accept = Edit::with(move |organization| {
            organization.accept_invitation(id);
        });
        world
            .sandbox
            .faults()
            .add(Fault::new(Endpoint::RevokeInvitation, FaultKind::MoveRows(accept)).once());
    } else {
        world.edit(|organization| organization.accept_invitation(id));
    }
    let status = world.delete("invitation", id).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::FailedPrecondition, "INVITATION_ACCEPTED".to_owned())
    );
    assert!(
        status.message().contains("is a member of the organization now"),
        "{}",
        status.message()
    );
}

#[tokio::test]
async fn a_person_whose_invitation_was_revoked_is_invited_again_although_the_list_lags() {
    let world = World::new().await;
    world.invite(ADA).await.unwrap();
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(2));
    let id = world
        .sandbox
        .with_organization(|organization| organization.invitations()[0].id);
    world.delete("invitation", id).await.unwrap();
    world.invite(ADA).await.unwrap();
    assert_eq!(
        (world.count(Endpoint::CreateInvitations), world.pending().len()),
        (2, 1)
    );
}

fn team(name: &str, fields: &[(&str, Value)]) -> Resource {
    let fields: BTreeMap<String, Value> = fields
        .iter()
        .map(|(field, value)| ((*field).to_owned(), value.clone()))
        .collect();
    Resource {
        display_name: name.to_owned(),
        profile: Some(Struct { fields }),
        ..resource("team", "")
    }
}

#[tokio::test]
async fn a_team_is_created_with_the_defaults_and_with_what_the_profile_says() {
    let world = World::new().await;
    let plain = world.create_resource(team("Docs", &[])).await.unwrap();
    let fields = [
        ("name", text("Site reliability")),
        ("description", text("Keeps it up")),
        ("privacy", text("secret")),
        ("is_default", flag(true)),
        ("default_member_role", text("maintainer")),
    ];
    let full = world.create_resource(team("left out", &fields)).await.unwrap();
    let created = |resource: &Resource| {
        let id = id_of(resource).parse().unwrap();
        world
            .sandbox
            .with_organization(|organization| organization.team(id).cloned())
            .unwrap()
    };
    let (plain, full) = (created(&plain), created(&full));
    assert_eq!(
        (plain.name.as_str(), plain.privacy, plain.default),
        ("Docs", Privacy::Visible, false)
    );
    assert_eq!(
        (full.name.as_str(), full.privacy, full.default),
        ("Site reliability", Privacy::Secret, true)
    );
    assert_eq!(
        (plain.default_member_role, full.default_member_role),
        (TeamRole::Member, TeamRole::Maintainer)
    );
    assert!(plain.permissions.create_pipelines && !plain.permissions.destroy_packages);
    let line = world.last_outcome();
    assert_eq!(
        (&line["operation"], &line["outcome"]),
        (&"create_team".into(), &"created".into())
    );
    assert_eq!(line["team_id"], full.id.to_string());
}

#[rstest]
#[case::without_a_name("", &[], "needs a name")]
#[case::privacy("Docs", &[("privacy", text("hidden"))], "`privacy` is `visible` or `secret`")]
#[case::flag("Docs", &[("is_default", text("yes"))], "`is_default` is true or false")]
#[case::other_kind("Docs", &[("description", list(&[]))], "neither text nor true or false")]
#[case::unknown("Docs", &[("colour", text("red"))], "`colour` is not a field of a new team")]
#[tokio::test]
async fn a_wrong_field_of_a_team_is_refused(
    #[case] name: &str,
    #[case] fields: &[(&str, Value)],
    #[case] sentence: &str,
) {
    let world = World::new().await;
    let status = world.create_resource(team(name, fields)).await.unwrap_err();
    assert_eq!(details(&status).fields, ["resource.profile"]);
    assert!(status.message().contains(sentence), "{}", status.message());
    assert_eq!(world.count(Endpoint::CreateTeam), 0);
}

#[rstest]
#[case::lost(FaultKind::ResetAfter, TeamEcho::Full)]
#[case::echo_of_the_request(FaultKind::Delay(std::time::Duration::ZERO), TeamEcho::Request)]
#[tokio::test]
async fn a_team_whose_reply_does_not_show_it_is_found_and_not_created_again(
    #[case] kind: FaultKind,
    #[case] echo: TeamEcho,
) {
    let world = World::new().await;
    world.sandbox.change_behaviors(|behaviors| behaviors.team_echo = echo);
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::CreateTeam, kind).once());
    let created = world.create_resource(team("Docs", &[])).await.unwrap();
    let id = id_of(&created).parse().unwrap();
    assert_eq!(world.count(Endpoint::CreateTeam), 1);
    assert!(
        world
            .sandbox
            .with_organization(|organization| organization.team(id).is_some())
    );
}

#[tokio::test]
async fn a_team_that_shows_only_after_its_repetition_was_rejected_is_found() {
    let world = World::new().await;
    // The list is read seven times after the lost reply, and at once after the rejection.
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(9));
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::CreateTeam, FaultKind::ResetAfter).once());
    let created = world.create_resource(team("Docs", &[])).await.unwrap();
    assert_eq!(created.display_name, "Docs");
    assert_eq!(world.count(Endpoint::CreateTeam), 2);
    assert_eq!(world.last_outcome()["outcome"], "created");
}

#[tokio::test]
async fn a_name_that_is_taken_is_rejected_by_buildkite() {
    let world = World::new().await;
    world.create_resource(team("Docs", &[])).await.unwrap();
    let status = world.create_resource(team("Docs", &[])).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::FailedPrecondition, "REJECTED_BY_BUILDKITE".to_owned())
    );
    assert!(status.message().contains("already been taken"), "{}", status.message());
}

#[tokio::test]
async fn a_team_is_deleted_and_one_that_is_gone_is_a_success() {
    let world = World::new().await;
    let id = world
        .sandbox
        .with_organization(|organization| organization.teams()[0].id);
    world.delete("team", id).await.unwrap();
    assert!(
        world
            .sandbox
            .with_organization(|organization| organization.team(id).is_none())
    );
    world.delete("team", id).await.unwrap();
    let outcomes: Vec<_> = world
        .outcomes()
        .into_iter()
        .map(|line| line["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["deleted", "already_absent"]);
    assert_eq!(world.count(Endpoint::DeleteTeam), 1);
}

#[tokio::test]
async fn a_protected_team_stays() {
    let slug = sized(4, 0, 12).build().teams()[0].slug.clone();
    let world = World::with(|setup| {
        setup.access.protected.resources = vec![ProtectedResource {
            resource_type: &TEAM,
            slug: slug.clone(),
        }];
    })
    .await;
    let id = world
        .sandbox
        .with_organization(|organization| organization.teams()[0].id);
    let status = world.delete("team", id).await.unwrap_err();
    assert_eq!(reason(&status), (Code::FailedPrecondition, "PROTECTED".to_owned()));
    assert_eq!(world.count(Endpoint::DeleteTeam), 0);
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let world = World::new().await;
    let scopes: Vec<&str> = ALL_SCOPES
        .into_iter()
        .filter(|scope| *scope != "write_organization_invitations")
        .collect();
    let token = world
        .sandbox
        .mint(TokenSpec::owned_by(world.sandbox.owner()).with_scopes(&scopes));
    let connector = TestServer::with(&world.sandbox, &token, super::setup(&world.directory)).await;
    let status = super::create(connector.channel().await, super::request(ADA, &[]))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), (Code::PermissionDenied, "MISSING_SCOPE".to_owned()));
    assert!(
        status.message().contains("write_organization_invitations"),
        "{}",
        status.message()
    );
}
