//! Invocations that outlast their call, and who is told of their end.

use buildkite_connector::proto::c1::connector::v2::BatonActionStatus;
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate};
use serde_json::json;
use tonic::Code;

use super::{World, invoke, status};
use crate::support::{reason, until, until_async, within};

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
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::UpdateTeam, FaultKind::Held(gate.clone())));
    let arguments = json!({"team": world.team(0), "description": "Later"});
    let channel = world.connector.channel().await;
    let caller = tokio::spawn(async move { invoke(channel, "update_team", arguments, 60).await });
    until(|| world.count(Endpoint::UpdateTeam) == 1).await;
    caller.abort();
    gate.open();
    until(|| world.outcomes().len() == 1).await;
    let line = &world.outcomes()[0];
    assert_eq!(
        (&line["operation"], &line["outcome"]),
        (&"update_team".into(), &"changed".into())
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
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::UpdateTeam, FaultKind::Held(gate.clone())));
    let arguments = json!({"team": world.team(0), "description": "Later"});
    let begun = invoke(world.channel.clone(), "update_team", arguments, 0)
        .await
        .unwrap();
    assert_eq!(begun.status, BatonActionStatus::Running);
    until(|| world.count(Endpoint::UpdateTeam) == 1).await;
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
