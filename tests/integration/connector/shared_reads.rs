//! Identical reads in flight are one request, also after a caller of theirs disconnects.

use std::sync::Arc;
use std::time::Duration;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::proto::c1::connector::v2::{Grant, Resource};
use buildkite_connector::providers::buildkite::{Client, ClientOptions};
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate, LimitOptions, Options, Sandbox};
use futures::future::join_all;
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::support::platform::{id_of, resource};
use crate::support::{Platform, TestServer, entitlement, first_team, sandbox, sized, until};

async fn world() -> (Sandbox, TestServer, Platform) {
    let sandbox = sandbox(sized(3, 8, 40)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    // The facts about the token that are read first are known by now.
    platform.validate().await.unwrap();
    (sandbox, connector, platform)
}

/// Holds the next request of this endpoint until the gate is opened.
fn held(sandbox: &Sandbox, endpoint: Endpoint) -> Gate {
    let gate = Gate::default();
    let fault = Fault::new(endpoint, FaultKind::Held(gate.clone())).once();
    sandbox.faults().add(fault);
    gate
}

/// Waits until the calls before are being served: a later one of the same connection is answered.
async fn are_there(platform: &Platform) {
    for _ in 0..3 {
        platform.types().await.unwrap();
    }
}

/// A reader of the team's grants, in a task of its own.
fn asking(platform: &Platform, team: &Resource) -> JoinHandle<Result<Vec<Grant>, Status>> {
    let (platform, team) = (platform.clone(), team.clone());
    tokio::spawn(async move { platform.grants(&team).await })
}

#[tokio::test]
async fn many_identical_concurrent_reads_cost_one_request() {
    let (sandbox, _connector, platform) = world().await;
    let gate = held(&sandbox, Endpoint::TeamMembers);
    let team = resource("team", &first_team(&sandbox).to_string());
    let opened = async {
        until(|| sandbox.request_log().in_flight() == 1).await;
        are_there(&platform).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(join_all((0..20).map(|_| platform.grants(&team))), opened);
    let first = answers[0].as_ref().unwrap();
    assert_eq!(first.len(), 8);
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == first));
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 1);
}

#[tokio::test]
async fn the_others_are_answered_although_the_first_caller_hangs_up() {
    let (sandbox, _connector, platform) = world().await;
    let gate = held(&sandbox, Endpoint::TeamMembers);
    let team = resource("team", &first_team(&sandbox).to_string());
    let first = asking(&platform, &team);
    until(|| sandbox.request_log().in_flight() == 1).await;
    let others: Vec<_> = (0..3).map(|_| asking(&platform, &team)).collect();
    tokio::task::yield_now().await;
    are_there(&platform).await;
    first.abort();
    gate.open();
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().len(), 8);
    }
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 1);
}

#[tokio::test]
async fn an_abandoned_request_ends() {
    let (sandbox, _connector, platform) = world().await;
    let _gate = held(&sandbox, Endpoint::TeamMembers);
    let team = resource("team", &first_team(&sandbox).to_string());
    let callers = [asking(&platform, &team), asking(&platform, &team)];
    until(|| sandbox.request_log().in_flight() == 1).await;
    callers.iter().for_each(JoinHandle::abort);
    // The next reader sends a new request: nothing is left of the old one.
    until(|| sandbox.request_log().in_flight() == 0).await;
    assert_eq!(platform.grants(&team).await.unwrap().len(), 8);
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 2);
}

#[tokio::test]
async fn a_response_requested_before_a_write_does_not_serve_reads_after_it() {
    let (sandbox, _connector, platform) = world().await;
    let gate = held(&sandbox, Endpoint::TeamMembers);
    let team = first_team(&sandbox);
    let newcomer = sandbox.with_organization(|organization| {
        let team = organization.team(team).unwrap();
        let outside = organization
            .people()
            .iter()
            .find(|person| team.role_of(person.id).is_none());
        outside.unwrap().id
    });
    let team = resource("team", &team.to_string());
    let before = asking(&platform, &team);
    until(|| sandbox.request_log().in_flight() == 1).await;
    platform
        .grant(&id_of(&team), "member", &newcomer.to_string())
        .await
        .unwrap();
    assert!(!before.is_finished(), "the reading was to be slower than the write");
    let after = platform.grants(&team).await.unwrap();
    let id = format!("{}:user:{newcomer}", entitlement(&id_of(&team), "member").id);
    assert!(after.iter().any(|grant| grant.id == id), "the grant is missing");
    gate.open();
    before.await.unwrap().unwrap();
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 2);
}

