//! What changes while a sync is going on: at Buildkite, and by grants and revokes of the connector.

use buildkite_connector::proto::c1::connector::v2::{Entitlement, Grant, GrantManagerServiceRevokeRequest};
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate, Pipeline, PipelineLevel, Team};
use jiff::Timestamp;
use uuid::Uuid;

use super::harness::{CARRIED, ONCE, TEAMS, carried_requests, connector, entitle, grants, list, organization, truth};
use crate::support::platform::{SYNC, id_of, resource};
use crate::support::until;

/// A pipeline and a team that carries no access to it.
fn without_access(organization: &buildkite_connector::sandbox::Organization) -> (Uuid, Uuid) {
    let pipeline = organization.pipelines()[0].id;
    let mut teams = organization.teams().iter();
    let team = teams.find(|team| team.pipeline_level(pipeline).is_none()).unwrap();
    (pipeline, team.id)
}

#[tokio::test]
async fn pipelines_and_teams_that_change_during_a_sync_leave_every_other_grant_as_it_is() {
    let sandbox = organization().await;
    let gate = Gate::default();
    for endpoint in CARRIED {
        sandbox
            .faults()
            .add(Fault::new(endpoint, FaultKind::Held(gate.clone())));
    }
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    until(|| sandbox.request_log().in_flight() >= 16).await;
    // The lists are complete, and no team's list was answered yet.
    let (removed, pipeline, newcomer) = sandbox.edit(|organization| {
        let now = Timestamp::now();
        let removed = organization.teams()[TEAMS / 2].id;
        organization.remove_team(removed);
        let pipeline = organization.pipelines()[1].id;
        organization.remove_pipeline(pipeline);
        let mut team = Team::new("newcomer", "Newcomer");
        let known = organization.pipelines()[0].id;
        team.set_pipeline(known, PipelineLevel::BuildAndRead, now);
        let newcomer = organization.add_team(team);
        let added = organization.add_pipeline(Pipeline::new("added", "Added"));
        let first = organization.teams()[0].id;
        let first = organization.team_mut(first).unwrap();
        first.set_pipeline(added, PipelineLevel::ReadOnly, now);
        (removed.to_string(), pipeline.to_string(), newcomer.to_string())
    });
    entitle(&platform, &listed).await;
    gate.open();
    let mut listed = listed;
    // The team's own members are no longer there.
    listed.get_mut("team").unwrap().retain(|team| id_of(team) != removed);
    let carried = grants(&platform, SYNC, &listed).await.unwrap();
    let is_listed = |id: &str| listed.values().flatten().any(|resource| id.contains(&id_of(resource)));
    let unchanged = |id: &&String| !id.contains(&removed) && !id.contains(&pipeline) && !id.contains(&newcomer);
    let expected: Vec<String> = truth(&sandbox)
        .into_iter()
        .filter(|id| unchanged(&id) && is_listed(id.split(":team:").next().unwrap()))
        .collect();
    let read: Vec<String> = carried.iter().filter(unchanged).cloned().collect();
    assert_eq!(read, expected);
    assert!(
        !carried.iter().any(|id| id.contains(&newcomer)),
        "a team that was not listed"
    );
}

#[tokio::test]
async fn a_team_that_is_deleted_before_its_lists_are_read_carries_nothing() {
    let sandbox = organization().await;
    let gate = Gate::default();
    let held = FaultKind::Held(gate.clone());
    sandbox
        .faults()
        .add(Fault::new(Endpoint::TeamPipelines, held).times(16));
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let mut listed = list(&platform, SYNC).await;
    until(|| sandbox.request_log().in_flight() >= 1).await;
    sandbox.edit(|organization| {
        let teams: Vec<Uuid> = organization.teams().iter().map(|team| team.id).collect();
        // More teams than can be in flight.
        for team in &teams[..TEAMS - 4] {
            organization.remove_team(*team);
        }
    });
    gate.open();
    let remaining = sandbox.with_organization(|organization| organization.teams().len());
    assert_eq!(remaining, 4);
    listed.get_mut("team").unwrap().retain(|team| {
        let id = id_of(team).parse().unwrap();
        sandbox.with_organization(|organization| organization.team(id).is_some())
    });
    let carried = grants(&platform, SYNC, &listed).await.unwrap();
    assert!(truth(&sandbox).is_subset(&carried));
    let others = carried.difference(&truth(&sandbox)).count();
    let before = 4 * (super::harness::PIPELINES + super::harness::SUITES);
    assert!(
        others < before - truth(&sandbox).len(),
        "the rows of every deleted team are reported"
    );
}

#[tokio::test]
async fn a_grant_and_a_revoke_of_the_connector_show_in_the_grants_that_are_listed_after_them() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    let (pipeline, team) = sandbox.with_organization(without_access);
    let pipeline_row = resource("pipeline", &pipeline.to_string());
    let entitlement = |level: &str| Entitlement {
        resource: Some(pipeline_row.clone()),
        id: format!("pipeline:{pipeline}:{level}"),
        slug: level.to_owned(),
        ..Default::default()
    };
    let grant = format!("pipeline:{pipeline}:build_and_read:team:{team}");
    let holds = async || {
        let rows = platform.grants(&pipeline_row).await.unwrap();
        rows.iter().any(|row| row.id == grant)
    };
    assert!(!holds().await);
    until(|| carried_requests(&sandbox) == ONCE).await;
    let team = team.to_string();
    platform
        .grant_exactly(entitlement("build_and_read"), "team", &team)
        .await
        .unwrap();
    assert!(holds().await);
    assert_eq!(carried_requests(&sandbox), [ONCE[0] + 1, ONCE[1]]);
    assert_eq!(grants(&platform, SYNC, &listed).await.unwrap(), truth(&sandbox));
    assert_eq!(carried_requests(&sandbox), [ONCE[0] + 1, ONCE[1]]);
    let revoked = Grant {
        entitlement: Some(entitlement("build_and_read")),
        principal: Some(resource("team", &team)),
        ..Default::default()
    };
    let request = GrantManagerServiceRevokeRequest {
        grant: Some(revoked),
        ..Default::default()
    };
    platform.grants_client().revoke(request).await.unwrap();
    assert!(!holds().await);
    assert_eq!(carried_requests(&sandbox), [ONCE[0] + 2, ONCE[1]]);
}
