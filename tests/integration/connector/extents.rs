//! Lists that contradict what they said about their length: the whole truth or an error, and never a short list.

use buildkite_connector::sandbox::{Edit, Endpoint, Fault, FaultKind, LinkChange, Sandbox};
use rstest::rstest;
use serde_json::json;
use tonic::Code::{FailedPrecondition, Unavailable};
use tonic::{Code, Status};

use crate::support::platform::{Platform, SYNC};
use crate::support::{Listing, TestServer, first_team, reason, sandbox, sized};

/// Rows of a list that takes five windows.
const ROWS: usize = 450;

const EMPTY: fn() -> FaultKind = || FaultKind::WrongShape(json!([]));

async fn on(listing: Listing) -> (Sandbox, TestServer, Platform) {
    let sandbox = sandbox(listing.seed(ROWS)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    (sandbox, connector, platform)
}

fn contradicts(status: &Status) {
    let (code, details) = reason(status);
    let expected = [
        (Unavailable, "BUILDKITE_UNAVAILABLE"),
        (FailedPrecondition, "UNEXPECTED_RESPONSE"),
    ];
    assert!(expected.contains(&(code, details.as_str())), "{status:?}");
}

#[rstest]
#[tokio::test]
async fn windows_that_are_all_empty_from_one_on_never_make_a_short_list(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(0, 1, 2, 4)] after: u64,
    #[values(true, false)] linked: bool,
    #[values(0, 60)] size: u32,
) {
    // Without any Link, empty from the first answer on, is what an empty list is.
    if after == 0 && !linked {
        return;
    }
    let (sandbox, _connector, platform) = on(listing).await;
    sandbox
        .faults()
        .add(Fault::new(listing.endpoint(), EMPTY()).after(after));
    if !linked {
        let dropped = FaultKind::Links(LinkChange::Dropped);
        sandbox
            .faults()
            .add(Fault::new(listing.endpoint(), dropped).after(after));
    }
    let read = listing.read_sized(&platform, first_team(&sandbox), SYNC, size).await;
    contradicts(&read.expect_err("an empty window was believed"));
}

