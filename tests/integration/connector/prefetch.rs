//! Prefetching over a real channel: faster for a sequential client, and never stale, doubled or left over.

use std::collections::BTreeSet;
use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::Resource;
use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, LimitOptions, Options, Sandbox};
use futures::future::join_all;
use http::StatusCode;
use rstest::rstest;

use crate::support::platform::{SYNC, id_of};
use crate::support::{Setup, TestServer, details, sandbox, sized};

const TEAMS: usize = 80;

async fn far_away(latency: Duration) -> Sandbox {
    let limits = LimitOptions::unlimited();
    Sandbox::start(Options {
        seed: sized(TEAMS, 5, 60),
        limits,
        latency,
        ..Options::default()
    })
    .await
    .unwrap()
}

/// How many member rows there are.
fn memberships(sandbox: &Sandbox) -> usize {
    sandbox.with_organization(|organization| organization.teams().iter().map(|team| team.members().len()).sum())
}

/// The teams of a sync that was begun, in one of the orders of a client.
async fn begun(connector: &TestServer, order: Order) -> Vec<Resource> {
    let mut teams = connector.platform().await.resources("team").await.unwrap();
    match order {
        Order::Listed => {}
        Order::ListedBackwards => teams.reverse(),
        Order::Sorted => teams.sort_by_key(id_of),
        Order::SortedBackwards => teams.sort_by_key(|team| std::cmp::Reverse(id_of(team))),
        // A stride that is coprime to the number of teams visits each once, none beside its neighbour.
        Order::Scattered => teams = (0..TEAMS).map(|at| teams[at * 33 % TEAMS].clone()).collect(),
    }
    teams
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Listed,
    ListedBackwards,
    Sorted,
    SortedBackwards,
    Scattered,
}

#[rstest]
#[tokio::test]
async fn every_team_is_read_once_and_correctly_in_any_order(
    #[values(
        Order::Listed,
        Order::ListedBackwards,
        Order::Sorted,
        Order::SortedBackwards,
        Order::Scattered
    )]
    order: Order,
) {
    let sandbox = far_away(Duration::from_millis(5)).await;
    let connector = TestServer::on(&sandbox).await;
    let teams = begun(&connector, order).await;
    let platform = connector.platform().await;
    for team in &teams {
        let read = platform.grants(team).await.unwrap().len();
        let id: uuid::Uuid = id_of(team).parse().unwrap();
        assert_eq!(
            read,
            sandbox.with_organization(|organization| organization.team(id).unwrap().members().len())
        );
    }
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), TEAMS as u64);
    assert!(sandbox.request_log().peak_in_flight() > 4, "nothing was read ahead");
}

#[tokio::test]
async fn a_client_that_requests_all_pages_at_once_gets_the_true_list() {
    let sandbox = far_away(Duration::from_millis(5)).await;
    let connector = TestServer::on(&sandbox).await;
    let teams = begun(&connector, Order::Scattered).await;
    let platform = connector.platform().await;
    let all = join_all(teams.iter().map(|team| platform.grants(team))).await;
    let read: usize = all.iter().map(|grants| grants.as_ref().unwrap().len()).sum();
    assert_eq!(read, memberships(&sandbox));
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), TEAMS as u64);
    assert!(sandbox.request_log().peak_in_flight() <= 16 + 2);
}

#[tokio::test]
async fn two_concurrent_syncs_are_each_complete() {
    let sandbox = far_away(Duration::from_millis(5)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    let sync = |sync: &'static str, backwards: bool| {
        let platform = platform.clone();
        async move {
            let people = platform.resources_in(sync, "user").await.unwrap().len();
            let mut teams = platform.resources_in(sync, "team").await.unwrap();
            if backwards {
                teams.reverse();
            }
            let mut grants = 0;
            for team in &teams {
                grants += platform.grants_in(sync, team).await.unwrap().len();
            }
            platform.cleanup(sync).await.unwrap();
            (people, teams.len(), grants)
        }
    };
    let (one, other) = tokio::join!(sync("one", false), sync("other", true));
    let truth = (60, TEAMS, memberships(&sandbox));
    assert_eq!((one, other), (truth, truth));
    assert!(sandbox.request_log().peak_in_flight() <= 16 + 2);
    assert!(sandbox.request_log().count(Endpoint::TeamMembers) <= 2 * TEAMS as u64);
}

