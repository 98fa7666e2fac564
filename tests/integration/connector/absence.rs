//! What is believed of an answer: when a list is empty, when only part of it is shown, and what a 404 proves.

use buildkite_connector::governance::PartialVisibility;
use buildkite_connector::sandbox::{
    BodyStyle, Endpoint, Fault, FaultKind, MemberRoleField, MemberRows, OrganizationRole, Privacy, Sandbox,
    TeamsDisabled, TokenSpec,
};
use http::StatusCode;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::json;
use tonic::Code::{FailedPrecondition, NotFound, PermissionDenied, Unauthenticated, Unavailable};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::platform::{Platform, resource};
use crate::support::{Listing, Setup, TestServer, details, first_team, reason, sandbox, sized};

const NOBODY: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

fn always(code: u16) -> FaultKind {
    FaultKind::Status(StatusCode::from_u16(code).unwrap(), BodyStyle::Message)
}

fn refused<T>(result: Result<T, Status>) -> (Code, String) {
    reason(&result.err().expect("an error"))
}

/// A token of a user who is not an admin.
fn members_token(sandbox: &Sandbox) -> SecretString {
    let plain = sandbox.with_organization(|organization| {
        let mut people = organization.people().iter();
        people
            .find(|person| person.role == OrganizationRole::Member)
            .map(|person| person.id)
    });
    sandbox.mint(TokenSpec::owned_by(plain.unwrap()))
}

async fn platform(sandbox: &Sandbox, token: &SecretString, setup: Setup) -> (TestServer, Platform) {
    let connector = TestServer::with(sandbox, token, setup).await;
    let platform = connector.platform().await;
    (connector, platform)
}

#[tokio::test]
async fn a_team_without_members_and_an_organization_without_teams_are_just_that() {
    let sandbox = sandbox(sized(1, 0, 3)).await;
    let team = first_team(&sandbox);
    let (_connector, platform) = platform(&sandbox, sandbox.token(), Setup::default()).await;
    assert!(Listing::Members.read(&platform, team).await.unwrap().is_empty());
    sandbox.edit(|organization| organization.remove_team(team));
    assert!(platform.resources("team").await.unwrap().is_empty());
}

#[rstest]
#[case::token(Endpoint::AccessToken, 401, Unauthenticated, "TOKEN_REJECTED")]
#[case::organization(Endpoint::Organization, 404, FailedPrecondition, "ORGANIZATION_UNREACHABLE")]
#[case::forbidden(Endpoint::Organization, 403, PermissionDenied, "FORBIDDEN")]
#[case::outage(Endpoint::Organization, 502, Unavailable, "BUILDKITE_UNAVAILABLE")]
#[tokio::test]
async fn an_empty_list_is_not_believed_of_a_token_or_an_organization_in_trouble(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[case] endpoint: Endpoint,
    #[case] status: u16,
    #[case] code: Code,
    #[case] expected: &str,
) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let empty = Fault::new(listing.endpoint(), FaultKind::WrongShape(json!([])));
    let empty = sandbox.faults().add(empty);
    let trouble = sandbox.faults().add(Fault::new(endpoint, always(status)));
    let mut setup = Setup::default();
    setup.client.retry_for = std::time::Duration::from_millis(300);
    let (_connector, platform) = platform(&sandbox, sandbox.token(), setup).await;
    let read = listing.read(&platform, first_team(&sandbox)).await;
    assert_eq!(refused(read), (code, expected.to_owned()));
    // Teams are not requested before the token is known to see all of them.
    assert!((empty.fired() == 1 || listing == Listing::Teams) && trouble.fired() >= 1);
}

#[tokio::test]
async fn an_empty_list_of_people_is_not_believed_while_the_owner_is_one_of_them() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let empty = Fault::new(Endpoint::OrganizationMembers, FaultKind::WrongShape(json!([])));
    sandbox.faults().add(empty);
    let (_connector, platform) = platform(&sandbox, sandbox.token(), Setup::default()).await;
    assert_eq!(
        refused(platform.resources("user").await),
        (FailedPrecondition, "UNEXPECTED_RESPONSE".into())
    );
}

