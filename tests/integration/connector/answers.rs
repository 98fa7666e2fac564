//! What counts as a whole answer: its status, what it is declared as, and where it ends.

use std::time::Duration;

use buildkite_connector::sandbox::{Endpoint, Fault, FaultHandle, FaultKind, Sandbox};
use http::StatusCode;
use rstest::rstest;
use serde_json::json;
use tonic::Code::{self, FailedPrecondition, Unavailable};

use crate::support::{Listing, Platform, Setup, TestServer, first_team, reason, sandbox, sized};

/// A platform on a Buildkite whose responses to a listing have this fault and are retried for half a second.
async fn listing(listing: Listing, fault: Fault) -> (Sandbox, TestServer, Platform, FaultHandle) {
    let sandbox = sandbox(listing.seed(3)).await;
    let fault = sandbox.faults().add(fault);
    let mut setup = Setup::default();
    setup.client.retry_for = Duration::from_millis(500);
    let connector = TestServer::with(&sandbox, sandbox.token(), setup).await;
    let platform = connector.platform().await;
    (sandbox, connector, platform, fault)
}

/// Reads the listing under a lasting fault; returns the result and the number of requests.
async fn ended(listed: Listing, kind: FaultKind) -> ((Code, String), u64) {
    let (sandbox, _connector, platform, fault) = listing(listed, Fault::new(listed.endpoint(), kind)).await;
    let read = listed.read(&platform, first_team(&sandbox)).await;
    (reason(&read.unwrap_err()), fault.fired())
}

/// Reads the listing under a fault that strikes `times`; whether all of its rows came, and how often the fault struck.
async fn read(listed: Listing, fault: Fault) -> (bool, u64) {
    let (sandbox, _connector, platform, fault) = listing(listed, fault).await;
    let rows = listed.read(&platform, first_team(&sandbox)).await.unwrap();
    (rows == listed.truth(&sandbox), fault.fired())
}

fn declared(content_type: &str) -> FaultKind {
    FaultKind::ContentType(Some(content_type.to_owned()))
}

fn unexpected() -> (Code, String) {
    (FailedPrecondition, "UNEXPECTED_RESPONSE".to_owned())
}

fn unavailable() -> (Code, String) {
    (Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
}

#[rstest]
#[tokio::test]
async fn a_list_with_a_success_status_other_than_200_is_an_error_and_not_requested_again(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(201, 202, 203, 204, 206)] status: u16,
) {
    let status = StatusCode::from_u16(status).unwrap();
    assert_eq!(ended(listing, FaultKind::AnsweredAs(status)).await, (unexpected(), 1));
}

#[rstest]
#[tokio::test]
async fn a_list_with_a_content_type_other_than_json_is_requested_again_and_then_an_error(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values("text/html; charset=utf-8", "text/plain", "application/octet-stream")] content_type: &'static str,
) {
    let (error, asked) = ended(listing, declared(content_type)).await;
    assert_eq!(error, unavailable());
    assert!(asked > 1, "{asked}");
    let once = Fault::new(listing.endpoint(), declared(content_type)).once();
    assert_eq!(read(listing, once).await, (true, 1));
}

#[tokio::test]
async fn an_empty_member_list_declared_as_html_is_not_an_empty_team() {
    let sandbox = sandbox(sized(1, 0, 3)).await;
    let team = first_team(&sandbox);
    let mut setup = Setup::default();
    setup.client.retry_for = Duration::from_millis(300);
    let connector = TestServer::with(&sandbox, sandbox.token(), setup).await;
    let platform = connector.platform().await;
    let fault = Fault::new(Endpoint::TeamMembers, declared("text/html"));
    let fault = sandbox.faults().add(fault);
    let error = Listing::Members.read(&platform, team).await.unwrap_err();
    assert_eq!(reason(&error), unavailable());
    fault.remove();
    assert!(Listing::Members.read(&platform, team).await.unwrap().is_empty());
}

#[rstest]
#[case::undeclared(FaultKind::ContentType(None))]
#[case::bare(declared("application/json"))]
#[case::upper_case(declared("APPLICATION/JSON;charset=UTF-8"))]
#[case::of_a_vendor(declared("application/vnd.buildkite.v2+json; charset=utf-8"))]
#[tokio::test]
async fn json_may_be_declared_in_any_way_or_not_at_all(#[case] kind: FaultKind) {
    for listing in Listing::ALL {
        let fault = Fault::new(listing.endpoint(), kind.clone());
        assert_eq!(read(listing, fault).await, (true, 1), "{listing:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_truncated_list_is_requested_again_for_any_beginning(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values("{\"role\": \"mai", "[1,", "[{\"id\": 7}, {", "{\"message\"", "\"", "[{\"id\"")] begun: &str,
) {
    let cut = FaultKind::Text(begun.to_owned());
    let (error, asked) = ended(listing, cut.clone()).await;
    assert_eq!(error, unavailable());
    assert!(asked > 1, "{asked}");
    let once = Fault::new(listing.endpoint(), cut).once();
    assert_eq!(read(listing, once).await, (true, 1));
}

#[rstest]
#[tokio::test]
async fn complete_json_of_another_shape_is_not_requested_again(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(json!({"role": "maintainer"}), json!([1]), json!([{"id": 7}, {}]))] shape: serde_json::Value,
) {
    assert_eq!(ended(listing, FaultKind::WrongShape(shape)).await, (unexpected(), 1));
}
