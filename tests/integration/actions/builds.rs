//! Starting builds, reading their state, and unblocking their jobs.

use buildkite_connector::sandbox::{Build, Endpoint, Fault, FaultKind, MetaDataFilter};
use futures::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use tonic::Code;

use super::World;
use crate::support::details;

pub fn builds(world: &World) -> Vec<Build> {
    world
        .sandbox
        .with_organization(|organization| organization.pipeline(world.pipeline).unwrap().builds.clone())
}

pub fn request(world: &World, more: &Value) -> Value {
    let mut request = json!({"pipeline": world.pipeline("deploy"), "branch": "main"});
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    request
}

#[tokio::test]
async fn a_build_has_what_the_arguments_say() {
    let world = World::new().await;
    let more = json!({"message": "Release", "env": {"STAGE": "eu"}, "meta_data": {"ticket": "7"}, "request_key": "k"});
    let response = world
        .invoke("trigger_build", request(&world, &more))
        .await
        .unwrap()
        .complete();
    let build = builds(&world).pop().unwrap();
    assert_eq!(
        (&response["number"], &response["state"]),
        (&json!(1.0), &json!("scheduled"))
    );
    assert!(response["url"].as_str().unwrap().ends_with("/deploy/builds/1"));
    assert_eq!(
        (build.branch.as_str(), build.commit.as_str(), build.message.as_str()),
        ("main", "HEAD", "Release")
    );
    assert_eq!(
        (build.env["STAGE"].as_str(), build.meta_data["ticket"].as_str()),
        ("eu", "7")
    );
    assert_eq!(build.meta_data["connector:request-key"], "k");
    let line = world.outcomes().pop().unwrap();
    assert_eq!(
        (&line["operation"], &line["outcome"]),
        (&"trigger_build".into(), &"changed".into())
    );
    assert_eq!(
        (&line["resource_type"], &line["resource_name"]),
        (&"pipeline".into(), &"deploy".into())
    );
    // A build without a key has one of its own.
    world
        .invoke("trigger_build", request(&world, &json!({})))
        .await
        .unwrap()
        .complete();
    assert_eq!(builds(&world).len(), 2);
    assert!(builds(&world)[1].meta_data.contains_key("connector:request-key"));
}

#[rstest]
#[case::filtered(MetaDataFilter::Applied)]
#[case::ignored(MetaDataFilter::Ignored)]
#[tokio::test]
async fn requests_with_one_key_start_one_build_however_often_and_whenever_they_come(#[case] filter: MetaDataFilter) {
    let world = World::new().await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.meta_data_filter = filter);
    world
        .invoke("trigger_build", request(&world, &json!({})))
        .await
        .unwrap()
        .complete();
    let arguments = request(&world, &json!({"request_key": "k"}));
    let all = join_all((0..8).map(|_| world.invoke("trigger_build", arguments.clone()))).await;
    for ended in all {
        assert_eq!(ended.unwrap().complete()["number"], 2.0);
    }
    assert_eq!((builds(&world).len(), world.count(Endpoint::CreateBuild)), (2, 2));
}

#[rstest]
#[case::with_a_key(json!({"request_key": "k"}))]
#[case::without_a_key(json!({}))]
#[tokio::test]
async fn a_build_whose_reply_is_lost_is_found_and_not_started_again(#[case] more: Value) {
    let world = World::new().await;
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::CreateBuild, FaultKind::ResetAfter).once());
    let response = world
        .invoke("trigger_build", request(&world, &more))
        .await
        .unwrap()
        .complete();
    assert_eq!((&response["number"], builds(&world).len()), (&json!(1.0), 1));
}

#[tokio::test]
async fn a_build_that_never_began_is_started_again() {
    let world = World::new().await;
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::CreateBuild, FaultKind::ResetBefore).once());
    world
        .invoke("trigger_build", request(&world, &json!({})))
        .await
        .unwrap()
        .complete();
    assert_eq!((builds(&world).len(), world.count(Endpoint::CreateBuild)), (1, 2));
}

#[rstest]
#[case::branch(json!({"branch": "other"}))]
#[case::commit(json!({"commit": "4f2c1d7"}))]
#[tokio::test]
async fn a_key_of_another_request_is_refused(#[case] other: Value) {
    let world = World::new().await;
    let arguments = request(&world, &json!({"request_key": "k"}));
    world.invoke("trigger_build", arguments).await.unwrap().complete();
    let mut again = request(&world, &json!({"request_key": "k"}));
    again
        .as_object_mut()
        .unwrap()
        .extend(other.as_object().unwrap().clone());
    assert_eq!(
        world.invoke("trigger_build", again).await.unwrap().failed().0,
        "REQUEST_KEY_REUSED"
    );
    assert_eq!(builds(&world).len(), 1);
}

