//! A span a call, below it a span an operation, and below that one a REST request.

use buildkite_connector::proto::c1::connector::v2::grants_service_client::GrantsServiceClient;
use buildkite_connector::proto::c1::connector::v2::{GrantManagerServiceGrantRequest, GrantsServiceListGrantsRequest};
use buildkite_connector::sandbox::Echo;
use opentelemetry_proto::tonic::trace::v1::Span;
use rstest::rstest;
use uuid::Uuid;

use super::collector::{attribute, hexadecimal};
use super::{example, traced, within_trace};
use crate::support::platform::{entitlement, resource};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER_TRACE: &str = "11111111111111111111111111111111";
const OTHER_SAMPLED: &str = "00-11111111111111111111111111111111-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn grant_of(team: Uuid, user: Uuid) -> GrantManagerServiceGrantRequest {
    GrantManagerServiceGrantRequest {
        entitlement: Some(entitlement(&team.to_string(), "member")),
        principal: Some(resource("user", &user.to_string())),
        ..Default::default()
    }
}

/// The id of a team, and of a person of the sandbox who is in none.
fn team_and_outsider(sandbox: &buildkite_connector::sandbox::Sandbox) -> (Uuid, Uuid) {
    sandbox.with_organization(|organization| {
        let team = organization
            .teams()
            .iter()
            .find(|team| team.slug == "platform")
            .unwrap();
        let person = organization.person_by_email("viktor@contractor.example");
        (team.id, person.unwrap().id)
    })
}

