//! Invocations that outlast their call, and who is told of their end.

use buildkite_connector::proto::c1::connector::v2::action_service_client::ActionServiceClient;
use buildkite_connector::proto::c1::connector::v2::{BatonActionStatus, InvokeActionRequest};
use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, Gate};
use futures::StreamExt;
use http::StatusCode;
use serde_json::json;
use tonic::Code;

use super::{World, invoke, status};
use crate::support::{details, reason, until, until_async, within};

#[tokio::test]
async fn an_action_that_takes_long_runs_and_is_answered_for_afterwards() {
    let world = World::new().await;
    let gate = Gate::default();
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::UpdateTeam, FaultKind::Held(gate.clone())));
    let arguments = json!({"team": world.team(0), "description": "Later"});
    let begun = invoke(world.channel.clone(), "update_team", arguments, 0)
        .await
        .unwrap();
    assert_eq!(begun.status, BatonActionStatus::Running);
    assert_eq!(
        world.status(&begun.id).await.unwrap().status,
        BatonActionStatus::Running
    );
    gate.open();
    until_async("the end of the action", async || {
        world.status(&begun.id).await.unwrap().status == BatonActionStatus::Complete
    })
    .await;
    let ended = world.status(&begun.id).await.unwrap().complete();
    assert_eq!(ended["resource"]["description"], "Later");
}

#[tokio::test]
async fn an_action_is_finished_although_its_caller_hangs_up() {
    let world = World::new().await;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::UpdateTeam, FaultKind::Held(gate.clone()));
    let held = world.sandbox.faults().add(held);
    let arguments = json!({"team": world.team(0), "description": "Later"});
    let channel = world.connector.channel().await;
    let caller = tokio::spawn(async move { invoke(channel, "update_team", arguments, 60).await });
    until(|| held.fired() == 1).await;
    caller.abort();
    gate.open();
    until(|| world.outcomes().len() == 1).await;
    let line = &world.outcomes()[0];
    assert_eq!(
        (&line["operation"], &line["outcome"]),
        (&"update_team".into(), &"changed".into())
    );
}

/// The reason of the only outcome line, and the number of requests that it lists.
fn recorded(world: &World) -> (String, usize) {
    let [line] = &world.outcomes()[..] else {
        panic!("{:?}", world.outcomes())
    };
    assert_eq!(
        (&line["operation"], &line["resource_id"], &line["outcome"]),
        (&json!("update_team"), &json!(world.teams[0]), &json!("failed"))
    );
    let reason = line["reason"].as_str().unwrap().to_owned();
    (reason, line["calls"].as_array().unwrap().len())
}

#[tokio::test]
async fn a_caller_that_hangs_up_during_the_checks_changes_nothing_and_leaves_a_record() {
    let world = World::new().await;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::Team, FaultKind::Held(gate.clone()));
    let held = world.sandbox.faults().add(held);
    let arguments = json!({"team": world.team(0), "description": "Later"});
    let channel = world.channel.clone();
    let caller = tokio::spawn(async move { invoke(channel, "update_team", arguments, 60).await });
    until(|| held.fired() == 1).await;
    caller.abort();
    until(|| !world.outcomes().is_empty()).await;
    gate.open();
    assert_eq!(recorded(&world).0, "ABANDONED");
    assert_eq!(world.count(Endpoint::UpdateTeam), 0);
}

#[tokio::test]
async fn a_refusal_by_the_checks_is_recorded_with_its_requests() {
    let world = World::new().await;
    let refused = FaultKind::Status(StatusCode::FORBIDDEN, BodyStyle::Message);
    world.sandbox.faults().add(Fault::new(Endpoint::Team, refused));
    let arguments = json!({"team": world.team(0), "description": "Later"});
    let refused = world.invoke("update_team", arguments).await.unwrap_err();
    let (recorded, calls) = recorded(&world);
    assert_eq!(reason(&refused).1, recorded);
    assert!(calls > 0);
    assert_eq!(world.count(Endpoint::UpdateTeam), 0);
}

#[tokio::test]
async fn a_change_that_is_refused_because_too_many_actions_run_is_recorded() {
    let world = World::new().await;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::Teams, FaultKind::Held(gate.clone()));
    world.sandbox.faults().add(held);
    let read = json!({"path": "/teams"});
    let begin = || invoke(world.channel.clone(), "rest_get", read.clone(), 0);
    let running = futures::stream::iter(0..1_000).map(|_| begin()).buffered(8);
    running
        .for_each(|action| async move { assert_eq!(action.unwrap().status, BatonActionStatus::Running) })
        .await;
    let refused = world.invoke("create_team", json!({"name": "Docs"})).await.unwrap_err();
    gate.open();
    assert!(
        refused.message().contains("too many actions are running"),
        "{}",
        refused.message()
    );
    let line = &world.outcomes()[0];
    assert_eq!(
        (&line["operation"], &line["reason"], world.outcomes().len()),
        (&json!("create_team"), &json!(reason(&refused).1), 1)
    );
}

#[tokio::test]
async fn a_change_whose_request_is_not_well_formed_is_recorded() {
    let world = World::new().await;
    let request = InvokeActionRequest {
        name: "create_team".to_owned(),
        inline_wait: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        ..Default::default()
    };
    let mut client = ActionServiceClient::new(world.channel.clone());
    let refused = client.invoke_action(request).await.unwrap_err();
    assert_eq!(details(&refused).fields, ["inline_wait"]);
    let line = &world.outcomes()[0];
    assert_eq!(
        (&line["operation"], &line["reason"]),
        (&json!("create_team"), &json!("INVALID_REQUEST"))
    );
}

#[tokio::test]
async fn an_id_that_is_not_known_is_not_found() {
    let world = World::new().await;
    for id in ["", "x", "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d"] {
        let unknown = status(world.channel.clone(), id).await.unwrap_err();
        assert_eq!(reason(&unknown), (Code::NotFound, "ACTION_NOT_FOUND".to_owned()));
    }
}

#[tokio::test]
async fn a_change_that_was_begun_is_finished_before_the_process_ends() {
    let mut world = World::new().await;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::UpdateTeam, FaultKind::Held(gate.clone()));
    let held = world.sandbox.faults().add(held);
    let arguments = json!({"team": world.team(0), "description": "Later"});
    let begun = invoke(world.channel.clone(), "update_team", arguments, 0)
        .await
        .unwrap();
    assert_eq!(begun.status, BatonActionStatus::Running);
    until(|| held.fired() == 1).await;
    world.connector.shut_down();
    let World {
        connector,
        sandbox,
        teams,
        ..
    } = world;
    let ended = tokio::spawn(connector.stop());
    gate.open();
    within("the end of the server", ended).await.unwrap();
    let description =
        sandbox.with_organization(|organization| organization.team(teams[0]).unwrap().description.clone());
    assert_eq!(description.as_deref(), Some("Later"));
}
