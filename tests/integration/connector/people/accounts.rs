//! Each row of the table of what is found, and each field of the form.

use buildkite_connector::proto::c1::connector::v2::credential_options::{EncryptedPassword, Options, RandomPassword};
use buildkite_connector::proto::c1::connector::v2::{
    AccountInfo, CreateAccountRequest, CredentialOptions, account_info,
};
use buildkite_connector::sandbox::{
    Edit, Endpoint, Fault, FaultKind, Invitation, OrganizationRole, SingleSignOn, SsoMode, TeamRole,
};
use rstest::rstest;
use tonic::Code;

use super::{ADA, Account, World, flag, list, request, text};
use crate::support::{details, reason};

fn is_invited(account: &Account) -> bool {
    matches!(account, Account::ActionRequired { kind, message, .. } if kind == "invitation" && message.contains("was invited and has to accept"))
}

#[tokio::test]
async fn a_member_is_found_without_regard_to_case_and_no_mail_is_sent() {
    let world = World::new().await;
    let member = &world.people[3];
    let found = world.invite(&member.email.to_uppercase()).await.unwrap();
    assert_eq!(found, Account::AlreadyExists(member.id.to_string()));
    assert_eq!(world.count(Endpoint::CreateInvitations), 0);
    let outcome = world.last_outcome();
    assert_eq!(
        (&outcome["operation"], &outcome["outcome"]),
        (&"invite".into(), &"already_exists".into())
    );
    assert_eq!(outcome["user_id"], member.id.to_string());
}

#[tokio::test]
async fn a_person_without_account_is_invited_once() {
    let world = World::new().await;
    let account = world.invite(ADA).await.unwrap();
    assert!(is_invited(&account), "{account:?}");
    let again = world.invite(&ADA.to_uppercase()).await.unwrap();
    let Account::ActionRequired { id, message, .. } = &again else {
        panic!("{again:?}")
    };
    assert!(matches!(&account, Account::ActionRequired { id: first, .. } if first == id));
    assert!(message.contains("no second invitation was sent"), "{message}");
    assert_eq!(
        (world.count(Endpoint::CreateInvitations), world.pending().len()),
        (1, 1)
    );
    let outcomes: Vec<_> = world
        .outcomes()
        .into_iter()
        .map(|line| line["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["invited", "already_invited"]);
    let line = world.last_outcome();
    assert_eq!(
        (&line["resource_type"], &line["user_email"]),
        (&"invitation".into(), &ADA.to_uppercase().into())
    );
    assert_eq!(
        (&line["role"], &line["resource_id"]),
        (&"member".into(), &id.clone().into())
    );
}

#[tokio::test]
async fn a_pending_invitation_is_returned_and_its_teams_are_not_changed() {
    let world = World::new().await;
    let id = world.edit(|organization| organization.add_invitation(Invitation::new(ADA)));
    let team = world
        .sandbox
        .with_organization(|organization| organization.teams()[0].slug.clone());
    let account = world.create(request(ADA, &[("teams", list(&[&team]))])).await.unwrap();
    assert!(matches!(account, Account::ActionRequired { id: found, .. } if found == id.to_string()));
    assert_eq!(world.count(Endpoint::CreateInvitations), 0);
    let invitation = world
        .sandbox
        .with_organization(|organization| organization.invitation(id).cloned())
        .unwrap();
    assert!(invitation.teams.is_empty());
}

#[tokio::test]
async fn a_member_who_joined_after_the_list_was_read_is_found_by_the_rejection() {
    let world = World::new().await;
    world.invite(&world.people[0].email.clone()).await.unwrap();
    let joined = world.edit(|organization| organization.join_by_single_sign_on(ADA));
    let found = world.invite(ADA).await.unwrap();
    assert_eq!(found, Account::AlreadyExists(joined.to_string()));
    // The list that was read before is not read again until Buildkite rejects the invitation.
    assert_eq!(world.count(Endpoint::CreateInvitations), 1);
}

#[tokio::test]
async fn an_invitation_that_is_accepted_between_read_and_write_is_a_member() {
    let world = World::new().await;
    let join = Edit::with(|organization| {
        organization.join_by_single_sign_on(ADA);
    });
    let fault = Fault::new(Endpoint::CreateInvitations, FaultKind::MoveRows(join)).once();
    world.sandbox.faults().add(fault);
    let found = world.invite(ADA).await.unwrap();
    let joined = world
        .sandbox
        .with_organization(|organization| organization.person_by_email(ADA).unwrap().id);
    assert_eq!(found, Account::AlreadyExists(joined.to_string()));
}

#[tokio::test]
async fn a_member_who_left_since_the_list_was_read_is_invited() {
    let world = World::new().await;
    let member = world.people[1].clone();
    world.invite(&member.email).await.unwrap();
    world.edit(|organization| organization.remove_person(member.id, buildkite_connector::sandbox::MemberRows::Dropped));
    let account = world.invite(&member.email).await.unwrap();
    assert!(is_invited(&account), "{account:?}");
}

#[tokio::test]
async fn another_rejection_is_passed_on_with_its_message() {
    let world = World::new().await;
    world.edit(|organization| organization.invitation_quota = 0);
    let status = world.invite(ADA).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::FailedPrecondition, "REJECTED_BY_BUILDKITE".to_owned())
    );
    assert!(
        status.message().contains("Too many pending invitations"),
        "{}",
        status.message()
    );
}

