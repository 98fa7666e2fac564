//! A token's owner who loses the admin role: a team list that may lack secret teams is never taken for a complete one.

use std::time::Duration;

use buildkite_connector::governance::PartialVisibility;
use buildkite_connector::sandbox::{
    BodyStyle, Edit, Endpoint, Fault, FaultKind, MemberRoleField, OrganizationRole, Privacy, Sandbox,
};
use http::StatusCode;
use rstest::rstest;
use tonic::Code::{FailedPrecondition, Unavailable};
use uuid::Uuid;

use crate::support::platform::{Platform, SYNC};
use crate::support::{ROWS, Setup, TestServer, reason, sandbox, sized, until};

fn status(code: u16) -> FaultKind {
    FaultKind::Status(StatusCode::from_u16(code).unwrap(), BodyStyle::Message)
}

async fn platform(sandbox: &Sandbox, setup: Setup) -> (TestServer, Platform) {
    let connector = TestServer::with(sandbox, sandbox.token(), setup).await;
    let platform = connector.platform().await;
    (connector, platform)
}

fn allowing() -> Setup {
    let mut setup = Setup::default();
    setup.access.partial_visibility = PartialVisibility::Allow;
    setup
}

fn demote(sandbox: &Sandbox) {
    let owner = sandbox.owner();
    assert!(sandbox.edit(|organization| organization.set_role(owner, OrganizationRole::Member)));
}

/// The owner is demoted by the second request for a window of the team list.
fn demotion_in_the_middle(sandbox: &Sandbox) -> Fault {
    let owner = sandbox.owner();
    let demotion = Edit::with(move |organization| {
        organization.set_role(owner, OrganizationRole::Member);
    });
    Fault::new(Endpoint::Teams, FaultKind::MoveRows(demotion))
        .after(1)
        .once()
}

fn shown_to_members(sandbox: &Sandbox) -> usize {
    sandbox.with_organization(|organization| {
        let teams = organization.teams().iter();
        teams.filter(|team| team.privacy != Privacy::Secret).count()
    })
}

/// Requests for the record of the token's owner.
fn owner_records(sandbox: &Sandbox) -> usize {
    let path = format!("/members/{}", sandbox.owner());
    let requests = sandbox.requests();
    requests.iter().filter(|request| request.path.ends_with(&path)).count()
}

#[tokio::test]
async fn a_team_list_is_refused_as_soon_as_the_tokens_owner_is_not_an_admin() {
    let sandbox = sandbox(sized(40, 1, 5)).await;
    let (_connector, platform) = platform(&sandbox, Setup::default()).await;
    assert_eq!(platform.resources_in("before", "team").await.unwrap().len(), 40);
    demote(&sandbox);
    for sync in ["after", ""] {
        let refused = platform.resources_in(sync, "team").await.unwrap_err();
        assert_eq!(reason(&refused), (FailedPrecondition, "PARTIAL_VISIBILITY".into()));
    }
}

#[rstest]
#[tokio::test]
async fn a_demotion_in_the_middle_of_a_team_list_never_makes_a_short_list(#[values(SYNC, "")] sync: &str) {
    let sandbox = sandbox(sized(ROWS, 1, 2)).await;
    let demotion = sandbox.faults().add(demotion_in_the_middle(&sandbox));
    let (_connector, platform) = platform(&sandbox, Setup::default()).await;
    let refused = platform.resources_in(sync, "team").await.unwrap_err();
    assert_eq!(reason(&refused), (FailedPrecondition, "PARTIAL_VISIBILITY".into()));
    assert_eq!(demotion.fired(), 1);
}

#[tokio::test]
async fn where_a_partial_view_is_allowed_a_demotion_ends_no_list_and_costs_no_request() {
    let sandbox = sandbox(sized(ROWS, 1, 2)).await;
    let demotion = sandbox.faults().add(demotion_in_the_middle(&sandbox));
    let (_connector, platform) = platform(&sandbox, allowing()).await;
    let shown = platform.resources("team").await.unwrap().len();
    assert!((shown_to_members(&sandbox)..=ROWS).contains(&shown), "{shown} teams");
    assert_eq!((demotion.fired(), owner_records(&sandbox)), (1, 1));
}

