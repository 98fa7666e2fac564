//! Removing people from the organization: what goes first, what is guarded, how many an hour, and what is recorded.

use buildkite_connector::governance::provisioning::Protected;
use buildkite_connector::sandbox::{
    BodyStyle, Edit, Endpoint, Fault, FaultKind, Gate, Invitation, InvitationState, OrganizationRole, TeamRole,
    WriteLag,
};
use http::StatusCode;
use rstest::rstest;
use tonic::Code;
use uuid::Uuid;

use super::{World, delete};
use crate::connector::provisioning::reason;
use crate::support::until;

const PRECONDITION: Code = Code::FailedPrecondition;

#[tokio::test]
async fn invitations_go_first_and_the_record_lists_what_was_lost() {
    let world = World::new().await;
    let person = world.people[0].clone();
    let (invitation, team) = world.edit(|organization| {
        let team = organization.teams()[1].clone();
        organization.set_membership(team.id, person.id, TeamRole::Maintainer);
        let invitation = organization.add_invitation(Invitation::new(&person.email.to_uppercase()));
        (invitation, team)
    });
    world.delete("user", person.id).await.unwrap();
    assert!(!world.is_member(person.id));
    let state = world
        .sandbox
        .with_organization(|organization| organization.invitation(invitation).unwrap().state);
    assert!(matches!(state, InvitationState::Revoked { .. }), "{state:?}");
    let writes: Vec<Endpoint> = world
        .sandbox
        .requests()
        .into_iter()
        .map(|request| request.endpoint)
        .filter(|endpoint| {
            matches!(
                endpoint,
                Endpoint::RevokeInvitation | Endpoint::RemoveOrganizationMember
            )
        })
        .collect();
    assert_eq!(writes, [Endpoint::RevokeInvitation, Endpoint::RemoveOrganizationMember]);
    let line = world.last_outcome();
    assert_eq!(
        (&line["operation"], &line["outcome"]),
        (&"off_board".into(), &"deleted".into())
    );
    assert_eq!(
        (&line["user_email"], &line["role"]),
        (&person.email.clone().into(), &"member".into())
    );
    let lost = serde_json::json!([{ "id": team.id, "slug": team.slug, "role": "maintainer" }]);
    assert_eq!(line["teams"], lost);
}

#[tokio::test]
async fn a_role_that_cannot_be_read_is_not_known_and_the_person_is_removed_all_the_same() {
    let world = World::new().await;
    let person = world.people[0].id;
    let teams = world.edit(|organization| {
        let teams = [organization.teams()[0].id, organization.teams()[1].id];
        for team in teams {
            organization.set_membership(team, person, TeamRole::Maintainer);
        }
        teams
    });
    let forbidden = FaultKind::Status(StatusCode::FORBIDDEN, BodyStyle::Message);
    let fault = world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::TeamMember, forbidden).once());
    world.delete("user", person).await.unwrap();
    assert_eq!(fault.fired(), 1);
    assert!(!world.is_member(person));
    let line = world.last_outcome();
    let mut roles = teams.map(|team| {
        let lost = line["teams"].as_array().unwrap().iter();
        let mut lost = lost.filter(|lost| lost["id"] == team.to_string());
        lost.next().unwrap()["role"].clone()
    });
    roles.sort_by_key(serde_json::Value::is_null);
    assert_eq!(roles, ["maintainer".into(), serde_json::Value::Null]);
}

#[tokio::test]
async fn a_role_that_this_process_wrote_is_recorded() {
    let world =
        World::with(|setup| setup.access.write_timeouts.own_write_window = std::time::Duration::from_secs(600)).await;
    let (person, team) = (
        world.people[0].id,
        world
            .sandbox
            .with_organization(|organization| organization.teams()[0].id),
    );
    let platform = world.connector.platform().await;
    let entitlement = crate::support::entitlement(&team.to_string(), "maintainer");
    platform
        .grant_exactly(entitlement, "user", &person.to_string())
        .await
        .unwrap();
    world.delete("user", person).await.unwrap();
    assert_eq!(world.last_outcome()["teams"][0]["role"], "maintainer");
    // The only read is that of the grant.
    assert_eq!(world.count(Endpoint::TeamMember), 1);
}