#[tokio::test]
async fn the_sso_mode_is_what_the_organization_requires() {
    let world = World::new().await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.single_sign_on = SingleSignOn::On);
    let status = world.invite(ADA).await.unwrap_err();
    assert_eq!(reason(&status).1, "REJECTED_BY_BUILDKITE");
    let account = world
        .create(request(ADA, &[("sso_mode", text("required"))]))
        .await
        .unwrap();
    assert!(is_invited(&account));
    let sent = world
        .sandbox
        .with_organization(|organization| organization.invitations()[0].clone());
    assert_eq!(
        (sent.sso_mode, sent.role),
        (SsoMode::Required, OrganizationRole::Member)
    );
}

#[tokio::test]
async fn an_invitation_carries_the_role_and_the_teams() {
    let world = World::new().await;
    let teams = world
        .sandbox
        .with_organization(|organization| organization.teams().to_vec());
    let (first, second) = (
        teams[0].slug.clone(),
        format!("{}/maintainer", teams[1].slug.to_uppercase()),
    );
    let fields = [("teams", list(&[&first, &second, &first])), ("role", text("admin"))];
    let account = world.create(request(ADA, &fields)).await.unwrap();
    assert!(is_invited(&account));
    let sent = world
        .sandbox
        .with_organization(|organization| organization.invitations()[0].clone());
    assert_eq!(sent.role, OrganizationRole::Admin);
    let roles: Vec<_> = sent.teams.iter().map(|row| (row.team, row.role)).collect();
    assert_eq!(
        roles,
        [(teams[0].id, TeamRole::Member), (teams[1].id, TeamRole::Maintainer)]
    );
    let line = world.last_outcome();
    assert_eq!(
        (&line["role"], &line["teams"][1]["role"]),
        (&"admin".into(), &"maintainer".into())
    );
    assert_eq!(line["teams"][0]["id"], teams[0].id.to_string());
}

