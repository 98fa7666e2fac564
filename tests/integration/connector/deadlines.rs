//! A caller's deadline ends every kind of wait as `DEADLINE_EXCEEDED`, with its reason.

use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::ResourcesServiceListResourcesRequest;
use buildkite_connector::proto::c1::connector::v2::resources_service_client::ResourcesServiceClient;
use buildkite_connector::sandbox::{Bucket, Endpoint, Fault, FaultKind, RateLimitStyle, Sandbox};
use rstest::rstest;
use tonic::{Code, Request, Status};

use crate::support::{Listing, Setup, TestServer, details, reason, sandbox};

/// Lists people with a `grpc-timeout`.
async fn listed_within(connector: &TestServer, timeout: Duration) -> Result<usize, Status> {
    let (transport, origin) = connector.transport();
    let mut client = ResourcesServiceClient::with_origin(transport, origin);
    let mut request = Request::new(ResourcesServiceListResourcesRequest {
        resource_type_id: "user".to_owned(),
        ..Default::default()
    });
    request.set_timeout(timeout);
    client
        .list_resources(request)
        .await
        .map(|response| response.into_inner().list.len())
}

async fn with_long_timeouts(sandbox: &Sandbox) -> TestServer {
    let mut setup = Setup::default();
    // Nothing but the caller's deadline ends a call.
    setup.client.attempt_timeout = Duration::from_secs(3_600);
    setup.client.retry_for = Duration::from_secs(3_600);
    TestServer::with(sandbox, sandbox.token(), setup).await
}

#[rstest]
#[case::silence(FaultKind::Hang)]
#[case::delay(FaultKind::Delay(Duration::from_secs(3_600)))]
#[case::an_outage_that_is_ridden_out(FaultKind::ResetBefore)]
#[tokio::test]
async fn a_call_ends_with_its_callers_deadline(#[case] kind: FaultKind, #[values(1, 4)] page: usize) {
    let sandbox = sandbox(Listing::People.seed(350)).await;
    let fault = Fault::new(Endpoint::OrganizationMembers, kind).on_page(page);
    let fault = sandbox.faults().add(fault);
    let connector = with_long_timeouts(&sandbox).await;
    let ended = listed_within(&connector, Duration::from_secs(2)).await;
    assert!(fault.fired() > 0);
    match ended {
        // What was read before is handed on, with a token to go on from; never as if it were all.
        Ok(rows) => assert!(page > 1 && rows < 350, "{rows} rows"),
        Err(status) => assert_eq!(reason(&status), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".into())),
    }
}

#[tokio::test]
async fn a_limit_that_ends_after_the_callers_deadline_is_reported_at_once() {
    let sandbox = sandbox(Listing::People.seed(3)).await;
    let limited = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Empty);
    sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, limited).once());
    let connector = with_long_timeouts(&sandbox).await;
    let status = listed_within(&connector, Duration::from_secs(10)).await.unwrap_err();
    let details = details(&status);
    assert_eq!(
        (details.code, details.reason.as_str()),
        (Code::Unavailable, "RATE_LIMITED")
    );
    assert!(details.rate_limit.is_some() && details.retry.is_some());
}

#[tokio::test]
async fn a_deadline_in_the_past_is_reported_as_exceeded() {
    let sandbox = sandbox(Listing::People.seed(3)).await;
    let connector = with_long_timeouts(&sandbox).await;
    let status = listed_within(&connector, Duration::from_nanos(1)).await.unwrap_err();
    assert_eq!(reason(&status), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".into()));
}

#[tokio::test]
async fn a_deadline_that_is_kept_changes_nothing() {
    let sandbox = sandbox(Listing::People.seed(350)).await;
    let connector = with_long_timeouts(&sandbox).await;
    assert_eq!(listed_within(&connector, Duration::from_secs(30)).await.unwrap(), 350);
}
