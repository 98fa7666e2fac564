//! Both rate limits, over the socket. A window of an hour stands still for the length of a test; where a window must
//! end, it is short and the next answer that passes is the condition.

use std::time::{Duration, Instant};

use buildkite_connector::sandbox::{
    Bucket, LimitOptions, Options, OrganizationHeaders, RateLimitAccess, ResetRounding, TokenSpec,
};
use http::StatusCode;
use rstest::rstest;

use crate::probe::{Probe, Reply};

const HOUR: Duration = Duration::from_secs(3600);

/// Ten a window for the organization, six for a user, half a second into windows of an hour.
fn limited() -> Options {
    let offset = Some(Duration::from_millis(500));
    let limits = LimitOptions {
        organization: Some(10),
        user: Some(6),
        window: HOUR,
        organization_offset: offset,
        user_offset: offset,
    };
    Options {
        limits,
        ..Options::default()
    }
}

fn remaining(reply: &Reply) -> (Option<&str>, Option<&str>) {
    (
        reply.header("RateLimit-Remaining"),
        reply.header("RateLimit-User-Remaining"),
    )
}

#[tokio::test]
async fn every_answer_of_the_organization_carries_both_sets_of_headers() {
    let probe = Probe::start(limited()).await;
    let reply = probe.get(&probe.path("teams")).await;
    let expected = [
        ("RateLimit-Scope", Some("rest")),
        ("RateLimit-Remaining", Some("9")),
        ("RateLimit-Limit", Some("10")),
        ("RateLimit-User-Scope", Some("rest_user")),
        ("RateLimit-User-Remaining", Some("5")),
        ("RateLimit-User-Limit", Some("6")),
        ("RateLimit-Warning", None),
        ("RateLimit-User-Warning", None),
    ];
    for (name, value) in expected {
        assert_eq!(reply.header(name), value, "{name}");
    }
    for name in ["RateLimit-Reset", "RateLimit-User-Reset"] {
        let reset: u64 = reply.header(name).unwrap().parse().unwrap();
        assert!((3_500..=3_600).contains(&reset), "{name}: {reset}");
    }
}

#[tokio::test]
async fn outside_the_organization_only_the_user_is_charged() {
    let probe = Probe::start(limited()).await;
    assert_eq!(remaining(&probe.get("/v2/user").await), (None, Some("5")));
    assert_eq!(
        remaining(&probe.get(&probe.path("teams")).await),
        (Some("9"), Some("4"))
    );
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.organization_headers = OrganizationHeaders::Present);
    assert_eq!(remaining(&probe.get("/v2/user").await), (Some("8"), Some("3")));
}

#[tokio::test]
async fn a_request_without_a_token_is_charged_nothing() {
    let probe = Probe::start(limited()).await;
    let reply = probe
        .send(http::Method::GET, &probe.path("teams"), "", None)
        .await
        .unwrap();
    assert_eq!(remaining(&reply), (None, None));
}

#[tokio::test]
async fn the_user_limit_refuses_with_five_fields_and_goes_below_zero() {
    let probe = Probe::start(limited()).await;
    for _ in 0..6 {
        assert_eq!(probe.get("/v2/user").await.status, StatusCode::OK);
    }
    assert_eq!(probe.sandbox.refused(Bucket::User), 0);
    probe.get("/v2/user").await;
    let reply = probe.get("/v2/user").await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.header("RateLimit-User-Remaining"), Some("-2"));
    assert!(reply.header("RateLimit-User-Warning").is_some());
    assert_eq!(reply.header("Retry-After"), None);
    let body = reply.json();
    assert_eq!(
        (&body["scope"], &body["limit"], &body["current"]),
        (&"rest_user".into(), &6.into(), &8.into())
    );
    assert!(body["message"].is_string() && body["reset"].is_u64());
    assert_eq!(
        (
            probe.sandbox.refused(Bucket::User),
            probe.sandbox.refused(Bucket::Organization)
        ),
        (2, 0)
    );
}

#[tokio::test]
async fn the_organization_limit_refuses_every_user() {
    let probe = Probe::start(limited()).await;
    probe.sandbox.consume(Bucket::Organization, 10);
    let reply = probe.get_as(&probe.token_of("priya"), &probe.path("teams")).await;
    assert_eq!(
        (reply.status, &reply.json()["scope"]),
        (StatusCode::TOO_MANY_REQUESTS, &"rest".into())
    );
    assert_eq!(probe.get("/v2/user").await.status, StatusCode::OK);
    assert_eq!(probe.sandbox.refused(Bucket::Organization), 1);
}

