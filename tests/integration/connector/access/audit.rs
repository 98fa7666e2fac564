//! The audit record of changes that are not about a membership of a team, and the end of the connector in the middle of one.

use std::path::{Path, PathBuf};

use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate};
use serde_json::{Value, json};

use super::model::{Change, Kind};
use super::{World, setup};
use crate::support::until;

async fn recorded(path: &Path) -> World {
    let mut setup = setup();
    setup.access.audit_file = Some(path.to_owned());
    World::with(setup).await
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    (directory, path)
}

fn assert_fields(line: &Value, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&line[field], value, "{field} of {line}");
    }
}

#[tokio::test]
async fn a_change_of_a_pipeline_names_the_pipeline_and_the_team() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    for resource_type in ["team", "pipeline"] {
        world.platform.resources(resource_type).await.unwrap();
    }
    world.hold(Kind::Pipeline, Some("read_only"));
    world
        .perform(Kind::Pipeline, Change::Grant("build_and_read"))
        .await
        .unwrap();
    let [intent, outcome] = lines(&path).try_into().unwrap();
    let shared = json!({
        "operation": "grant", "role": "build_and_read", "before": "read_only", "after": "build_and_read",
        "team_id": world.team, "team_slug": "team-0", "user_id": null, "user_email": null,
        "resource_type": "pipeline", "resource_id": world.pipeline, "resource_name": "deploy",
        "principal_type": "team", "principal_id": world.team, "principal_name": "team-0",
    });
    let page = include_str!("../../../../docs/audit.md");
    for field in intent.as_object().unwrap().keys() {
        assert!(page.contains(&format!("| `{field}` |")), "{field} is not described");
    }
    // `before` and `after` of the intent are those of the change that is about to be sent.
    assert_fields(&intent, &shared);
    assert_fields(&outcome, &shared);
    assert_fields(&intent, &json!({"record": "intent", "outcome": null}));
    let calls = json!([{"call": "team pipeline", "status": 200}, {"call": "change team pipeline", "status": 200}]);
    assert_fields(
        &outcome,
        &json!({"record": "outcome", "outcome": "replaced", "calls": calls}),
    );
}

#[tokio::test]
async fn a_role_in_the_organization_names_the_organization_and_the_user() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    world.platform.resources("user").await.unwrap();
    world.hold(Kind::Organization, Some("admin"));
    world
        .perform(Kind::Organization, Change::Revoke("admin"))
        .await
        .unwrap();
    let expected = json!({
        "operation": "revoke", "role": "admin", "before": "admin", "after": "member",
        "team_id": null, "team_slug": null, "user_id": world.user, "user_email": "person-1@sized.example",
        "resource_type": "organization", "resource_id": world.organization,
        "principal_type": "user", "principal_id": world.user, "principal_name": "person-1@sized.example",
    });
    let lines = lines(&path);
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_fields(line, &expected);
    }
    assert_eq!(lines[1]["outcome"], "demoted");
}

#[tokio::test]
async fn a_membership_of_a_team_has_the_fields_that_it_always_had() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    let (team, user) = (world.team.to_string(), world.user.to_string());
    world.platform.grant(&team, "member", &user).await.unwrap();
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let fields: Vec<&str> = line.split("\":").filter_map(|part| part.rsplit('"').next()).collect();
        let expected = [
            "record",
            "time",
            "caller",
            "request_id",
            "operation",
            "role",
            "team_id",
            "team_slug",
            "user_id",
            "user_email",
            "before",
            "after",
            "outcome",
            "reason",
            "message",
            "calls",
        ];
        assert_eq!(fields[..expected.len()], expected, "{line}");
        assert!(
            !line.contains("resource_type") && !line.contains("principal_type"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn what_is_refused_is_on_record() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    world
        .perform(Kind::Organization, Change::Revoke("member"))
        .await
        .unwrap_err();
    let [line] = lines(&path).try_into().unwrap();
    assert_fields(
        &line,
        &json!({"record": "outcome", "outcome": "failed", "reason": "PROTECTED", "before": "member"}),
    );
}

/// Holds the next request of this endpoint until the gate is opened.
fn held(world: &World, endpoint: Endpoint) -> Gate {
    let gate = Gate::default();
    let fault = Fault::new(endpoint, FaultKind::Held(gate.clone())).once();
    world.sandbox.faults().add(fault);
    gate
}

const HELD_WRITES: [(Kind, &str, Endpoint); 4] = [
    (Kind::Pipeline, "read_only", Endpoint::AddTeamPipeline),
    (Kind::Suite, "edit", Endpoint::AddTeamSuite),
    (Kind::ClusterByUser, "maintainer", Endpoint::AddClusterMaintainer),
    (Kind::Organization, "admin", Endpoint::ChangeOrganizationMember),
];

#[tokio::test]
async fn a_change_that_was_sent_is_finished_and_recorded_although_its_caller_is_gone() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    for (kind, level, endpoint) in HELD_WRITES {
        let gate = held(&world, endpoint);
        let before = lines(&path).len();
        tokio::select! {
            said = world.perform(kind, Change::Grant(level)) => panic!("{said:?} although the write is held"),
            () = until(|| lines(&path).len() == before + 1 && world.sandbox.request_log().in_flight() == 1) => {}
        }
        gate.open();
        until(|| lines(&path).len() == before + 2).await;
        assert_eq!(world.held(kind), Some(level), "{kind:?}");
        let outcome = lines(&path)[before + 1]["outcome"].clone();
        assert!(outcome == "granted" || outcome == "replaced", "{kind:?} {outcome}");
    }
}

#[tokio::test]
async fn a_change_that_was_sent_is_finished_and_answered_although_the_connector_ends() {
    for (kind, level, endpoint) in HELD_WRITES {
        let (_directory, path) = file();
        let world = recorded(&path).await;
        let gate = held(&world, endpoint);
        let (sandbox, connector) = (&world.sandbox, &world.connector);
        let ending = async {
            until(|| sandbox.request_log().in_flight() == 1 && lines(&path).len() == 1).await;
            connector.lock().unwrap().shut_down();
            gate.open();
        };
        let (said, ()) = tokio::join!(world.perform(kind, Change::Grant(level)), ending);
        said.unwrap();
        assert_eq!(world.held(kind), Some(level), "{kind:?}");
        assert_eq!(lines(&path).len(), 2, "{kind:?}");
    }
}
