//! Callers that hang up or run out of time, before the write starts and after.

use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::GrantManagerServiceGrantRequest;
use buildkite_connector::sandbox::{Bucket, Endpoint, Fault, FaultKind, Gate, RateLimitStyle};
use tonic::{Code, Request, Status};

use super::model::{Answer, Change, Role};
use super::{World, limited, reason, setup};
use crate::support::{entitlement, resource, until};

/// Enough for a call to come to the request that is held, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(5);

/// Holds the next request of this endpoint until the gate is opened.
fn held(world: &World, endpoint: Endpoint) -> Gate {
    let gate = Gate::default();
    let fault = Fault::new(endpoint, FaultKind::Held(gate.clone())).once();
    world.sandbox.faults().add(fault);
    gate
}

fn grant_request(world: &World) -> Request<GrantManagerServiceGrantRequest> {
    Request::new(GrantManagerServiceGrantRequest {
        entitlement: Some(entitlement(&world.pair().team.to_string(), "member")),
        principal: Some(resource("user", &world.pair().user.to_string())),
        ..Default::default()
    })
}

#[tokio::test]
async fn a_caller_that_is_gone_before_the_write_starts_nothing() {
    let world = World::new().await;
    let gate = held(&world, Endpoint::TeamMember);
    let (platform, pair) = (world.platform.clone(), world.pair());
    let caller = tokio::spawn(async move {
        super::perform(&platform, pair, &pair.user.to_string(), Change::Grant(Role::Member)).await
    });
    until(|| world.sandbox.request_log().in_flight() == 1).await;
    caller.abort();
    until(|| world.sandbox.request_log().in_flight() == 0).await;
    gate.open();
    // The next call acquires the lock at once, and finds nothing done.
    assert_eq!(
        world.perform(pair, Change::Grant(Role::Maintainer)).await.unwrap(),
        Answer::Done
    );
    assert_eq!(world.sandbox.request_log().count(Endpoint::AddTeamMember), 1);
}

#[tokio::test]
async fn a_caller_that_is_gone_while_it_waits_for_its_turn_starts_nothing() {
    let world = World::new().await;
    let gate = held(&world, Endpoint::TeamMember);
    let pair = world.pair();
    let asking = |change| {
        let platform = world.platform.clone();
        tokio::spawn(async move { super::perform(&platform, pair, &pair.user.to_string(), change).await })
    };
    let first = asking(Change::Grant(Role::Member));
    until(|| world.sandbox.request_log().in_flight() == 1).await;
    let second = asking(Change::Revoke(Role::Member));
    // It waits behind the first once a later call of the same connection is answered.
    world.platform.types().await.unwrap();
    second.abort();
    gate.open();
    assert_eq!(first.await.unwrap().unwrap(), Answer::Done);
    assert_eq!(
        world.perform(pair, Change::Grant(Role::Member)).await.unwrap(),
        Answer::AlreadyExists
    );
    assert_eq!(world.sandbox.request_log().count(Endpoint::RemoveTeamMember), 0);
}

#[tokio::test]
async fn a_write_that_was_started_is_finished_and_recorded_although_its_caller_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let mut recorded = setup();
    recorded.access.audit_file = Some(path.clone());
    let world = World::with(recorded).await;
    let gate = held(&world, Endpoint::AddTeamMember);
    // Its reply is lost as well, so that finishing takes more than the write.
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AddTeamMember, FaultKind::ResetBefore).once());
    let (platform, pair) = (world.platform.clone(), world.pair());
    let caller = tokio::spawn(async move {
        super::perform(&platform, pair, &pair.user.to_string(), Change::Grant(Role::Member)).await
    });
    until(|| world.total() == 1 && world.sandbox.request_log().in_flight() == 1).await;
    caller.abort();
    gate.open();
    until(|| std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\"outcome\":\"granted\""))).await;
    assert_eq!((world.held(pair), world.applied()), (Some(Role::Member), 1));
}

/// Whether the call ended at its deadline: by the server, or by the client's own timer if that fires before the server's response
/// arrives.
fn is_late(status: &Status) -> bool {
    status.code() == Code::DeadlineExceeded
        || (status.code() == Code::Cancelled && status.message() == "Timeout expired")
}

#[tokio::test]
async fn a_deadline_that_passes_is_kept_and_the_write_is_finished() {
    let world = World::new().await;
    let gate = held(&world, Endpoint::AddTeamMember);
    let mut request = grant_request(&world);
    request.set_timeout(DEADLINE);
    let late = world.platform.grants_client().grant(request).await.unwrap_err();
    assert!(is_late(&late), "{late:?}");
    if late.code() == Code::DeadlineExceeded {
        assert_eq!(reason(&late).1, "DEADLINE_EXCEEDED");
        assert!(late.metadata().contains_key("x-request-id"));
    }
    assert_eq!(world.held(world.pair()), None);
    gate.open();
    until(|| world.held(world.pair()).is_some()).await;
}