#[tokio::test]
async fn the_owners_role_is_read_once_more_after_the_last_window_and_only_for_the_last_page() {
    let sandbox = sandbox(sized(1_200, 1, 2)).await;
    let (_connector, platform) = platform(&sandbox, Setup::default()).await;
    let mut page = platform.resources_page("team", "", SYNC).await.unwrap();
    assert_eq!(owner_records(&sandbox), 1, "the list has not ended");
    while !page.next_page_token.is_empty() {
        page = platform
            .resources_page("team", &page.next_page_token, SYNC)
            .await
            .unwrap();
    }
    assert_eq!(owner_records(&sandbox), 2);
    let requests = sandbox.requests();
    let is_of_owner = |path: &str| path.ends_with(&sandbox.owner().to_string());
    assert!(is_of_owner(&requests.last().unwrap().path), "{requests:#?}");
}

#[tokio::test]
async fn prefetched_windows_prove_nothing_when_their_page_is_requested() {
    let sandbox = sandbox(sized(1_200, 1, 2)).await;
    let (_connector, platform) = platform(&sandbox, Setup::default()).await;
    let first = platform.resources_page("team", "", SYNC).await.unwrap();
    let windows = || sandbox.request_log().count(Endpoint::Teams);
    until(|| windows() >= 13 && sandbox.request_log().in_flight() == 0).await;
    demote(&sandbox);
    let second = platform
        .resources_page("team", &first.next_page_token, SYNC)
        .await
        .unwrap();
    let refused = platform.resources_page("team", &second.next_page_token, SYNC).await;
    assert_eq!(
        reason(&refused.unwrap_err()),
        (FailedPrecondition, "PARTIAL_VISIBILITY".into())
    );
}

#[tokio::test]
async fn another_process_that_ends_a_list_reads_the_role_too() {
    let sandbox = sandbox(sized(1_200, 1, 2)).await;
    let (first, before) = platform(&sandbox, Setup::default()).await;
    let page = before.resources_page("team", "", SYNC).await.unwrap();
    first.stop().await;
    let (_second, after) = platform(&sandbox, Setup::default()).await;
    let page = after.resources_page("team", &page.next_page_token, SYNC).await.unwrap();
    demote(&sandbox);
    let refused = after.resources_page("team", &page.next_page_token, SYNC).await;
    assert_eq!(
        reason(&refused.unwrap_err()),
        (FailedPrecondition, "PARTIAL_VISIBILITY".into())
    );
}

#[tokio::test]
async fn a_list_is_unavailable_while_a_transient_failure_hides_the_owners_role() {
    let sandbox = sandbox(sized(3, 1, 2)).await;
    let outage = Fault::new(Endpoint::OrganizationMember, status(503)).after(1);
    let outage = sandbox.faults().add(outage);
    let mut setup = Setup::default();
    setup.client.retry_for = Duration::from_millis(100);
    let (_connector, platform) = platform(&sandbox, setup).await;
    let refused = platform.resources("team").await.unwrap_err();
    assert_eq!(reason(&refused), (Unavailable, "BUILDKITE_UNAVAILABLE".into()));
    outage.remove();
    assert_eq!(platform.resources("team").await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_owner_whose_role_is_no_longer_reported_is_treated_as_admin() {
    let sandbox = sandbox(sized(3, 1, 2)).await;
    let (_connector, platform) = platform(&sandbox, Setup::default()).await;
    assert_eq!(platform.resources("team").await.unwrap().len(), 3);
    sandbox.change_behaviors(|behaviors| behaviors.member_role_field = MemberRoleField::Absent);
    assert_eq!(platform.resources("team").await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_team_is_not_proven_gone_by_a_list_during_which_the_owner_was_demoted() {
    let sandbox = sandbox(sized(3, 1, 2)).await;
    let owner = sandbox.owner();
    let team: Uuid = sandbox.with_organization(|organization| {
        let mut teams = organization.teams().iter();
        teams.find(|team| team.role_of(owner).is_none()).unwrap().id
    });
    sandbox.edit(|organization| organization.team_mut(team).unwrap().privacy = Privacy::Secret);
    let (_connector, platform) = platform(&sandbox, Setup::default()).await;
    // It answers 404 for a moment, and is hidden from the list that follows.
    sandbox.faults().add(Fault::new(Endpoint::Team, status(404)).once());
    let demotion = Edit::with(move |organization| {
        organization.set_role(owner, OrganizationRole::Member);
    });
    let demotion = Fault::new(Endpoint::Teams, FaultKind::MoveRows(demotion)).once();
    let demotion = sandbox.faults().add(demotion);
    let refused = platform.resource("team", &team.to_string()).await.unwrap_err();
    assert_eq!(reason(&refused), (FailedPrecondition, "TEAM_UNREACHABLE".into()));
    assert_eq!(demotion.fired(), 1);
}