#[tokio::test]
async fn a_client_goes_on_with_its_sync_after_the_connector_was_restarted() {
    let sandbox = sandbox(sized(TEAMS, 5, 1_600)).await;
    let (first, second) = (TestServer::on(&sandbox).await, TestServer::on(&sandbox).await);
    let (before, after) = (first.platform().await, second.platform().await);
    let part = before.resources_page("user", "", SYNC).await.unwrap();
    let mut people: BTreeSet<_> = part.list.iter().map(id_of).collect();
    let teams = before.resources("team").await.unwrap();
    let mut grants = before.grants(&teams[0]).await.unwrap().len();
    first.stop().await;
    let mut token = part.next_page_token;
    while !token.is_empty() {
        let part = after.resources_page("user", &token, SYNC).await.unwrap();
        people.extend(part.list.iter().map(id_of));
        token = part.next_page_token;
    }
    for team in &teams[1..] {
        grants += after.grants(team).await.unwrap().len();
    }
    after.cleanup(SYNC).await.unwrap();
    assert_eq!((people.len(), grants), (1_600, memberships(&sandbox)));
}

#[rstest]
#[tokio::test]
async fn a_process_that_meets_a_sync_lists_its_teams_once_and_reads_ahead(
    #[values(Order::Listed, Order::ListedBackwards, Order::Sorted, Order::SortedBackwards)] order: Order,
) {
    let sandbox = far_away(Duration::from_millis(25)).await;
    let first = TestServer::on(&sandbox).await;
    let teams = begun(&first, order).await;
    first.stop().await;
    let listed = sandbox.request_log().count(Endpoint::Teams);
    let second = TestServer::on(&sandbox).await;
    let platform = second.platform().await;
    let rest = &teams[TEAMS / 4..];
    let mut grants = 0;
    for team in rest {
        grants += platform.grants(team).await.unwrap().len();
    }
    assert_eq!(grants, rest.len() * 5);
    let peak = sandbox.request_log().peak_in_flight();
    assert!((8..=17).contains(&peak), "{peak} at once");
    assert_eq!(sandbox.request_log().count(Endpoint::Teams), listed + 1);
    assert_eq!(
        sandbox.request_log().count(Endpoint::TeamMembers),
        rest.len() as u64,
        "what the process before has read is not read again"
    );
    platform.cleanup(SYNC).await.unwrap();
}

#[tokio::test]
async fn a_process_that_meets_a_sync_and_cannot_list_its_teams_answers_all_the_same() {
    let sandbox = far_away(Duration::from_millis(5)).await;
    let first = TestServer::on(&sandbox).await;
    let teams = begun(&first, Order::SortedBackwards).await;
    first.stop().await;
    let forbidden = FaultKind::Status(StatusCode::FORBIDDEN, BodyStyle::Message);
    let forbidden = sandbox.faults().add(Fault::new(Endpoint::Teams, forbidden));
    let second = TestServer::on(&sandbox).await;
    let platform = second.platform().await;
    for team in &teams {
        assert_eq!(platform.grants(team).await.unwrap().len(), 5);
    }
    assert_eq!(forbidden.fired(), 1, "once for a sync, not once for a call");
}