#[rstest]
#[case::unknown(&["nowhere"], "no team has the slug `nowhere`")]
#[case::conflict(&["TEAM", "TEAM/maintainer"], "is named twice")]
#[case::level(&["TEAM/owner"], "give a list of teams")]
#[tokio::test]
async fn a_wrong_team_is_refused_before_anything_is_sent(#[case] teams: &[&str], #[case] sentence: &str) {
    let world = World::new().await;
    let slug = world
        .sandbox
        .with_organization(|organization| organization.teams()[0].slug.clone());
    let teams: Vec<String> = teams.iter().map(|team| team.replace("TEAM", &slug)).collect();
    let teams: Vec<&str> = teams.iter().map(String::as_str).collect();
    let status = world
        .create(request(ADA, &[("teams", list(&teams))]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains(sentence), "{}", status.message());
    assert_eq!(world.count(Endpoint::CreateInvitations), 0);
}

#[tokio::test]
async fn an_invitation_is_no_way_around_a_protection() {
    let world = World::with(|setup| {
        setup.access.protected.resources = vec![buildkite_connector::governance::provisioning::ProtectedResource {
            resource_type: &buildkite_connector::providers::buildkite::resources::TEAM,
            slug: sized_team_slug(),
        }];
    })
    .await;
    let status = world
        .create(request(ADA, &[("teams", list(&[&sized_team_slug()]))]))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), (Code::FailedPrecondition, "PROTECTED".to_owned()));
    assert_eq!(world.count(Endpoint::CreateInvitations), 0);
    assert!(is_invited(&world.invite(ADA).await.unwrap()));
}

/// The slug of the first team of the sized organization, which its seed determines.
fn sized_team_slug() -> String {
    crate::support::sized(4, 0, 12).build().teams()[0].slug.clone()
}

#[tokio::test]
async fn the_address_is_taken_from_the_profile_else_from_the_primary_else_from_the_login() {
    let world = World::new().await;
    let email = |address: &str, is_primary| account_info::Email {
        address: address.to_owned(),
        is_primary,
    };
    let mut info = AccountInfo {
        emails: vec![
            email("second@joiner.example", false),
            email("first@joiner.example", true),
        ],
        login: "login@joiner.example".to_owned(),
        ..request(ADA, &[]).account_info.unwrap()
    };
    let mut invited = Vec::new();
    for _ in 0..3 {
        let request = CreateAccountRequest {
            account_info: Some(info.clone()),
            ..Default::default()
        };
        world.create(request).await.unwrap();
        invited = world.pending();
        if info.profile.take().is_none() {
            info.emails.clear();
        }
    }
    assert_eq!(invited, [ADA, "first@joiner.example", "login@joiner.example"]);
}

#[rstest]
#[case::none("", "account_info.profile.email")]
#[case::no_address("ada", "account_info.profile.email")]
#[tokio::test]
async fn without_an_address_nobody_is_invited(#[case] email: &str, #[case] field: &str) {
    let world = World::new().await;
    let status = world.invite(email).await.unwrap_err();
    assert_eq!(
        (details(&status).code, details(&status).fields),
        (Code::InvalidArgument, vec![field.to_owned()])
    );
    assert_eq!(world.last_outcome()["reason"], "INVALID_REQUEST");
}

#[tokio::test]
async fn a_random_password_is_ignored_and_an_encrypted_one_refused() {
    let world = World::new().await;
    let with = |options| CreateAccountRequest {
        credential_options: Some(CredentialOptions {
            options: Some(options),
            ..Default::default()
        }),
        ..request(ADA, &[])
    };
    let encrypted = world
        .create(with(Options::EncryptedPassword(EncryptedPassword::default())))
        .await
        .unwrap_err();
    assert_eq!(details(&encrypted).fields, ["credential_options"]);
    let random = RandomPassword {
        length: 20,
        constraints: vec![],
    };
    assert!(is_invited(
        &world.create(with(Options::RandomPassword(random))).await.unwrap()
    ));
}

#[rstest]
#[case::role("role", text("owner"))]
#[case::role_of_another_kind("role", flag(true))]
#[case::sso_mode("sso_mode", text("on"))]
#[case::teams("teams", text("platform"))]
#[tokio::test]
async fn a_wrong_field_is_named(#[case] field: &str, #[case] value: prost_types::Value) {
    let world = World::new().await;
    let status = world.create(request(ADA, &[(field, value)])).await.unwrap_err();
    assert_eq!(details(&status).fields, [format!("account_info.profile.{field}")]);
}