#[tokio::test]
async fn reads_that_decide_a_grant_join_no_read_of_another_call() {
    let (sandbox, _connector, platform) = world().await;
    let (user, email) = sandbox.with_organization(|organization| {
        let person = &organization.people()[7];
        (person.id, person.email.clone())
    });
    let gate = held(&sandbox, Endpoint::OrganizationMember);
    let before = sandbox.request_log().count(Endpoint::OrganizationMember);
    let reading = {
        let platform = platform.clone();
        tokio::spawn(async move { platform.resource("user", &user.to_string()).await })
    };
    until(|| sandbox.request_log().in_flight() == 1).await;
    let team = first_team(&sandbox).to_string();
    platform.grant(&team, "maintainer", &email).await.unwrap();
    assert!(!reading.is_finished(), "the reading was to be slower than the grant");
    gate.open();
    reading.await.unwrap().unwrap();
    assert_eq!(sandbox.request_log().count(Endpoint::OrganizationMember) - before, 2);
}

#[tokio::test]
async fn two_concurrent_syncs_share_identical_concurrent_requests() {
    let (sandbox, _connector, platform) = world().await;
    let gates = [Endpoint::OrganizationMembers, Endpoint::Teams].map(|endpoint| {
        let gate = Gate::default();
        let fault = Fault::new(endpoint, FaultKind::Held(gate.clone())).once();
        (sandbox.faults().add(fault), gate)
    });
    let before = sandbox.request_log().total();
    let lists_before = [Endpoint::OrganizationMembers, Endpoint::Teams].map(|list| sandbox.request_log().count(list));
    let alike = |sync: &'static str| {
        let platform = platform.clone();
        async move {
            let people = platform.resources_page("user", "", sync).await.unwrap().list;
            let teams = platform.resources_page("team", "", sync).await.unwrap().list;
            (people, teams)
        }
    };
    let opened = async {
        for (fault, gate) in &gates {
            until(|| fault.fired() == 1).await;
            are_there(&platform).await;
            gate.open();
        }
    };
    let (one, other, ()) = tokio::join!(alike("one"), alike("other"), opened);
    assert_eq!(one, other);
    assert_eq!((one.0.len(), one.1.len()), (40, 3));
    // Behind each list of teams its owner's record is read: that of one list may be older than the end of the other.
    assert_eq!(sandbox.request_log().total() - before, 2 + 2);
    let lists = [Endpoint::OrganizationMembers, Endpoint::Teams].map(|list| sandbox.request_log().count(list));
    assert_eq!(lists, lists_before.map(|count| count + 1));
}

/// A client of a Buildkite whose limit of a few requests opens again after some seconds.
async fn limited(window: Duration) -> (Sandbox, Arc<Client>) {
    let limits = LimitOptions {
        user: Some(5),
        window,
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    let sandbox = Sandbox::start(Options {
        limits,
        ..Options::default()
    });
    let sandbox = sandbox.await.unwrap();
    let token = sandbox.token().expose_secret().parse().unwrap();
    let (url, slug) = (sandbox.url().parse().unwrap(), sandbox.slug().parse().unwrap());
    let client = Client::new(url, slug, token, ClientOptions::default()).unwrap();
    (sandbox, Arc::new(client))
}

#[tokio::test]
async fn an_uncoalesced_read_that_waits_does_not_keep_an_abandoned_request_alive() {
    let (sandbox, client) = limited(Duration::from_secs(30)).await;
    let call = CallContext::new(Lane::Interactive);
    for _ in 0..4 {
        client.user(&call).await.unwrap();
    }
    let _gate = held(&sandbox, Endpoint::Organization);
    let asking = |call: CallContext| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.organization(&call).await })
    };
    let first = asking(call.clone());
    until(|| sandbox.request_log().in_flight() == 1).await;
    let alone = asking(call.uncoalesced());
    until(|| client.budget().waiting.iter().any(|(_, waiting)| *waiting == 1)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(client.budget().in_flight, 0);
    assert!(!alone.is_finished());
}

#[tokio::test]
async fn every_reader_that_waited_for_a_limit_reports_the_wait() {
    let (sandbox, client) = limited(Duration::from_secs(3)).await;
    let call = CallContext::new(Lane::Interactive);
    for _ in 0..5 {
        client.user(&call).await.unwrap();
    }
    let before = sandbox.request_log().total();
    let calls = [CallContext::new(Lane::Interactive), CallContext::new(Lane::Interactive)];
    for answer in join_all(calls.iter().map(|call| client.organization(call))).await {
        answer.unwrap();
    }
    assert_eq!(sandbox.request_log().total() - before, 1);
    for call in &calls {
        assert!(call.stats().waited > Duration::ZERO, "the wait of one is not told");
    }
}