#[tokio::test]
async fn only_the_pipelines_that_the_operator_named_are_built() {
    let world = World::new().await;
    let arguments = json!({"pipeline": world.pipeline("docs"), "branch": "main"});
    let status = world.invoke("trigger_build", arguments).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("--build-pipeline"), "{}", status.message());
    let reserved = request(&world, &json!({"meta_data": {"connector:request-key": "x"}}));
    let status = world.invoke("trigger_build", reserved).await.unwrap_err();
    assert_eq!(details(&status).fields, ["meta_data"]);
    let none = World::with(|setup| setup.access.build_pipelines.clear()).await;
    let status = none
        .invoke("trigger_build", request(&none, &json!({})))
        .await
        .unwrap_err();
    assert!(status.message().contains("--build-pipeline"), "{}", status.message());
    assert_eq!(
        world.count(Endpoint::CreateBuild) + none.count(Endpoint::CreateBuild),
        0
    );
}

#[tokio::test]
async fn the_state_of_a_build_is_read_and_its_job_unblocked_once() {
    let world = World::new().await;
    world
        .invoke("trigger_build", request(&world, &json!({})))
        .await
        .unwrap()
        .complete();
    let job = builds(&world)[0].jobs[1].id;
    let build = json!({"pipeline": world.pipeline("deploy"), "number": 1});
    let response = world.invoke("build_status", build.clone()).await.unwrap().complete();
    assert_eq!(
        (&response["state"], &response["finished"]),
        (&json!("scheduled"), &json!(false))
    );

    let mut arguments = build.clone();
    let fields = json!({"job": job.to_string(), "fields": {"reason": "approved"}});
    arguments
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::UnblockJob, FaultKind::ResetAfter).once());
    for _ in 0..2 {
        let response = world.invoke("unblock_job", arguments.clone()).await.unwrap().complete();
        assert_eq!(response["state"], "unblocked");
    }
    assert_eq!(world.count(Endpoint::UnblockJob), 1);
    assert_eq!(builds(&world)[0].jobs[1].fields["reason"], "approved");
    let outcomes: Vec<_> = world.outcomes().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["changed", "changed", "unchanged"]);

    world.sandbox.edit(|organization| {
        let build = organization.pipeline_mut(world.pipeline).unwrap().build_mut(1).unwrap();
        build.finished_at = Some(jiff::Timestamp::now());
    });
    let response = world.invoke("build_status", build).await.unwrap().complete();
    assert_eq!(response["finished"], true);
}

#[rstest]
#[case::failed("unblocked_failed")]
#[case::finished("finished")]
#[tokio::test]
async fn a_job_that_was_unblocked_is_a_success_in_any_later_state(#[case] state: &str) {
    let world = World::new().await;
    world
        .invoke("trigger_build", request(&world, &json!({})))
        .await
        .unwrap()
        .complete();
    let job = builds(&world)[0].jobs[1].id;
    world.sandbox.edit(|organization| {
        let build = organization.pipeline_mut(world.pipeline).unwrap().build_mut(1).unwrap();
        build.jobs[1].state = state.to_owned();
        build.jobs[1].unblocked_at = Some(jiff::Timestamp::now());
    });
    let arguments = json!({"pipeline": world.pipeline("deploy"), "number": 1, "job": job.to_string()});
    let response = world.invoke("unblock_job", arguments).await.unwrap().complete();
    assert_eq!(response["state"], state);
    assert_eq!(world.count(Endpoint::UnblockJob), 0);
}

#[tokio::test]
async fn a_build_or_a_job_that_does_not_exist_is_said_so() {
    let world = World::new().await;
    world
        .invoke("trigger_build", request(&world, &json!({})))
        .await
        .unwrap()
        .complete();
    let pipeline = world.pipeline("deploy");
    let absent = json!({"pipeline": pipeline, "number": 9});
    let (reason, sentence) = world.invoke("build_status", absent).await.unwrap().failed();
    assert_eq!(
        (reason.as_str(), sentence.contains("no build 9")),
        ("INVALID_REQUEST", true)
    );
    let absent = json!({"pipeline": pipeline, "number": 1, "job": uuid::Uuid::new_v4().to_string()});
    let (_, sentence) = world.invoke("unblock_job", absent).await.unwrap().failed();
    assert!(sentence.contains("no job with this id"), "{sentence}");
    let script = builds(&world)[0].jobs[0].id;
    let arguments = json!({"pipeline": pipeline, "number": 1, "job": script.to_string()});
    let (reason, _) = world.invoke("unblock_job", arguments).await.unwrap().failed();
    assert_eq!(reason, "REJECTED_BY_BUILDKITE");
}
