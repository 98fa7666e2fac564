//! Every kind of failure, at every probe: its own sentence, its own remedy, and UNKNOWN rather than UNHEALTHY where
//! Buildkite could not be reached.

use buildkite_connector::sandbox::{BodyStyle, Bucket, Endpoint, Fault, FaultKind, RateLimitStyle};
use http::StatusCode;
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpListener;
use tonic::Code;

use super::harness::{CHECKS, HealthHarness, Healthy, ScopeState, Unhealthy, Unknown, setup};
use crate::support::reason;

/// The requests that health is made of, each with the check that it decides.
const PROBES: [(Endpoint, &str); 5] = [
    (Endpoint::AccessToken, "authentication"),
    (Endpoint::User, "user_identity"),
    (Endpoint::Organization, "organization_access"),
    (Endpoint::OrganizationMembers, "organization_member_listing"),
    (Endpoint::Teams, "team_listing"),
];

fn status(code: u16) -> FaultKind {
    FaultKind::Status(StatusCode::from_u16(code).unwrap(), BodyStyle::Message)
}

/// What the check of a probe says that fails so; `None` where it is another check that says it.
fn said(kind: &FaultKind, check: &str) -> (ScopeState, &'static str, &'static str) {
    let lists = ["organization_member_listing", "team_listing"].contains(&check);
    match kind {
        FaultKind::Status(code, _) => match (code.as_u16(), check) {
            (401, _) => (Unhealthy, "buildkite rejects the token", "create a new token"),
            (403, "authentication") => (
                Unhealthy,
                "buildkite forbids reading the token's own record",
                "ip allowlists",
            ),
            (403, _) => (
                Unhealthy,
                "buildkite forbids it although the token has the scope `read_",
                "ip allowlists",
            ),
            (404, "organization_access") => (
                Unhealthy,
                "buildkite answers 404 for the organization",
                "BUILDKITE_ORGANIZATION_SLUG",
            ),
            (404, _) if lists => (Unhealthy, "buildkite answers 404 for this list", "enable teams"),
            (404, _) => (
                Unhealthy,
                "the server that answers 404 here is not buildkite's api",
                "BUILDKITE_REST_URL",
            ),
            (422, _) => (Unhealthy, "buildkite refuses the request with 422", "report it"),
            (503, _) => (
                Unknown,
                "buildkite is in trouble: it answers 503",
                "buildkitestatus.com",
            ),
            (502, _) => (
                Unknown,
                "buildkite is in trouble: it answers 502",
                "buildkitestatus.com",
            ),
            other => unreachable!("{other:?}"),
        },
        FaultKind::RateLimited(..) => (
            Unknown,
            "could not be checked: the rate limit is used up",
            "wait for its reset",
        ),
        FaultKind::Html200 => (
            Unknown,
            "an HTML page came where buildkite's JSON was expected",
            "BUILDKITE_REST_URL",
        ),
        FaultKind::Truncated => (Unknown, "buildkite's answer was cut short", "BUILDKITE_REST_URL"),
        FaultKind::Hang => (Unknown, "buildkite did not answer in time", "buildkitestatus.com"),
        FaultKind::ResetBefore => (
            Unknown,
            "buildkite cannot be reached: the connection broke",
            "firewall and proxy",
        ),
        FaultKind::WrongShape(_) => (Unhealthy, "the response is not as documented", "BUILDKITE_REST_URL"),
        FaultKind::Redirect(_) => (
            Unhealthy,
            "the response is not as documented: a redirect",
            "BUILDKITE_REST_URL",
        ),
        other => unreachable!("{other:?}"),
    }
}

