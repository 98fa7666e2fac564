//! What changes during a sync: at Buildkite, and by grants and revokes of the connector.

use std::collections::BTreeSet;

use buildkite_connector::governance::{AllowedChanges, Change};
use buildkite_connector::proto::c1::connector::v2::{Entitlement, Grant, GrantManagerServiceRevokeRequest};
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate, Pipeline, PipelineLevel, Sandbox, Team};
use jiff::Timestamp;
use tonic::Code;
use uuid::Uuid;

use super::harness::{
    Listed, ONCE, TEAMS, carried_requests, connector, connector_with, entitle, grants, list, organization, setup, truth,
};
use crate::connector::people::delete;
use crate::support::platform::{SYNC, id_of, resource};
use crate::support::{Platform, TestServer, until};

/// A pipeline and a team that carries no access to it.
fn without_access(organization: &buildkite_connector::sandbox::Organization) -> (Uuid, Uuid) {
    let pipeline = organization.pipelines()[0].id;
    let mut teams = organization.teams().iter();
    let team = teams.find(|team| team.pipeline_level(pipeline).is_none()).unwrap();
    (pipeline, team.id)
}

/// A sync whose lists are complete, and in which no list of what a team carries was answered yet: the first one is requested, and is
/// answered once the gate is open.
struct Begun {
    sandbox: Sandbox,
    _connector: TestServer,
    platform: Platform,
    listed: Listed,
    gate: Gate,
}

impl Begun {
    async fn new() -> Self {
        let sandbox = organization().await;
        let gate = Gate::default();
        let held = FaultKind::Held(gate.clone());
        sandbox.faults().add(Fault::new(Endpoint::TeamPipelines, held));
        let mut setup = setup();
        setup.access.read_ahead = 1;
        let connector = connector_with(&sandbox, setup).await;
        let platform = connector.platform().await;
        let listed = list(&platform, SYNC).await;
        until(|| sandbox.request_log().in_flight() == 1).await;
        assert_eq!(carried_requests(&sandbox), [0, 0]);
        Self {
            sandbox,
            _connector: connector,
            platform,
            listed,
            gate,
        }
    }

    /// Lists the entitlements of everything that was listed, and then the grants of the teams that are left and of all other resources.
    async fn finish(&mut self) -> BTreeSet<String> {
        entitle(&self.platform, &self.listed).await;
        self.gate.open();
        let sandbox = &self.sandbox;
        self.listed.get_mut("team").unwrap().retain(|team| {
            let id = id_of(team).parse().unwrap();
            sandbox.with_organization(|organization| organization.team(id).is_some())
        });
        grants(&self.platform, SYNC, &self.listed).await.unwrap()
    }
}

#[tokio::test]
async fn pipelines_and_teams_that_change_during_a_sync_leave_every_other_grant_as_it_is() {
    let mut sync = Begun::new().await;
    let (removed, pipeline, newcomer) = sync.sandbox.edit(|organization| {
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
    let carried = sync.finish().await;
    let is_listed = |id: &str| {
        sync.listed
            .values()
            .flatten()
            .any(|resource| id.contains(&id_of(resource)))
    };
    let unchanged = |id: &&String| !id.contains(&removed) && !id.contains(&pipeline) && !id.contains(&newcomer);
    let expected: Vec<String> = truth(&sync.sandbox)
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
async fn teams_that_are_deleted_before_their_lists_are_read_carry_nothing() {
    let mut sync = Begun::new().await;
    sync.sandbox.edit(|organization| {
        let teams: Vec<Uuid> = organization.teams().iter().map(|team| team.id).collect();
        for team in &teams[4..] {
            organization.remove_team(*team);
        }
    });
    assert_eq!(sync.finish().await, truth(&sync.sandbox));
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

/// A sync in which everything that teams carry was read, and a team of which a pipeline and a suite are held.
async fn read() -> (Sandbox, TestServer, Platform, Listed, Uuid) {
    let sandbox = organization().await;
    let mut setup = setup();
    setup.access.allowed = AllowedChanges::from_iter([Change::Membership, Change::Teams]);
    let connector = connector_with(&sandbox, setup).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    entitle(&platform, &listed).await;
    assert_eq!(grants(&platform, SYNC, &listed).await.unwrap(), truth(&sandbox));
    assert_eq!(carried_requests(&sandbox), ONCE);
    let team = sandbox.with_organization(|organization| {
        let mut teams = organization.teams().iter();
        let team = teams.find(|team| !team.pipelines().is_empty() && !team.suites().is_empty());
        team.unwrap().id
    });
    (sandbox, connector, platform, listed, team)
}

/// The ids of the grants that teams carry of what was listed.
async fn carried(platform: &Platform, listed: &Listed) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for object in listed["pipeline"].iter().chain(&listed["suite"]) {
        let rows = platform.grants_in(SYNC, object).await.unwrap();
        ids.extend(rows.into_iter().map(|grant| grant.id));
    }
    ids
}

#[tokio::test]
async fn a_team_that_is_found_to_be_deleted_after_its_lists_were_read_carries_nothing_from_then_on() {
    let (sandbox, _connector, platform, listed, team) = read().await;
    let with_team = truth(&sandbox);
    sandbox.edit(|organization| organization.remove_team(team));
    // Nothing shows yet that the team is gone.
    assert_eq!(carried(&platform, &listed).await, with_team);
    let gone = platform.resource("team", &team.to_string()).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    assert_eq!(carried(&platform, &listed).await, truth(&sandbox));
    assert_eq!(carried_requests(&sandbox), ONCE);
}

#[tokio::test]
async fn a_team_whose_suites_are_found_to_be_gone_carries_no_pipelines_that_were_read_before() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let mut listed = Listed::new();
    for kind in ["user", "team", "pipeline"] {
        listed.insert(kind, platform.resources_in(SYNC, kind).await.unwrap());
    }
    until(|| carried_requests(&sandbox) == [ONCE[0], 0]).await;
    sandbox.edit(|organization| {
        let teams = organization.teams().iter();
        let with_pipelines = teams.filter(|team| !team.pipelines().is_empty());
        let removed: Vec<Uuid> = with_pipelines.map(|team| team.id).take(2).collect();
        for team in removed {
            organization.remove_team(team);
        }
    });
    listed.insert("suite", platform.resources_in(SYNC, "suite").await.unwrap());
    let suite = &listed["suite"][0];
    platform.grants_in(SYNC, suite).await.unwrap();
    assert_eq!(carried(&platform, &listed).await, truth(&sandbox));
    assert_eq!(carried_requests(&sandbox)[0], ONCE[0]);
}

#[tokio::test]
async fn a_team_that_this_connector_deletes_carries_nothing_and_is_not_asked_again() {
    let (sandbox, connector, platform, listed, team) = read().await;
    delete(connector.channel().await, "team", team).await.unwrap();
    assert_eq!(carried(&platform, &listed).await, truth(&sandbox));
    assert_eq!(carried_requests(&sandbox), ONCE);
}