#[tokio::test]
async fn a_client_that_was_restarted_begins_its_sync_again() {
    let sandbox = sandbox(sized(TEAMS, 5, 1_600)).await;
    let connector = TestServer::on(&sandbox).await;
    for asked in [3, 20, TEAMS] {
        let platform = connector.platform().await;
        platform.resources_page("user", "", SYNC).await.unwrap();
        let people: BTreeSet<_> = platform.resources("user").await.unwrap().iter().map(id_of).collect();
        let teams = platform.resources("team").await.unwrap();
        let mut grants = 0;
        for team in teams.iter().take(asked) {
            grants += platform.grants(team).await.unwrap().len();
        }
        assert_eq!((people.len(), teams.len(), grants), (1_600, TEAMS, asked * 5));
    }
    connector.platform().await.cleanup(SYNC).await.unwrap();
    while sandbox.request_log().in_flight() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_windows_of_a_long_list_are_requested_concurrently_and_none_twice() {
    let limits = LimitOptions::unlimited();
    let sandbox = Sandbox::start(Options {
        seed: sized(1, 1, 4_000),
        limits,
        latency: Duration::from_millis(20),
        ..Options::default()
    })
    .await
    .unwrap();
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    let mut tokens = vec![String::new()];
    let mut people = BTreeSet::new();
    while let Some(token) = tokens.last().filter(|token| tokens.len() == 1 || !token.is_empty()) {
        let part = platform.resources_page("user", token, SYNC).await.unwrap();
        people.extend(part.list.iter().map(id_of));
        tokens.push(part.next_page_token);
    }
    let requests = sandbox.request_log().count(Endpoint::OrganizationMembers);
    assert_eq!((people.len(), requests), (4_000, 46));
    let peak = sandbox.request_log().peak_in_flight();
    assert!((8..=16).contains(&peak), "{peak} at once");
    // A client whose reply was lost requests a part again, and gets it.
    let again = platform.resources_page("user", &tokens[2], SYNC).await.unwrap();
    assert!(!again.list.is_empty() && !again.next_page_token.is_empty());
    assert!(again.list.iter().all(|person| people.contains(&id_of(person))));
}

#[tokio::test]
async fn a_caller_that_cannot_wait_for_a_prefetch_gets_the_exhausted_limit_at_once() {
    let limits = LimitOptions {
        user: Some(30),
        organization_offset: Some(Duration::ZERO),
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    let sandbox = Sandbox::start(Options {
        seed: sized(TEAMS, 5, 60),
        limits,
        ..Options::default()
    })
    .await
    .unwrap();
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    let teams = platform.resources("team").await.unwrap();
    for team in &teams {
        match platform.grants_within(Duration::from_secs(5), team).await {
            Ok(grants) => assert_eq!(grants.len(), 5),
            Err(status) => {
                assert_eq!(details(&status).reason, "RATE_LIMITED");
                assert!(sandbox.request_log().total() >= 20, "there was room left");
                return;
            }
        }
    }
    panic!("no limit was reached");
}

#[tokio::test]
async fn while_a_client_lists_one_by_one_a_bounded_number_of_teams_is_prefetched() {
    let sandbox = far_away(Duration::from_millis(25)).await;
    let connector = TestServer::on(&sandbox).await;
    let teams = begun(&connector, Order::SortedBackwards).await;
    let platform = connector.platform().await;
    for team in &teams {
        platform.grants(team).await.unwrap();
    }
    let peak = sandbox.request_log().peak_in_flight();
    assert!((8..=17).contains(&peak), "{peak} at once");
}

#[tokio::test]
async fn a_single_team_is_read_alone() {
    let sandbox = far_away(Duration::ZERO).await;
    let connector = TestServer::on(&sandbox).await;
    let teams = begun(&connector, Order::Listed).await;
    let platform = connector.platform().await;
    platform.grants(&teams[3]).await.unwrap();
    platform.grants(&teams[3]).await.unwrap();
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 2);
}

#[tokio::test]
async fn a_read_from_before_a_grant_is_not_served_after_it() {
    let sandbox = far_away(Duration::ZERO).await;
    let connector = TestServer::on(&sandbox).await;
    let teams = begun(&connector, Order::Listed).await;
    let platform = connector.platform().await;
    platform.grants(&teams[0]).await.unwrap();
    platform.grants(&teams[1]).await.unwrap();
    let ahead = id_of(&teams[2]);
    while !sandbox
        .requests()
        .iter()
        .any(|request| request.path.contains(&format!("{ahead}/members")))
    {
        tokio::task::yield_now().await;
    }
    let newcomer = sandbox.with_organization(|organization| {
        let team = organization.team(ahead.parse().unwrap()).unwrap();
        organization
            .people()
            .iter()
            .find(|person| team.role_of(person.id).is_none())
            .unwrap()
            .id
    });
    platform.grant(&ahead, "member", &newcomer.to_string()).await.unwrap();
    let grants = platform.grants(&teams[2]).await.unwrap();
    assert!(
        grants.iter().any(|grant| grant.id.ends_with(&newcomer.to_string())),
        "the grant is missing"
    );
}

#[tokio::test]
async fn a_client_that_stops_asking_leaves_a_bounded_number_of_reads_and_cleanup_ends_them() {
    let sandbox = far_away(Duration::from_millis(50)).await;
    let connector = TestServer::on(&sandbox).await;
    let teams = begun(&connector, Order::Listed).await;
    let platform = connector.platform().await;
    platform.grants(&teams[0]).await.unwrap();
    platform.grants(&teams[1]).await.unwrap();
    platform.cleanup(SYNC).await.unwrap();
    let read = sandbox.request_log().count(Endpoint::TeamMembers);
    assert!(
        read <= 2 * (1 + 16),
        "{read} teams were read for two that were asked for"
    );
    while sandbox.request_log().in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        sandbox.request_log().count(Endpoint::TeamMembers),
        read,
        "something was read after the end"
    );
}

#[tokio::test]
async fn nothing_is_prefetched_when_the_operator_disables_it() {
    let sandbox = far_away(Duration::from_millis(5)).await;
    let mut setup = Setup::default();
    setup.access.read_ahead = 0;
    let connector = TestServer::with(&sandbox, sandbox.token(), setup).await;
    let teams = begun(&connector, Order::Listed).await;
    let platform = connector.platform().await;
    for team in teams.iter().take(6) {
        platform.grants(team).await.unwrap();
    }
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 6);
}
