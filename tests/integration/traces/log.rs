//! The log beside the traces: the same lines with and without them, and the same id of a request in both.

use std::collections::BTreeSet;
use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::GrantManagerServiceGrantRequest;
use buildkite_connector::sandbox::{
    Bucket, Endpoint, Fault, FaultKind, LimitOptions, Options, RateLimitStyle, Sandbox,
};
use serde_json::Value;
use tonic::Request;

use super::collector::attribute;
use super::{Collector, exporting, serve};
use crate::support::platform::{entitlement, resource};

/// Warnings, and what a test waits for.
const LOG: &str = "warn,buildkite_connector::cli=info,buildkite_connector::providers=info";

/// A sandbox that refuses the first addition to a team, for a limit that resets soon.
async fn limited() -> Sandbox {
    let sandbox = Sandbox::start(Options {
        limits: LimitOptions {
            window: Duration::from_secs(1),
            ..LimitOptions::unlimited()
        },
        ..Options::default()
    })
    .await
    .unwrap();
    let refused = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    sandbox
        .faults()
        .add(Fault::new(Endpoint::AddTeamMember, refused).once());
    sandbox
}

fn grant_of(sandbox: &Sandbox) -> Request<GrantManagerServiceGrantRequest> {
    let (team, user) = sandbox.with_organization(|organization| {
        let team = organization
            .teams()
            .iter()
            .find(|team| team.slug == "platform")
            .unwrap();
        let person = organization.person_by_email("viktor@contractor.example");
        (team.id.to_string(), person.unwrap().id.to_string())
    });
    Request::new(GrantManagerServiceGrantRequest {
        entitlement: Some(entitlement(&team, "member")),
        principal: Some(resource("user", &user)),
        ..Default::default()
    })
}

fn events(printed: &[String]) -> Vec<Value> {
    let lines = printed.iter().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// The shape of each line: its message, its fields, and the spans around it with theirs.
async fn shapes(variables: &[(&str, String)]) -> BTreeSet<String> {
    let sandbox = limited().await;
    let server = serve(&sandbox, variables, &[]);
    let platform = server.platform().await;
    platform.sync().await.unwrap();
    let mut grants = platform.grants_client();
    // Whether the wait for the limit is too long is of no account here.
    let _ = grants.grant(grant_of(&sandbox)).await;
    drop((grants, platform));
    let printed = server.terminate().printed;
    let shape = |event: Value| {
        let keys = |value: &Value| {
            let keys = value.as_object().into_iter().flat_map(|object| object.keys().cloned());
            keys.collect::<Vec<_>>().join(",")
        };
        let spans = event["spans"].as_array().into_iter().flatten().map(keys);
        let spans: Vec<_> = spans.collect();
        format!("{}: {} in {spans:?}", event["target"], keys(&event))
    };
    events(&printed).into_iter().map(shape).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_of_the_log_changes_with_traces() {
    let collector = Collector::start().await;
    let without = shapes(&[]).await;
    assert!(without.len() > 5, "{without:#?}");
    assert_eq!(shapes(&exporting(&collector.endpoint())).await, without);
    assert!(!collector.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_the_record_the_trace_and_the_response_have_the_same_request_id() {
    for given in [Some("ticket-42"), None] {
        let sandbox = limited().await;
        let directory = tempfile::tempdir().unwrap();
        let record = directory.path().join("audit");
        let collector = Collector::start().await;
        let arguments = ["--audit-file", record.to_str().unwrap(), "--log", LOG];
        let server = serve(&sandbox, &exporting(&collector.endpoint()), &arguments);
        let mut request = grant_of(&sandbox);
        if let Some(given) = given {
            request.metadata_mut().insert("x-request-id", given.parse().unwrap());
        }
        let mut grants = server.platform().await.grants_client();
        let metadata = match grants.grant(request).await {
            Ok(response) => response.metadata().clone(),
            Err(status) => status.metadata().clone(),
        };
        let id = metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned();
        assert!(given.is_none_or(|given| given == id));
        drop(grants);
        let printed = server.terminate().printed;

        let limited = events(&printed)
            .into_iter()
            .find(|event| event["message"] == "rate limited");
        let limited = limited.unwrap_or_else(|| panic!("{printed:#?}"));
        assert_eq!(limited["span"]["request_id"], id, "{limited}");
        let audited: Vec<_> = events(&printed)
            .into_iter()
            .filter(|event| event["target"] == "audit")
            .collect();
        assert!(!audited.is_empty());
        assert!(audited.iter().all(|event| event["request_id"] == id));
        let recorded = std::fs::read_to_string(&record).unwrap();
        assert!(
            recorded
                .lines()
                .all(|line| line.contains(&format!("\"request_id\":\"{id}\"")))
        );
        let spans = collector.spans();
        let call = spans.iter().find(|span| span.name.ends_with("/Grant")).unwrap();
        assert_eq!(attribute(&call.attributes, "request_id"), Some(id));
    }
}