#[tokio::test]
async fn a_partial_view_of_the_teams_is_refused_with_its_remedy_until_it_is_allowed() {
    let sandbox = sandbox(sized(40, 1, 5)).await;
    let token = members_token(&sandbox);
    let (_first, refusing) = platform(&sandbox, &token, Setup::default()).await;
    let status = refusing.resources("team").await.unwrap_err();
    assert_eq!(reason(&status), (FailedPrecondition, "PARTIAL_VISIBILITY".into()));
    assert!(status.message().contains("is not shown secret teams"), "{status}");
    let message = details(&status).message;
    assert!(
        message.contains("@sized.example") && message.contains("--partial-visibility allow"),
        "{message}"
    );

    let mut setup = Setup::default();
    setup.access.partial_visibility = PartialVisibility::Allow;
    let (_second, allowing) = platform(&sandbox, &token, setup).await;
    let secret = sandbox.with_organization(|organization| {
        let teams = organization.teams().iter();
        teams.filter(|team| team.privacy == Privacy::Secret).count()
    });
    assert_eq!((secret, allowing.resources("team").await.unwrap().len()), (2, 38));
}

#[tokio::test]
async fn an_owner_whose_role_is_not_reported_sees_the_teams_and_proves_no_absence() {
    let sandbox = sandbox(sized(2, 1, 2)).await;
    sandbox.change_behaviors(|behaviors| behaviors.member_role_field = MemberRoleField::Absent);
    let (_connector, platform) = platform(&sandbox, sandbox.token(), Setup::default()).await;
    assert_eq!(platform.resources("team").await.unwrap().len(), 2);
    assert_eq!(
        refused(platform.resource("team", NOBODY).await),
        (FailedPrecondition, "TEAM_UNREACHABLE".into())
    );
}

#[rstest]
#[tokio::test]
async fn an_organization_that_is_not_there_under_this_slug_is_never_not_found(
    #[values("Sized", "renamed")] slug: &'static str,
) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let (team, owner) = (first_team(&sandbox), sandbox.owner().to_string());
    sandbox.edit(|organization| slug.clone_into(&mut organization.slug));
    let (_connector, platform) = platform(&sandbox, sandbox.token(), Setup::default()).await;
    let unreachable = (FailedPrecondition, "ORGANIZATION_UNREACHABLE".to_owned());
    for listing in Listing::ALL {
        assert_eq!(refused(listing.read(&platform, team).await), unreachable, "{listing:?}");
    }
    for (kind, id) in [("team", team.to_string()), ("user", owner)] {
        assert_eq!(refused(platform.resource(kind, &id).await), unreachable, "{kind}");
    }
    assert_eq!(refused(platform.validate().await), unreachable);
}

#[rstest]
#[case::forbidden(TeamsDisabled::Forbidden, (PermissionDenied, "FORBIDDEN"), (PermissionDenied, "FORBIDDEN"))]
#[case::not_found(
    TeamsDisabled::NotFound,
    (FailedPrecondition, "TEAMS_UNAVAILABLE"),
    (FailedPrecondition, "TEAMS_UNAVAILABLE")
)]
#[tokio::test]
async fn teams_that_are_not_enabled_are_never_teams_that_are_gone(
    #[case] behavior: TeamsDisabled,
    #[case] list: (Code, &str),
    #[case] one: (Code, &str),
) {
    let sandbox = sandbox(sized(2, 1, 2)).await;
    let team = first_team(&sandbox);
    sandbox.change_behaviors(|behaviors| behaviors.teams_disabled = behavior);
    let (_connector, platform) = platform(&sandbox, sandbox.token(), Setup::default()).await;
    let owned = |(code, reason): (Code, &str)| (code, reason.to_owned());
    assert_eq!(refused(platform.resources("team").await), owned(list));
    assert_eq!(refused(platform.resource("team", &team.to_string()).await), owned(one));
    assert_eq!(refused(Listing::Members.read(&platform, team).await), owned(one));
}