#[tokio::test]
async fn a_user_who_is_proven_absent_is_a_success_by_both_services() {
    let world = World::new().await;
    let person = world.people[0].id;
    world.delete_v2("user", person).await.unwrap();
    world.delete("user", person).await.unwrap();
    world.delete_v2("user", Uuid::new_v4()).await.unwrap();
    let outcomes: Vec<_> = world
        .outcomes()
        .into_iter()
        .map(|line| line["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["deleted", "already_absent", "already_absent"]);
    assert_eq!(world.count(Endpoint::RemoveOrganizationMember), 1);
}

#[tokio::test]
async fn the_tokens_own_user_stays() {
    let world = World::new().await;
    let owner = world.sandbox.owner();
    world.make_admin(world.people[0].id);
    let status = world.delete("user", owner).await.unwrap_err();
    assert_eq!(reason(&status), (PRECONDITION, "PROTECTED".to_owned()));
    assert!(
        status.message().contains("owns the connector's token"),
        "{}",
        status.message()
    );
    assert_eq!(world.count(Endpoint::RemoveOrganizationMember), 0);
}

#[tokio::test]
async fn the_last_admin_stays_and_the_list_is_read_before_the_write() {
    let world = World::new().await;
    let (owner, admin) = (world.sandbox.owner(), world.people[0].id);
    world.make_admin(admin);
    let resign = Edit::with(move |organization| {
        organization.set_role(owner, OrganizationRole::Member);
    });
    let fault = Fault::new(Endpoint::OrganizationMembers, FaultKind::MoveRows(resign)).once();
    world.sandbox.faults().add(fault);
    let status = world.delete("user", admin).await.unwrap_err();
    assert_eq!(reason(&status), (PRECONDITION, "PROTECTED".to_owned()));
    assert!(status.message().contains("last admin"), "{}", status.message());
    assert!(world.is_member(admin));
}

#[tokio::test]
async fn another_admin_can_be_removed() {
    let world = World::new().await;
    world.make_admin(world.people[0].id);
    world.delete("user", world.people[0].id).await.unwrap();
    assert_eq!(world.last_outcome()["role"], "admin");
}

#[tokio::test]
async fn a_protected_user_stays() {
    let world = World::with(|setup| {
        let people = crate::support::sized(4, 0, 12).build().people().to_vec();
        setup.access.protected = Protected {
            users: vec![people[1].email.clone()],
            ..Protected::default()
        };
    })
    .await;
    let status = world.delete("user", world.people[0].id).await.unwrap_err();
    assert_eq!(reason(&status), (PRECONDITION, "PROTECTED".to_owned()));
    world.delete("user", world.people[1].id).await.unwrap();
}

#[tokio::test]
async fn a_member_without_an_address_stays() {
    let world = World::new().await;
    let mut person = world.people[0].clone();
    person.email = String::new();
    world.edit(|organization| organization.add_person(person.clone()));
    let status = world.delete("user", person.id).await.unwrap_err();
    assert_eq!(reason(&status), (PRECONDITION, "EMAIL_UNKNOWN".to_owned()));
    assert!(world.is_member(person.id));
}

#[tokio::test]
async fn the_limit_counts_removals_and_survives_a_restart() {
    let limited = |setup: &mut crate::support::Setup| setup.access.off_boarding_limit = 2;
    let mut world = World::with(limited).await;
    world.delete("user", Uuid::new_v4()).await.unwrap();
    world.delete("user", world.sandbox.owner()).await.unwrap_err();
    world.delete("user", world.people[0].id).await.unwrap();
    world.restart(limited).await;
    world.delete("user", world.people[1].id).await.unwrap();
    let status = world.delete("user", world.people[2].id).await.unwrap_err();
    assert_eq!(reason(&status), (PRECONDITION, "LIMIT_REACHED".to_owned()));
    assert!(
        status.message().contains("--off-boarding-limit"),
        "{}",
        status.message()
    );
    world.restart(limited).await;
    let status = world.delete("user", world.people[2].id).await.unwrap_err();
    assert_eq!(reason(&status).1, "LIMIT_REACHED");
    assert!(world.is_member(world.people[2].id));
    // Invitations and teams are not limited.
    world.invite(super::ADA).await.unwrap();
}

/// A removal that was sent counts, whatever its confirmation: neither an outage nor a restart raises the limit.
#[rstest]
#[case::accepted(None)]
#[case::lost(Some(FaultKind::ResetAfter))]
#[tokio::test]
async fn a_removal_that_no_read_confirms_counts(#[case] reply: Option<FaultKind>) {
    let limited = |setup: &mut crate::support::Setup| setup.access.off_boarding_limit = 1;
    let mut world = World::with(limited).await;
    let faults = world.sandbox.faults();
    if let Some(reply) = reply {
        faults.add(Fault::new(Endpoint::RemoveOrganizationMember, reply).once());
    }
    // The member is read once before the removal.
    let forbidden = FaultKind::Status(http::StatusCode::FORBIDDEN, BodyStyle::Message);
    faults.add(Fault::new(Endpoint::OrganizationMember, forbidden).after(1));
    world.delete("user", world.people[0].id).await.unwrap_err();
    assert!(!world.is_member(world.people[0].id));
    faults.clear();
    let status = world.delete("user", world.people[1].id).await.unwrap_err();
    assert_eq!(reason(&status), (PRECONDITION, "LIMIT_REACHED".to_owned()));
    world.restart(limited).await;
    let status = world.delete("user", world.people[1].id).await.unwrap_err();
    assert_eq!(reason(&status).1, "LIMIT_REACHED");
    assert!(world.is_member(world.people[1].id));
}

#[tokio::test]
async fn a_removal_that_reads_show_was_not_applied_does_not_count() {
    let world = World::with(|setup| setup.access.off_boarding_limit = 1).await;
    let faults = world.sandbox.faults();
    faults.add(Fault::new(Endpoint::RemoveOrganizationMember, FaultKind::ResetBefore));
    world.delete("user", world.people[0].id).await.unwrap_err();
    assert!(world.is_member(world.people[0].id));
    faults.clear();
    world.delete("user", world.people[1].id).await.unwrap();
}

/// The person accepted another way: the invitation that is still hidden would let them back in.
#[tokio::test]
async fn an_invitation_of_this_process_that_shows_late_goes_first_too() {
    let world = World::with(|setup| {
        setup.access.write_timeouts.own_write_window = std::time::Duration::from_secs(600);
    })
    .await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(2));
    world.invite(super::ADA).await.unwrap();
    let mut person = world.people[0].clone();
    person.id = Uuid::new_v4();
    person.email = super::ADA.to_owned();
    world.edit(|organization| organization.add_person(person.clone()));
    assert_eq!(world.pending(), [super::ADA]);
    world.delete("user", person.id).await.unwrap();
    assert!(world.pending().is_empty() && !world.is_member(person.id));
}

#[tokio::test]
async fn two_off_boardings_of_one_person_send_one_deletion() {
    let world = World::new().await;
    let person = world.people[0].id;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::RemoveOrganizationMember, FaultKind::Held(gate.clone())).once();
    let held = world.sandbox.faults().add(held);
    let calls: Vec<_> = (0..2)
        .map(|_| tokio::spawn(delete(world.channel.clone(), "user", person)))
        .collect();
    until(|| held.fired() == 1).await;
    gate.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(world.count(Endpoint::RemoveOrganizationMember), 1);
    let mut outcomes: Vec<String> = world
        .outcomes()
        .iter()
        .map(|line| line["outcome"].as_str().unwrap().to_owned())
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["already_absent", "deleted"]);
}