#[rstest]
#[tokio::test]
async fn a_later_page_that_is_short_and_without_a_link_never_makes_a_short_list(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(2, 3, 4)] page: usize,
    #[values(0, 1, 14)] rows: usize,
    #[values(Some(1), Some(3), None)] times: Option<u64>,
    #[values(0, 60)] size: u32,
) {
    let (sandbox, _connector, platform) = on(listing).await;
    for kind in [FaultKind::ShortPage(rows), FaultKind::Links(LinkChange::Dropped)] {
        let fault = Fault::new(listing.endpoint(), kind).on_page(page);
        sandbox.faults().add(match times {
            Some(times) => fault.times(times),
            None => fault,
        });
    }
    match listing.read_sized(&platform, first_team(&sandbox), SYNC, size).await {
        Ok((read, _)) => {
            assert_eq!(read.len(), ROWS);
            assert!(read.into_iter().collect::<std::collections::BTreeSet<_>>() == listing.truth(&sandbox));
        }
        Err(status) => {
            assert!(times != Some(1), "one short page is asked for again: {status:?}");
            contradicts(&status);
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_first_page_that_names_more_pages_than_there_are_is_never_believed(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
) {
    let sandbox = sandbox(listing.seed(40)).await;
    let connector = TestServer::on(&sandbox).await;
    let lie = Fault::new(listing.endpoint(), FaultKind::Links(LinkChange::Last(5))).on_page(1);
    sandbox.faults().add(lie);
    let read = listing.read(&connector.platform().await, first_team(&sandbox)).await;
    contradicts(&read.expect_err("40 rows of a list with five pages"));
}

#[rstest]
#[tokio::test]
async fn a_list_that_really_became_shorter_is_read_again_until_two_readings_agree(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(0, 60)] size: u32,
) {
    let (sandbox, _connector, platform) = on(listing).await;
    let team = first_team(&sandbox);
    let shrink = Edit::with(move |organization| match listing {
        Listing::People => {
            let gone: Vec<_> = organization.people().iter().skip(300).map(|row| row.id).collect();
            for id in gone {
                organization.remove_person(id, buildkite_connector::sandbox::MemberRows::Dropped);
            }
        }
        Listing::Teams => {
            let gone: Vec<_> = organization.teams().iter().skip(300).map(|row| row.id).collect();
            for id in gone {
                organization.remove_team(id);
            }
        }
        Listing::Members => {
            let gone: Vec<_> = organization
                .team(team)
                .unwrap()
                .members()
                .iter()
                .skip(300)
                .map(|row| row.user)
                .collect();
            for user in gone {
                organization.remove_membership(team, user);
            }
        }
    });
    let moved = Fault::new(listing.endpoint(), FaultKind::MoveRows(shrink))
        .after(2)
        .once();
    let moved = sandbox.faults().add(moved);
    let (rows, _) = listing.read_sized(&platform, team, SYNC, size).await.unwrap();
    assert_eq!((moved.fired(), rows.len()), (1, 300));
    let read = sandbox.request_log().count(listing.endpoint());
    assert!(read >= 2 * 4, "{read} requests: the list was not read again");
}

#[tokio::test]
async fn one_empty_list_of_teams_is_read_again_and_not_believed() {
    let sandbox = sandbox(sized(120, 1, 2)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    let unlinked = |times| {
        let faults = [EMPTY(), FaultKind::Links(LinkChange::Dropped)];
        for kind in faults {
            sandbox.faults().add(Fault::new(Endpoint::Teams, kind).times(times));
        }
    };
    unlinked(1);
    assert_eq!(platform.resources("team").await.unwrap().len(), 120);
    unlinked(1_000);
    let status = platform.resources("team").await.expect_err("no teams were believed");
    assert_eq!(reason(&status), (FailedPrecondition, "UNEXPECTED_RESPONSE".into()));
    assert_eq!(sandbox.request_log().count(Endpoint::Team), 1);
}

#[tokio::test]
async fn an_organization_that_lost_all_its_teams_is_believed_once_a_team_is_gone_too() {
    let sandbox = sandbox(sized(3, 1, 2)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    assert_eq!(platform.resources("team").await.unwrap().len(), 3);
    sandbox.edit(|organization| {
        let gone: Vec<_> = organization.teams().iter().map(|team| team.id).collect();
        for team in gone {
            organization.remove_team(team);
        }
    });
    assert!(platform.resources("team").await.unwrap().is_empty());
    let requests = [Endpoint::Teams, Endpoint::Team].map(|endpoint| sandbox.request_log().count(endpoint));
    assert_eq!(requests, [1 + 2, 1]);
}

#[tokio::test]
async fn one_empty_list_of_a_team_that_had_members_is_read_again() {
    let sandbox = sandbox(sized(1, 3, 4)).await;
    let connector = TestServer::on(&sandbox).await;
    let (platform, team) = (connector.platform().await, first_team(&sandbox));
    assert_eq!(Listing::Members.read(&platform, team).await.unwrap().len(), 3);
    sandbox.faults().add(Fault::new(Endpoint::TeamMembers, EMPTY()).once());
    assert_eq!(Listing::Members.read(&platform, team).await.unwrap().len(), 3);
    // A team that is known to be empty is read once.
    sandbox.edit(|organization| {
        for user in organization
            .team(team)
            .unwrap()
            .members()
            .iter()
            .map(|row| row.user)
            .collect::<Vec<_>>()
        {
            organization.remove_membership(team, user);
        }
    });
    assert!(Listing::Members.read(&platform, team).await.unwrap().is_empty());
    let before = sandbox.request_log().count(Endpoint::TeamMembers);
    assert!(Listing::Members.read(&platform, team).await.unwrap().is_empty());
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), before + 1);
}

#[tokio::test]
async fn an_empty_list_of_people_is_refused_for_a_token_of_unknown_owner_too() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let spec = buildkite_connector::sandbox::TokenSpec::owned_by(sandbox.owner())
        .with_scopes(&["read_organizations", "read_teams"]);
    let token = sandbox.mint(spec);
    let connector = TestServer::with(&sandbox, &token, crate::support::Setup::default()).await;
    sandbox.faults().add(Fault::new(Endpoint::OrganizationMembers, EMPTY()));
    let status = connector
        .platform()
        .await
        .resources("user")
        .await
        .expect_err("an absence was claimed");
    assert_eq!(
        reason(&status),
        (Code::FailedPrecondition, "UNEXPECTED_RESPONSE".into())
    );
}

#[tokio::test]
async fn a_role_of_tomorrow_does_not_fail_a_small_page_that_holds_no_other() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let ids: Vec<String> = (1..=3u128).map(|id| uuid::Uuid::from_u128(id).to_string()).collect();
    let rows = |roles: [&str; 3]| {
        let rows = ids
            .iter()
            .zip(roles)
            .map(|(id, role)| json!({"user_id": id, "role": role, "created_at": "2024-01-01T00:00:00Z"}));
        FaultKind::WrongShape(rows.collect())
    };
    let connector = TestServer::on(&sandbox).await;
    let (platform, team) = (connector.platform().await, first_team(&sandbox));
    let fault = sandbox
        .faults()
        .add(Fault::new(Endpoint::TeamMembers, rows(["owner", "member", "owner"])));
    for sync in [SYNC, ""] {
        let (read, _) = Listing::Members.read_sized(&platform, team, sync, 1).await.unwrap();
        assert_eq!(read, [ids[1].parse::<uuid::Uuid>().unwrap()]);
    }
    fault.remove();
    sandbox
        .faults()
        .add(Fault::new(Endpoint::TeamMembers, rows(["owner"; 3])));
    let status = Listing::Members
        .read_sized(&platform, team, "", 1)
        .await
        .expect_err("no role is known");
    assert_eq!(reason(&status), (FailedPrecondition, "UNEXPECTED_RESPONSE".into()));
}
