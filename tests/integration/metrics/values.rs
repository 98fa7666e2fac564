//! What stands at a value says how things are, is looked up without asking Buildkite, and is absent while it is not known.

use std::time::Duration;

use buildkite_connector::sandbox::{
    ApplicationSpec, BodyStyle, Endpoint, Fault, FaultKind, KeyPair, LimitOptions, Options, Sandbox, TokenSpec,
};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use super::scrape::Scrape;
use crate::support::platform::SYNC;
use crate::support::process::ConnectorProcess;
use crate::support::{sandbox, sized};

const LAST_SYNC: &str = "sync_last_success_timestamp_seconds";
const EXPIRY: &str = "token_expiry_timestamp_seconds";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_the_metrics_sends_no_request_to_buildkite() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    // Health is out of date at every scrape.
    let monitored = ConnectorProcess::monitored(&sandbox, &["--health-max-age", "1ms"]);
    let before = sandbox.request_log().total();
    for _ in 0..20 {
        monitored.scrape().await;
        for page in ["/livez", "/readyz"] {
            assert_eq!(monitored.page(page).await.0, 200);
        }
    }
    assert_eq!(
        (sandbox.request_log().total(), sandbox.request_log().in_flight()),
        (before, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_windows_are_those_of_the_last_answer() {
    let limits = LimitOptions {
        organization: Some(150),
        user: Some(40),
        user_offset: Some(Duration::ZERO),
        organization_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    let seed = sized(1, 1, 2);
    let sandbox = Sandbox::start(Options {
        seed,
        limits,
        ..Options::default()
    })
    .await
    .unwrap();
    let monitored = ConnectorProcess::monitored(&sandbox, &[]);
    let scrape = monitored.scrape().await;
    for (series, value) in [
        ("rest_window_limit{bucket=\"rest\"}", 150.0),
        ("rest_window_limit{bucket=\"rest_user\"}", 40.0),
        // Six checks of health.
        ("rest_window_remaining{bucket=\"rest_user\"}", 34.0),
    ] {
        assert_eq!(scrape.value(series), Some(value), "{series}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_alert_matches_the_causes_that_block_every_change() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let arguments = ["--provisioning", "--protect-team", "typo"];
    let scrape = ConnectorProcess::monitored(&sandbox, &arguments).scrape().await;
    let series = "scope_state{check=\"team_membership_management\",state=\"UNHEALTHY\"}";
    assert_eq!(scrape.value(series), Some(1.0), "{}", scrape.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_value_is_absent() {
    // No rate limit is reported, the token never expires, and nothing was synced.
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let scrape = ConnectorProcess::monitored(&sandbox, &[]).scrape().await;
    for absent in ["rest_window_limit", "rest_window_remaining", LAST_SYNC, EXPIRY] {
        assert!(!scrape.text.contains(absent), "{absent} in {}", scrape.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_expiry_of_the_token_is_exported() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let end = Timestamp::now() + SignedDuration::from_hours(24 * 90);
    let token = sandbox.mint(TokenSpec {
        expires_at: Some(end),
        ..TokenSpec::owned_by(sandbox.owner())
    });
    let scrape = ConnectorProcess::monitored_with(&sandbox, &token, &[]).scrape().await;
    let told = scrape.value(EXPIRY).unwrap();
    assert!((told - end.as_duration().as_secs_f64()).abs() < 1.0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_expiry_of_a_replacing_token_is_exported_without_a_call() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, sandbox.token().expose_secret()).unwrap();
    let monitored = ConnectorProcess::monitored_with_file(&sandbox, &file);
    assert_eq!(monitored.scrape().await.value(EXPIRY), None);
    let token = sandbox.mint(TokenSpec {
        expires_at: Some(Timestamp::now() + SignedDuration::from_hours(24 * 90)),
        ..TokenSpec::owned_by(sandbox.owner())
    });
    std::fs::write(&file, token.expose_secret()).unwrap();
    monitored
        .scrape_until("the new token's end", |scrape| scrape.value(EXPIRY).is_some())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_is_in_one_state() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_scopes(&["read_organizations", "read_teams"]));
    let scrape = ConnectorProcess::monitored_with(&sandbox, &token, &[]).scrape().await;
    let states: Vec<String> = scrape
        .values
        .iter()
        .filter(|(series, value)| series.contains("scope_state{") && **value > 0.0)
        .map(|(series, _)| series.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        states,
        [
            "authentication HEALTHY",
            "organization_access HEALTHY",
            "organization_member_listing HEALTHY",
            "team_listing HEALTHY",
            "team_membership_management NOT_REQUIRED",
            "user_identity UNHEALTHY",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_requests_are_counted_by_lane() {
    let sandbox = sandbox(sized(40, 1, 2)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &["--read-ahead", "0"]);
    let platform = monitored.platform().await;
    let teams = platform.resources("team").await.unwrap();
    sandbox.faults().add(Fault::new(Endpoint::TeamMembers, FaultKind::Hang));
    // More than are let through at once.
    let mut calls = JoinSet::new();
    for team in teams {
        let platform = platform.clone();
        calls.spawn(async move { platform.grants(&team).await });
    }
    let scrape = monitored
        .scrape_until("a waiting request", |scrape| {
            scrape.value("lane_waiting{lane=\"sync\"}").unwrap_or_default() > 0.0
        })
        .await;
    assert_eq!(scrape.value("lane_waiting{lane=\"provisioning\"}"), Some(0.0));
    calls.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_completely_read_sync_has_succeeded() {
    let sandbox = sandbox(sized(3, 2, 5)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &["--retry-for", "1ms", "--read-ahead", "0"]);
    let platform = monitored.platform().await;

    // One that stopped on the way.
    let broken = sandbox
        .faults()
        .add(Fault::new(Endpoint::TeamMembers, FaultKind::Truncated).after(1));
    platform.sync().await.unwrap_err();
    platform.cleanup(SYNC).await.unwrap();
    assert_eq!(monitored.scrape().await.value(LAST_SYNC), None);
    broken.remove();

    let before = Timestamp::now().as_duration().as_secs_f64();
    platform.sync().await.unwrap();
    let told = monitored.scrape().await.value(LAST_SYNC).unwrap();
    let after = Timestamp::now().as_duration().as_secs_f64();
    assert!((before..=after).contains(&told), "{before} {told} {after}");

    // What is read without a sync, or ended without being read, changes nothing.
    platform.resources_page("user", "", "").await.unwrap();
    platform.cleanup("").await.unwrap();
    platform.cleanup(SYNC).await.unwrap();
    assert_eq!(monitored.scrape().await.value(LAST_SYNC), Some(told));
}

/// The requests that a credential beside a token needs are counted and timed like all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_a_credential_are_counted() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    let file = file.to_str().unwrap();
    let (key, owner) = (KeyPair::rsa().unwrap(), sandbox.owner());
    std::fs::write(file, key.private_pem()).unwrap();

    let application = sandbox.register_application(ApplicationSpec::default(), key.public_pem());
    let (application, owner_id, url) = (application.unwrap(), owner.to_string(), sandbox.oauth_url());
    let fault = FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html);
    sandbox.faults().add(Fault::new(Endpoint::OAuthToken, fault).once());
    let exchanging = ConnectorProcess::monitored_without_token(
        &sandbox,
        &[
            "--oauth-client-id",
            &application,
            "--oauth-private-key-file",
            file,
            "--oauth-subject",
            &owner_id,
            "--oauth-url",
            &url,
        ],
    );
    let exchanged = |scrape: &Scrape| scrape.requests("token exchange", "200") == Some(1.0);
    let scrape = exchanging.scrape_until("an exchanged token", exchanged).await;
    assert_eq!(scrape.requests("token exchange", "502"), Some(1.0));
    let timed = scrape.value("rest_request_duration_seconds_count{endpoint=\"token exchange\"}");
    assert_eq!(timed, Some(2.0));

    let id = sandbox
        .mint_with_key(TokenSpec::owned_by(owner), key.public_pem())
        .unwrap();
    let id = id.to_string();
    let signing = ["--access-token-id", id.as_str(), "--private-key-file", file];
    let signing = ConnectorProcess::monitored_without_token(&sandbox, &signing);
    let scrape = signing.scrape().await;
    assert_eq!(scrape.requests("server clock", "200"), Some(1.0));
}
