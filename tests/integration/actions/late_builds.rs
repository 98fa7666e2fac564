//! Builds that Buildkite lists late.

use std::time::Duration;

use buildkite_connector::governance::provisioning::WriteTimeouts;
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, WriteLag};
use serde_json::{Value, json};

use super::World;
use super::builds::{builds, request};

/// A build is listed after that many reads; a connector that may wait for it longer than the test takes.
async fn world(reads: u32) -> World {
    let world = World::with(|setup| {
        setup.access.write_timeouts = WriteTimeouts {
            own_write_window: Duration::from_secs(600),
            ..setup.access.write_timeouts.clone()
        };
    })
    .await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(reads));
    world
}

fn with_key(world: &World, more: &Value) -> Value {
    let mut arguments = request(world, &json!({"request_key": "k"}));
    arguments
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    arguments
}

#[tokio::test]
async fn a_repeated_key_starts_one_build_before_the_build_is_listed() {
    let world = world(1_000).await;
    let arguments = with_key(&world, &json!({}));
    let first = world
        .invoke("trigger_build", arguments.clone())
        .await
        .unwrap()
        .complete();
    let second = world.invoke("trigger_build", arguments).await.unwrap().complete();
    assert_eq!(first, second);
    assert_eq!((builds(&world).len(), world.count(Endpoint::CreateBuild)), (1, 1));
    let outcomes: Vec<Value> = world.outcomes().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["changed", "unchanged"]);
    // The key is known, too, where another branch is requested.
    let other = with_key(&world, &json!({"branch": "other"}));
    let (reason, sentence) = world.invoke("trigger_build", other).await.unwrap().failed();
    assert_eq!(
        (reason.as_str(), sentence.contains("build 1")),
        ("REQUEST_KEY_REUSED", true),
        "{sentence}"
    );
    // A request without a key repeats nothing.
    let another = request(&world, &json!({}));
    world.invoke("trigger_build", another).await.unwrap().complete();
    assert_eq!(builds(&world).len(), 2);
}

#[tokio::test]
async fn a_build_that_no_response_showed_is_waited_for_and_not_started_again() {
    // The first invocation reads seven times after its request, the second eight times before its own.
    let world = world(10).await;
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::CreateBuild, FaultKind::EmptyBody).once());
    let arguments = with_key(&world, &json!({}));
    let (reason, _) = world.invoke("trigger_build", arguments.clone()).await.unwrap().failed();
    assert_eq!(reason, "BUILDKITE_UNAVAILABLE");
    let found = world.invoke("trigger_build", arguments).await.unwrap().complete();
    assert_eq!(found["number"], 1.0);
    assert_eq!((builds(&world).len(), world.count(Endpoint::CreateBuild)), (1, 1));
}

#[tokio::test]
async fn a_build_that_stays_hidden_is_an_error_and_not_a_second_build() {
    let world = world(1_000).await;
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::CreateBuild, FaultKind::EmptyBody).once());
    let arguments = with_key(&world, &json!({}));
    for _ in 0..2 {
        let (reason, _) = world.invoke("trigger_build", arguments.clone()).await.unwrap().failed();
        assert_eq!(reason, "BUILDKITE_UNAVAILABLE");
    }
    assert_eq!((builds(&world).len(), world.count(Endpoint::CreateBuild)), (1, 1));
}

#[tokio::test]
async fn a_job_that_shows_late_that_it_is_unblocked_is_not_a_failure() {
    let world = World::new().await;
    let arguments = request(&world, &json!({}));
    world.invoke("trigger_build", arguments).await.unwrap().complete();
    let job = builds(&world)[0].jobs[1].id;
    // The second invocation reads the job before its request, and at once after the rejection.
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(4));
    let arguments = json!({"pipeline": world.pipeline("deploy"), "number": 1, "job": job.to_string()});
    for _ in 0..2 {
        let response = world.invoke("unblock_job", arguments.clone()).await.unwrap().complete();
        assert_eq!(response["state"], "unblocked");
    }
    assert_eq!(world.count(Endpoint::UnblockJob), 2);
    let outcomes: Vec<Value> = world.outcomes().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["changed", "changed", "unchanged"]);
}