#[rstest]
#[case::applied(FaultKind::ResetAfter, 1)]
#[case::not_applied(FaultKind::ResetBefore, 2)]
#[tokio::test]
async fn a_lost_reply_is_settled_by_reading(#[case] kind: FaultKind, #[case] deletions: u64) {
    let world = World::new().await;
    let fault = Fault::new(Endpoint::RemoveOrganizationMember, kind).once();
    world.sandbox.faults().add(fault);
    world.delete("user", world.people[0].id).await.unwrap();
    assert!(!world.is_member(world.people[0].id));
    assert_eq!(world.count(Endpoint::RemoveOrganizationMember), deletions);
    assert_eq!(world.last_outcome()["outcome"], "deleted");
}

#[tokio::test]
async fn a_deletion_that_shows_late_is_waited_for() {
    let world = World::new().await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(3));
    world.delete("user", world.people[0].id).await.unwrap();
    assert_eq!(world.last_outcome()["outcome"], "deleted");
    assert_eq!(world.count(Endpoint::RemoveOrganizationMember), 1);
}

#[tokio::test]
async fn an_invitation_that_is_accepted_meanwhile_does_not_stop_the_removal() {
    let world = World::new().await;
    let person = world.people[0].clone();
    let invitation = world.edit(|organization| organization.add_invitation(Invitation::new(&person.email)));
    let accept = Edit::with(move |organization| {
        organization.accept_invitation(invitation);
    });
    let fault = Fault::new(Endpoint::RevokeInvitation, FaultKind::MoveRows(accept)).once();
    world.sandbox.faults().add(fault);
    world.delete("user", person.id).await.unwrap();
    assert!(!world.is_member(person.id));
}

#[tokio::test]
async fn if_an_invitation_cannot_be_revoked_the_person_stays() {
    let world = World::new().await;
    let person = world.people[0].clone();
    world.edit(|organization| organization.add_invitation(Invitation::new(&person.email)));
    let forbidden = FaultKind::Status(
        http::StatusCode::FORBIDDEN,
        buildkite_connector::sandbox::BodyStyle::Message,
    );
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::RevokeInvitation, forbidden));
    let status = world.delete("user", person.id).await.unwrap_err();
    assert_eq!(reason(&status), (Code::PermissionDenied, "FORBIDDEN".to_owned()));
    assert!(world.is_member(person.id));
}

#[tokio::test]
async fn a_removal_that_was_begun_is_finished_although_its_caller_is_gone() {
    let world = World::new().await;
    let person = world.people[0].id;
    let gate = Gate::default();
    let faults = world.sandbox.faults();
    let held = faults.add(Fault::new(Endpoint::RemoveOrganizationMember, FaultKind::Held(gate.clone())).once());
    let caller = tokio::spawn(delete(world.channel.clone(), "user", person));
    until(|| held.fired() == 1).await;
    caller.abort();
    gate.open();
    until(|| !world.outcomes().is_empty()).await;
    assert_eq!(world.last_outcome()["outcome"], "deleted");
    assert!(!world.is_member(person));
}

#[tokio::test]
async fn a_user_who_was_off_boarded_can_be_invited_again() {
    let world = World::new().await;
    let person = world.people[0].clone();
    // The list in which the address is looked up has the person.
    world.invite(&person.email).await.unwrap();
    world.delete("user", person.id).await.unwrap();
    let account = world.invite(&person.email).await.unwrap();
    assert!(matches!(account, super::Account::ActionRequired { .. }), "{account:?}");
}