#[tokio::test]
async fn an_organization_whose_disabled_teams_are_an_empty_list_has_none_to_list() {
    let sandbox = sandbox(sized(2, 1, 2)).await;
    sandbox.change_behaviors(|behaviors| behaviors.teams_disabled = TeamsDisabled::Empty);
    let (_connector, platform) = platform(&sandbox, sandbox.token(), Setup::default()).await;
    assert!(platform.resources("team").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_team_hidden_from_the_owner_is_unreachable_and_not_gone() {
    let sandbox = sandbox(sized(40, 1, 60)).await;
    let token = members_token(&sandbox);
    let hidden = sandbox.edit(|organization| {
        let teams = organization.teams().iter();
        let hidden = teams.filter(|team| team.privacy == Privacy::Secret).map(|team| team.id);
        let hidden: Vec<Uuid> = hidden.collect();
        let members: Vec<Uuid> = organization.people().iter().map(|person| person.id).collect();
        for user in members {
            organization.remove_membership(hidden[0], user);
        }
        hidden[0]
    });
    let mut setup = Setup::default();
    setup.access.partial_visibility = PartialVisibility::Allow;
    let (_connector, platform) = platform(&sandbox, &token, setup).await;
    let unreachable = (FailedPrecondition, "TEAM_UNREACHABLE".to_owned());
    assert_eq!(
        refused(platform.resource("team", &hidden.to_string()).await),
        unreachable
    );
    assert_eq!(refused(Listing::Members.read(&platform, hidden).await), unreachable);
}

#[rstest]
#[case::proven(None, NotFound, "TEAM_NOT_FOUND")]
#[case::list_down(Some(always(503)), Unavailable, "BUILDKITE_UNAVAILABLE")]
#[case::list_cut(Some(FaultKind::Truncated), Unavailable, "BUILDKITE_UNAVAILABLE")]
#[case::list_odd(Some(FaultKind::NullBody), FailedPrecondition, "UNEXPECTED_RESPONSE")]
#[case::list_forbidden(Some(always(403)), PermissionDenied, "FORBIDDEN")]
#[tokio::test]
async fn a_deleted_team_is_not_found_only_where_a_fresh_complete_list_lacks_it(
    #[case] trouble: Option<FaultKind>,
    #[case] code: Code,
    #[case] expected: &str,
) {
    let sandbox = sandbox(sized(250, 1, 2)).await;
    let team = first_team(&sandbox);
    sandbox.edit(|organization| organization.remove_team(team));
    if let Some(kind) = trouble {
        sandbox.faults().add(Fault::new(Endpoint::Teams, kind).on_page(3));
    }
    let mut setup = Setup::default();
    setup.client.retry_for = std::time::Duration::from_millis(300);
    let (_connector, platform) = platform(&sandbox, sandbox.token(), setup).await;
    let expected = (code, expected.to_owned());
    assert_eq!(refused(platform.resource("team", &team.to_string()).await), expected);
    assert_eq!(refused(Listing::Members.read(&platform, team).await), expected);
}

#[tokio::test]
async fn a_team_deleted_in_the_middle_of_a_sync_is_skipped_and_the_others_are_read() {
    let sandbox = sandbox(sized(3, 2, 4)).await;
    let (_connector, platform) = platform(&sandbox, sandbox.token(), Setup::default()).await;
    let teams = platform.resources("team").await.unwrap();
    let gone = first_team(&sandbox);
    sandbox.edit(|organization| organization.remove_team(gone));
    for team in &teams {
        let grants = platform.grants(team).await;
        if team.id == resource("team", &gone.to_string()).id {
            assert_eq!(refused(grants), (NotFound, "TEAM_NOT_FOUND".into()));
        } else {
            assert_eq!(grants.unwrap().len(), 2);
        }
    }
}

#[tokio::test]
async fn a_user_is_not_found_only_while_the_member_list_is_visible() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let (_connector, platform) = platform(&sandbox, sandbox.token(), Setup::default()).await;
    let gone = sandbox.with_organization(|organization| organization.people()[1].id);
    sandbox.edit(|organization| organization.remove_person(gone, MemberRows::Dropped));
    for id in [gone.to_string(), NOBODY.to_owned()] {
        assert_eq!(
            refused(platform.resource("user", &id).await),
            (NotFound, "USER_NOT_FOUND".into())
        );
    }
    // Now the owner's own record is hidden too, so it proves nothing.
    let hidden = sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMember, always(404)));
    let (code, _) = refused(platform.resource("user", NOBODY).await);
    assert_eq!(code, FailedPrecondition);
    assert!(hidden.fired() >= 2);
}

#[tokio::test]
async fn a_token_of_unknown_owner_proves_a_users_absence_only_while_it_sees_other_members() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let spec = TokenSpec::owned_by(sandbox.owner()).with_scopes(&["read_organizations", "read_teams"]);
    let (_connector, platform) = platform(&sandbox, &sandbox.mint(spec), Setup::default()).await;
    assert_eq!(
        refused(platform.resource("user", NOBODY).await),
        (NotFound, "USER_NOT_FOUND".into())
    );
    for endpoint in [Endpoint::OrganizationMember, Endpoint::OrganizationMembers] {
        sandbox.faults().add(Fault::new(endpoint, always(404)));
    }
    let somebody = sandbox.owner().to_string();
    let (code, _) = refused(platform.resource("user", &somebody).await);
    assert_eq!(code, FailedPrecondition);
}