#[rstest]
#[case::unauthorized(status(401))]
#[case::forbidden(status(403))]
#[case::not_found(status(404))]
#[case::unprocessable(status(422))]
#[case::unavailable(status(503))]
#[case::bad_gateway_page(FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html))]
#[case::rate_limited_user(FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented))]
#[case::rate_limited_plainly(FaultKind::RateLimited(Bucket::User, RateLimitStyle::NotJson))]
#[case::html(FaultKind::Html200)]
#[case::truncated(FaultKind::Truncated)]
#[case::hang(FaultKind::Hang)]
#[case::reset(FaultKind::ResetBefore)]
#[case::shape(FaultKind::WrongShape(json!({"unexpected": true})))]
#[case::redirect(FaultKind::Redirect("/login".to_owned()))]
#[tokio::test]
async fn each_trouble_at_each_probe_has_its_own_sentence_and_remedy(#[case] kind: FaultKind) {
    for (endpoint, id) in PROBES {
        let harness = HealthHarness::start().await;
        harness.sandbox.faults().add(Fault::new(endpoint, kind.clone()));
        let report = harness.fresh().await;
        report.assert_well_formed();
        let (state, sentence, remedy) = said(&kind, id);
        // Where nothing else was accepted since, all else follows from the rejection.
        let is_rejected = report
            .summary("authentication")
            .starts_with("buildkite rejects the token");
        let check = report.of(if is_rejected { "authentication" } else { id });
        assert_eq!(check.state(), state, "{endpoint}: {check:?}");
        assert!(check.summary.starts_with(sentence), "{endpoint}: {check:?}");
        assert!(check.remedy.contains(remedy), "{endpoint}: {check:?}");
        if is_rejected && id != "authentication" {
            assert_eq!(
                (report.state(id), report.summary(id)),
                (Unknown, "not checked, because the token is rejected")
            );
        }
        if state == Unknown {
            assert!(
                !report.states().contains(&Unhealthy),
                "{endpoint}: {:?}",
                report.states()
            );
        }
        assert!(harness.requests() <= 6, "{endpoint}: {} requests", harness.requests());
    }
}

#[rstest]
#[case::forbidden(status(403), Healthy, "is not known")]
#[case::not_found(status(404), Healthy, "is not known")]
#[case::shape(FaultKind::WrongShape(json!({"id": "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d"})), Healthy, "is not known")]
#[case::unavailable(status(503), Unknown, "could not be read")]
#[case::hang(FaultKind::Hang, Unknown, "could not be read")]
#[tokio::test]
async fn an_unreported_owner_role_is_not_a_fault_and_an_unreadable_owner_is_unknown(
    #[case] kind: FaultKind,
    #[case] state: ScopeState,
    #[case] said: &str,
) {
    let harness = HealthHarness::start().await;
    harness
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMember, kind));
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert_eq!(report.state("team_listing"), state);
    assert!(
        report.summary("team_listing").contains(said),
        "{}",
        report.summary("team_listing")
    );
}

/// What every check reports when no request succeeds: one cause, and one remedy for all.
async fn out_of_reach(url: &str, sentence: &str, remedy: &str) {
    let harness = HealthHarness::at(url, setup()).await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert_eq!(report.states(), [Unknown; 6]);
    let first = report.of("authentication");
    assert!(first.summary.starts_with(sentence), "{first:?}");
    assert!(first.remedy.contains(remedy), "{first:?}");
    for id in &CHECKS[1..] {
        assert_eq!(report.of(id).remedy, first.remedy);
    }
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
    );
}

#[tokio::test]
async fn a_refused_connection_points_at_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    out_of_reach(&url, "buildkite cannot be reached: no connection", "firewall").await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_points_at_name_resolution() {
    let sentence = "buildkite cannot be found: the API base's name does not resolve";
    out_of_reach("https://buildkite.invalid", sentence, "name resolution").await;
}

#[tokio::test]
async fn a_server_without_tls_points_at_the_certificates() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let answer = || async { "plain" };
    let serving = tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    out_of_reach(
        &url,
        "buildkite cannot be reached: no trusted TLS connection",
        "certificates",
    )
    .await;
    serving.abort();
}

#[tokio::test]
async fn an_untrusted_certificate_points_at_the_certificates() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The handshake fails, since no client trusts the certificate: that is what is tested.
            let _ = acceptor.accept(stream).await;
        }
    });
    out_of_reach(
        &url,
        "buildkite cannot be reached: no trusted TLS connection",
        "certificates",
    )
    .await;
    serving.abort();
}