#[tokio::test]
async fn a_caller_that_waits_for_its_turn_keeps_its_deadline() {
    let world = World::new().await;
    let gate = held(&world, Endpoint::TeamMember);
    let (platform, pair) = (world.platform.clone(), world.pair());
    let first = tokio::spawn(async move {
        super::perform(&platform, pair, &pair.user.to_string(), Change::Grant(Role::Member)).await
    });
    until(|| world.sandbox.request_log().in_flight() == 1).await;
    let mut request = grant_request(&world);
    request.set_timeout(DEADLINE);
    let late = world.platform.grants_client().grant(request).await.unwrap_err();
    assert!(is_late(&late), "{late:?}");
    gate.open();
    assert_eq!(first.await.unwrap().unwrap(), Answer::Done);
    assert_eq!(world.sandbox.request_log().count(Endpoint::TeamMember), 1);
}

#[tokio::test]
async fn a_caller_that_is_gone_while_it_waits_for_the_rate_limit_starts_nothing() {
    let sandbox = limited().await;
    let token = sandbox.token().clone();
    let world = World::on(sandbox, &token, setup()).await;
    let refused = FaultKind::RateLimited(Bucket::Organization, RateLimitStyle::Documented);
    let fault = world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AddTeamMember, refused).once());
    let (platform, pair) = (world.platform.clone(), world.pair());
    let caller = tokio::spawn(async move {
        super::perform(&platform, pair, &pair.user.to_string(), Change::Grant(Role::Member)).await
    });
    until(|| fault.fired() == 1 && world.sandbox.request_log().in_flight() == 0).await;
    caller.abort();
    // The next one waits for the same window, and finds that nothing was done in it.
    let answer = world.perform(pair, Change::Revoke(Role::Member)).await.unwrap();
    assert_eq!(answer, Answer::AlreadyRevoked);
    assert_eq!(
        (
            world.sandbox.request_log().count(Endpoint::AddTeamMember),
            world.applied()
        ),
        (1, 0)
    );
}

/// A world that records changes, and what its file holds.
async fn recorded() -> (World, tempfile::TempDir, impl Fn() -> Vec<serde_json::Value>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let mut recorded = setup();
    recorded.access.audit_file = Some(path.clone());
    let lines = move || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    (World::with(recorded).await, directory, lines)
}

#[tokio::test]
async fn a_call_whose_deadline_passed_is_recorded_with_its_response() {
    let (world, _directory, lines) = recorded().await;
    // The read of the first caller is held, and behind it the second waits for its turn.
    let _gate = held(&world, Endpoint::TeamMember);
    let perform = || {
        let mut request = grant_request(&world);
        request.set_timeout(DEADLINE);
        let mut client = world.platform.grants_client();
        async move { client.grant(request).await.unwrap_err() }
    };
    let (first, second) = tokio::join!(perform(), perform());
    assert!(is_late(&first) && is_late(&second), "{first:?} {second:?}");
    until(|| lines().len() == 2).await;
    for line in lines() {
        assert_eq!(
            (&line["outcome"], &line["reason"]),
            (&"failed".into(), &"DEADLINE_EXCEEDED".into())
        );
    }
    assert_eq!(world.applied(), 0);
}

#[tokio::test]
async fn a_caller_that_hung_up_is_on_record_as_that() {
    let (world, _directory, lines) = recorded().await;
    let _gate = held(&world, Endpoint::TeamMember);
    let mut request = grant_request(&world);
    request.set_timeout(DEADLINE * 20);
    let mut client = world.platform.grants_client();
    let caller = tokio::spawn(async move { client.grant(request).await });
    until(|| world.sandbox.request_log().in_flight() == 1).await;
    caller.abort();
    until(|| lines().len() == 1).await;
    assert_eq!(lines()[0]["reason"], "ABANDONED");
}

#[tokio::test]
async fn a_change_that_was_begun_is_recorded_with_its_outcome_after_the_deadline() {
    let (world, _directory, lines) = recorded().await;
    let gate = held(&world, Endpoint::AddTeamMember);
    let mut request = grant_request(&world);
    request.set_timeout(DEADLINE);
    let late = world.platform.grants_client().grant(request).await.unwrap_err();
    assert!(is_late(&late), "{late:?}");
    gate.open();
    until(|| lines().len() == 2).await;
    assert_eq!(
        (&lines()[0]["record"], &lines()[1]["outcome"]),
        (&"intent".into(), &"granted".into())
    );
}
