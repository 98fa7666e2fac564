//! No secret anywhere: with everything logged, no log line, error, detail or Debug holds the token, even where a server
//! quotes it back in every place that it can.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use buildkite_connector::governance::{CallContext, Governance, GovernanceSettings, Lane};
use buildkite_connector::providers::buildkite::{
    ApiToken, Buildkite, BuildkiteProvider, Client, ClientOptions, Coverage,
};
use buildkite_connector::sandbox::{BodyStyle, Bucket, Endpoint, Fault, FaultKind, RateLimitStyle, TokenSpec};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::json;
use tracing::Level;

use crate::support::log::Log;
use crate::support::scripted::Scripted;
use crate::support::{Listing, Setup, TestServer, first_team, sandbox};

const PLANTED: &str = "bkua_plantedplantedplantedplantedplanted012345";

fn fast_timeouts() -> Setup {
    let mut setup = Setup::default();
    setup.client.attempt_timeout = Duration::from_millis(300);
    setup.client.retry_for = Duration::from_millis(300);
    setup.client.budget.max_wait = Duration::from_millis(300);
    setup.client.budget.provisioning_max_wait = Duration::from_millis(300);
    setup
}

fn assert_absent(secret: &str, text: &str, place: &str) {
    let bare = secret.trim_start_matches("bkua_");
    let at = text.find(bare);
    let around = at.map(|at| text.get(at.saturating_sub(120)..at).unwrap_or_default());
    assert!(at.is_none(), "{place} holds the token behind: {around:?}");
}

#[tokio::test]
async fn no_kind_of_trouble_brings_the_token_into_a_log_or_an_error() {
    let (log, _guard) = Log::capture(Level::TRACE);
    let status = |code: u16| FaultKind::Status(StatusCode::from_u16(code).unwrap(), BodyStyle::Message);
    let mut searched = 0;
    for listing in Listing::ALL {
        let kinds = [
            status(401),
            status(403),
            status(404),
            status(500),
            FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented),
            FaultKind::Html200,
            FaultKind::NullBody,
            FaultKind::Truncated,
            FaultKind::ResetBefore,
            FaultKind::Hang,
            FaultKind::Redirect("/v2/access-token".to_owned()),
        ];
        for kind in kinds {
            let sandbox = sandbox(listing.seed(5)).await;
            let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()));
            let fault = sandbox.faults().add(Fault::new(listing.endpoint(), kind));
            let connector = TestServer::with(&sandbox, &token, fast_timeouts()).await;
            let read = listing.read(&connector.platform().await, first_team(&sandbox)).await;
            assert!(fault.fired() > 0);
            assert_absent(token.expose_secret(), &format!("{:?}", read.unwrap_err()), "an error");
            assert_absent(token.expose_secret(), &log.text(), "the log");
            searched += 1;
        }
    }
    let lines = log.text().lines().count();
    println!("{searched} troubles, {lines} lines searched");
    assert!(lines > 1_000, "{lines} lines");
}

/// Says the token back wherever an answer has room for text.
fn quoting(status: u16, request: &Request) -> Response<Body> {
    let named = request.headers().get(header::AUTHORIZATION);
    let token = named.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let url = format!("https://elsewhere.invalid/?api_key={PLANTED}");
    let body = match status {
        200 => json!([{"id": token, "name": token}]),
        _ => json!({"message": format!("you sent {token} to {url}"), "scope": PLANTED}),
    };
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::LOCATION, url.clone()),
        (header::LINK, format!("<{url}&page=2>; rel=\"next\"")),
        (HeaderName::from_static("ratelimit-reset"), PLANTED.to_owned()),
    ] {
        let mut value = HeaderValue::try_from(value).unwrap();
        // The HTTP library logs responses as they are at TRACE; the connector's own log lines must not repeat them.
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    answer
}

#[tokio::test]
async fn a_server_that_quotes_the_token_does_not_get_it_into_an_error_or_our_log() {
    let (log, _guard) = Log::capture(Level::TRACE);
    for status in [200, 302, 400, 401, 403, 404, 422, 429, 500] {
        let server = Scripted::start(move |request| quoting(status, request)).await;
        let connector = TestServer::at(&server.url, "acme", &PLANTED.into(), fast_timeouts()).await;
        let platform = connector.platform().await;
        let team = uuid::Uuid::from_u128(1).to_string();
        let person = uuid::Uuid::from_u128(2).to_string();
        for details in [
            platform.validate().await.map(drop),
            platform.resources("user").await.map(drop),
            platform.resources("team").await.map(drop),
            platform.resource("user", &person).await.map(drop),
            platform.resource("team", &team).await.map(drop),
            platform.grant(&team, "member", &person).await.map(drop),
            platform.revoke(&team, "member", &person).await.map(drop),
        ] {
            let Err(details) = details else { continue };
            let details = String::from_utf8_lossy(details.details()).into_owned();
            assert_absent(
                PLANTED,
                &format!("{details:?} {details} {details}"),
                &format!("{status}"),
            );
        }
    }
    let ours: String = log
        .text()
        .lines()
        .filter(|line| line.contains("buildkite_connector"))
        .collect();
    assert_absent(PLANTED, &ours, "our log");
}

#[tokio::test]
async fn nothing_that_holds_the_token_shows_it_by_debug() {
    let sandbox = sandbox(Listing::People.seed(2)).await;
    let secret = sandbox.token().expose_secret().to_owned();
    let token: ApiToken = secret.parse().unwrap();
    let client = Client::new(
        sandbox.url().parse().unwrap(),
        sandbox.slug().parse().unwrap(),
        token.clone(),
        ClientOptions::default(),
    );
    let client = Arc::new(client.unwrap());
    let settings = GovernanceSettings::default();
    let buildkite = Buildkite::new(
        client.clone(),
        Coverage::default(),
        settings.partial_visibility,
        settings.read_ahead,
    );
    let buildkite = Arc::new(buildkite);
    let governance = Governance::new(
        Arc::new(BuildkiteProvider::new(
            Arc::clone(&buildkite),
            settings.directory_max_age,
            settings.write_timeouts.own_write_window,
        )),
        settings,
    );
    let call = CallContext::new(Lane::Sync);
    let status = buildkite.credential_status(Duration::ZERO, &call).await.unwrap();
    let shown = format!("{token:?} {client:?} {buildkite:?} {governance:?} {status:?} {call:?} {sandbox:?}");
    assert_absent(&secret, &shown, "a Debug");
    assert_eq!(sandbox.request_log().count(Endpoint::AccessToken), 1);
}
