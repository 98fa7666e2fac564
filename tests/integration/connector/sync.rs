//! A full sync is the sandbox's truth, and costs no more than it must.

use std::collections::BTreeSet;

use buildkite_connector::sandbox::{Endpoint, Sandbox, Seed, TeamRole};
use rstest::rstest;

use crate::support::{TestServer, sandbox, sized};

pub fn role(role: TeamRole) -> &'static str {
    match role {
        TeamRole::Member => "member",
        TeamRole::Maintainer => "maintainer",
    }
}

/// Every grant id that the sandbox's own data calls for.
fn truth(sandbox: &Sandbox) -> BTreeSet<String> {
    sandbox.with_organization(|organization| {
        let of_team = |team: &buildkite_connector::sandbox::Team| -> Vec<String> {
            let id = team.id;
            team.members()
                .iter()
                .map(|row| format!("team:{id}:{}:user:{}", role(row.role), row.user))
                .collect()
        };
        organization.teams().iter().flat_map(of_team).collect()
    })
}

#[rstest]
#[case::example(Seed::Example)]
#[case::no_team(sized(0, 0, 1))]
#[case::one(sized(1, 1, 1))]
#[case::exactly_one_page(sized(100, 3, 100))]
#[case::one_more_than_a_page(sized(101, 3, 101))]
#[case::teams_longer_than_a_page(sized(4, 250, 400))]
#[case::ten_thousand_people(sized(2, 101, 10_000))]
#[tokio::test]
async fn a_full_sync_is_the_truth(#[case] seed: Seed) {
    let sandbox = sandbox(seed).await;
    let connector = TestServer::on(&sandbox).await;
    let synced = connector.platform().await.sync().await.unwrap();
    assert_eq!(synced.grant_ids(), truth(&sandbox));
    let (people, teams): (BTreeSet<String>, BTreeSet<String>) = sandbox.with_organization(|organization| {
        let people = organization
            .people()
            .iter()
            .map(|person| person.id.to_string())
            .collect();
        (
            people,
            organization.teams().iter().map(|team| team.id.to_string()).collect(),
        )
    });
    assert_eq!(synced.users.keys().cloned().collect::<BTreeSet<_>>(), people);
    assert_eq!(synced.teams.keys().cloned().collect::<BTreeSet<_>>(), teams);
    assert_eq!(synced.entitlements.len(), 2 * teams.len());
}

#[tokio::test]
async fn a_full_sync_requests_each_list_once_besides_the_six_health_checks_and_the_owners_record() {
    let sandbox = sandbox(sized(60, 20, 90)).await;
    let connector = TestServer::on(&sandbox).await;
    let (platform, request_log) = (connector.platform().await, sandbox.request_log());
    platform.sync().await.unwrap();
    assert_eq!(request_log.count(Endpoint::TeamMembers), 60);
    assert_eq!(
        request_log.total(),
        62 + 1 + 6,
        "Validate found its health checks out of date"
    );

    request_log.clear();
    platform.sync().await.unwrap();
    assert_eq!(
        (
            request_log.count(Endpoint::Teams),
            request_log.count(Endpoint::OrganizationMembers)
        ),
        (1, 1)
    );
    assert_eq!(
        request_log.total(),
        62 + 1,
        "what was seen a moment ago is not asked again"
    );
}