fn names(spans: &[&Span]) -> Vec<String> {
    spans.iter().map(|span| span.name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_continues_the_callers_trace_with_its_operations_and_their_requests() {
    let sandbox = example().await;
    // The response does not show the row, so that it is read back.
    sandbox.change_behaviors(|behaviors| behaviors.echo = Echo::Empty);
    let (collector, server) = traced(&sandbox).await;
    let (team, user) = team_and_outsider(&sandbox);
    let mut request = within_trace(grant_of(team, user), SAMPLED);
    request
        .metadata_mut()
        .insert("x-request-id", "ticket-42".parse().unwrap());
    request.metadata_mut().insert("tracestate", "vendor=1".parse().unwrap());
    let mut grants = server.platform().await.grants_client();
    grants.grant(request).await.unwrap();
    drop(grants);
    assert!(server.terminate().status.success());

    let trace = collector.trace(TRACE);
    let call = trace.below(PARENT);
    assert_eq!(call.name, "c1.connector.v2.GrantManagerService/Grant");
    assert_eq!(call.kind, 2);
    assert_eq!(
        attribute(&call.attributes, "rpc.service").unwrap(),
        "c1.connector.v2.GrantManagerService"
    );
    assert_eq!(attribute(&call.attributes, "rpc.grpc.status_code").unwrap(), "0");
    assert_eq!(attribute(&call.attributes, "request_id").unwrap(), "ticket-42");
    let operations = trace.children(call);
    assert_eq!(names(&operations), ["decision", "write", "confirm"]);
    let member = "/v2/organizations/{organization}/teams/{team}/members/{user}";
    let expected = [
        ("GET", member, "404"),
        ("POST", "/v2/organizations/{organization}/teams/{team}/members", "201"),
        ("GET", member, "200"),
    ];
    for (operation, (method, endpoint, status)) in operations.into_iter().zip(expected) {
        let requests = trace.children(operation);
        let request = requests
            .iter()
            .find(|request| request.name == format!("{method} {endpoint}"));
        let request = request.unwrap_or_else(|| panic!("{method} {endpoint}: {requests:#?}"));
        let value = |key| attribute(&request.attributes, key);
        assert_eq!(request.kind, 3);
        assert_eq!(value("http.request.method").as_deref(), Some(method));
        assert_eq!(value("buildkite.endpoint").as_deref(), Some(endpoint));
        assert_eq!(value("buildkite.lane").as_deref(), Some("provisioning"));
        assert_eq!(value("http.response.status_code").as_deref(), Some(status));
        assert!(value("buildkite.waited_ms").unwrap().parse::<u64>().is_ok());
        assert!(operation.start_time_unix_nano <= request.start_time_unix_nano);
        assert!(request.end_time_unix_nano <= operation.end_time_unix_nano);
    }
    // A call's end is not before that of its operations.
    assert!(
        trace
            .0
            .iter()
            .all(|span| span.end_time_unix_nano <= call.end_time_unix_nano)
    );

    let requests = sandbox.requests();
    assert!(requests.len() > 3);
    for header in requests.iter().flat_map(|request| &request.headers) {
        let is_of_trace = ["traceparent", "tracestate", "baggage", "x-request-id"].contains(&header.as_str());
        assert!(!is_of_trace, "{header} was sent to Buildkite");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_is_a_sync_page_and_an_unsampled_parent_is_respected() {
    let sandbox = example().await;
    let (collector, server) = traced(&sandbox).await;
    let (team, _) = team_and_outsider(&sandbox);
    let list = GrantsServiceListGrantsRequest {
        resource: Some(resource("team", &team.to_string())),
        ..Default::default()
    };
    let mut grants = GrantsServiceClient::new(server.channel().await);
    grants
        .list_grants(within_trace(list.clone(), NOT_SAMPLED))
        .await
        .unwrap();
    grants
        .list_grants(within_trace(list.clone(), OTHER_SAMPLED))
        .await
        .unwrap();
    grants.list_grants(list).await.unwrap();
    drop(grants);
    assert!(server.terminate().status.success());

    assert_eq!(collector.trace(TRACE).0, [], "an unsampled trace was exported");
    let trace = collector.trace(OTHER_TRACE);
    let call = trace.below(PARENT);
    let operations = trace.children(call);
    assert_eq!(names(&operations), ["sync page"]);
    assert_eq!(attribute(&operations[0].attributes, "sync.list").unwrap(), "grants");
    assert_eq!(
        attribute(&operations[0].attributes, "sync.resource_type").unwrap(),
        "team"
    );
    let requests = trace.children(operations[0]);
    assert_eq!(
        names(&requests),
        ["GET /v2/organizations/{organization}/teams/{team}/members"]
    );
    assert_eq!(attribute(&requests[0].attributes, "buildkite.lane").unwrap(), "sync");
    // A call without a parent begins a trace of its own.
    let named = "c1.connector.v2.GrantsService/ListGrants";
    let spans = collector.spans();
    let calls: Vec<_> = spans.iter().filter(|span| span.name == named).collect();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().any(|call| call.parent_span_id.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_marks_its_span_its_operation_and_no_text() {
    let sandbox = example().await;
    let (collector, server) = traced(&sandbox).await;
    let list = GrantsServiceListGrantsRequest {
        resource: Some(resource("team", &Uuid::from_u128(7).to_string())),
        ..Default::default()
    };
    let mut grants = GrantsServiceClient::new(server.channel().await);
    grants.list_grants(within_trace(list, SAMPLED)).await.unwrap_err();
    drop(grants);
    assert!(server.terminate().status.success());
    let trace = collector.trace(TRACE);
    let call = trace.below(PARENT);
    // NOT_FOUND is an answer to the caller, and no failure of the server.
    assert_eq!(attribute(&call.attributes, "rpc.grpc.status_code").unwrap(), "5");
    assert_eq!(call.status.as_ref().map_or(0, |status| status.code), 0);
    let operation = trace.children(call)[0];
    let request = trace.children(operation)[0];
    assert_eq!(
        attribute(&request.attributes, "http.response.status_code").unwrap(),
        "404"
    );
    for span in [operation, request] {
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, ""));
    }
    assert!(trace.0.iter().all(|span| span.events.is_empty()));
}

#[rstest]
#[case::default(&[], "buildkite-connector", None)]
#[case::named(&[("OTEL_SERVICE_NAME", "approvals")], "approvals", None)]
#[case::attributes(
    &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=approvals,deployment.environment.name=test")],
    "approvals",
    Some("test")
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_resource_is_named_by_the_standard_variables(
    #[case] variables: &[(&str, &str)],
    #[case] name: &str,
    #[case] environment: Option<&str>,
) {
    let sandbox = example().await;
    let collector = super::Collector::start().await;
    let mut all: Vec<(&str, String)> = super::exporting(&collector.endpoint());
    all.push(("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret".to_owned()));
    all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let server = super::serve(&sandbox, &all, &[]);
    server.platform().await.resources("team").await.unwrap();
    assert!(server.terminate().status.success());
    let resource = collector.resource();
    assert_eq!(attribute(&resource, "service.name").as_deref(), Some(name));
    assert_eq!(
        attribute(&resource, "deployment.environment.name").as_deref(),
        environment
    );
    assert_eq!(
        attribute(&resource, "service.version").as_deref(),
        Some(env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_that_a_sync_reads_ahead_are_below_the_call_that_began_them() {
    let sandbox = example().await;
    let (collector, server) = traced(&sandbox).await;
    server.platform().await.sync().await.unwrap();
    assert!(server.terminate().status.success());
    let spans = collector.spans();
    let ahead = spans
        .iter()
        .filter(|span| attribute(&span.attributes, "sync.prefetched").as_deref() == Some("true"));
    let ahead: Vec<_> = ahead.collect();
    assert!(!ahead.is_empty());
    for span in ahead {
        let trace = collector.trace(&hexadecimal(&span.trace_id));
        let is_below_a_call = trace
            .0
            .iter()
            .any(|root| root.parent_span_id.is_empty() && root.kind == 2);
        assert!(is_below_a_call, "{span:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_the_root_of_its_pages() {
    let sandbox = example().await;
    let collector = super::Collector::start().await;
    let mut command = crate::support::process::connector(&["list", "teams"]);
    crate::support::process::set_up(&mut command, &sandbox, sandbox.token());
    command.envs(super::exporting(&collector.endpoint()));
    let done = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let spans = collector.spans();
    let job = spans.iter().find(|span| span.name == "job").unwrap();
    assert!(job.parent_span_id.is_empty());
    let pages: Vec<_> = spans.iter().filter(|span| span.name == "sync page").collect();
    assert!(!pages.is_empty());
    assert!(pages.iter().all(|page| page.trace_id == job.trace_id));
}