#[tokio::test]
async fn the_user_limit_follows_the_user_and_not_the_token() {
    let probe = Probe::start(limited()).await;
    let second = probe.sandbox.mint(TokenSpec::owned_by(probe.sandbox.owner()));
    probe.get("/v2/user").await;
    assert_eq!(
        probe
            .get_as(&second, "/v2/user")
            .await
            .header("RateLimit-User-Remaining"),
        Some("4")
    );
    assert_eq!(
        probe
            .get_as(&probe.token_of("priya"), "/v2/user")
            .await
            .header("RateLimit-User-Remaining"),
        Some("5")
    );
}

#[tokio::test]
async fn each_user_has_a_limit_of_their_own_and_the_organization_has_one_for_all() {
    let probe = Probe::start(limited()).await;
    let priya = probe.token_of("priya");
    probe.sandbox.set_user_limit(probe.person("priya"), 8);
    probe.sandbox.consume_user(probe.person("priya"), 5);
    let teams = probe.path("teams");
    let own = probe.get(&teams).await;
    let other = probe.get_as(&priya, &teams).await;
    let levels = |reply: &Reply| {
        let header = |name| reply.header(name).map(str::to_owned);
        [
            "RateLimit-Remaining",
            "RateLimit-User-Limit",
            "RateLimit-User-Remaining",
        ]
        .map(header)
    };
    assert_eq!(levels(&own).map(Option::unwrap), ["9", "6", "5"]);
    assert_eq!(levels(&other).map(Option::unwrap), ["8", "8", "2"]);
    let users: Vec<_> = probe.sandbox.requests().iter().map(|request| request.user).collect();
    assert_eq!(users, [Some(probe.sandbox.owner()), Some(probe.person("priya"))]);
}

#[tokio::test]
async fn a_warning_comes_with_the_last_request_that_passes() {
    let probe = Probe::start(limited()).await;
    probe.sandbox.consume(Bucket::User, 5);
    let reply = probe.get("/v2/user").await;
    assert_eq!(
        (reply.status, reply.header("RateLimit-User-Remaining")),
        (StatusCode::OK, Some("0"))
    );
    assert!(reply.header("RateLimit-User-Warning").is_some());
}

#[tokio::test]
async fn a_new_window_forgets_the_old_one() {
    let limits = LimitOptions {
        user: Some(1),
        window: Duration::from_millis(300),
        ..LimitOptions::default()
    };
    let probe = Probe::start(Options {
        limits,
        ..Options::default()
    })
    .await;
    probe.sandbox.consume(Bucket::User, 100);
    // Each refused request counts, and still the next window opens.
    let passed = async {
        while probe.get("/v2/user").await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), passed).await.unwrap();
}

#[rstest]
#[case(ResetRounding::Ceil, "3600")]
#[case(ResetRounding::Floor, "3599")]
#[tokio::test]
async fn a_reset_is_rounded_by_behavior(#[case] rounding: ResetRounding, #[case] reset: &str) {
    loop {
        let begun = Instant::now();
        let mut options = limited();
        options.limits.user_offset = Some(Duration::from_millis(1));
        options.behaviors.reset_rounding = rounding;
        let probe = Probe::start(options).await;
        let reply = probe.get("/v2/user").await;
        // A moment into the window; where the machine was so slow that it was more, it says nothing.
        if begun.elapsed() < Duration::from_millis(900) {
            assert_eq!(reply.header("RateLimit-User-Reset"), Some(reset));
            return;
        }
    }
}

#[tokio::test]
async fn without_limits_there_are_no_headers() {
    let probe = Probe::example().await;
    assert_eq!(remaining(&probe.get(&probe.path("teams")).await), (None, None));
}

#[tokio::test]
async fn the_rate_limit_endpoint_reports_only_the_organization() {
    let probe = Probe::start(limited()).await;
    let rest = probe.get(&probe.path("rate_limit")).await.json()["scopes"]["rest"].clone();
    assert_eq!(
        (&rest["limit"], &rest["current"], &rest["enforced"]),
        (&10.into(), &1.into(), &true.into())
    );
    assert!(rest["reset"].is_u64() && rest["reset_at"].as_str().unwrap().ends_with('Z'));
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.rate_limit_access = RateLimitAccess::Refused);
    let reply = probe.get(&probe.path("rate_limit")).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.message().contains("read_accounts"));
}
