//! The command `check`: its screen and its JSON as golden files, its exit codes, and that it always answers in time.

use std::process::Output;
use std::time::Duration;

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, LimitOptions, Options, Sandbox, TokenSpec};
use http::StatusCode;
use jiff::Timestamp;
use rstest::rstest;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::harness::{admin, non_admin};
use crate::support::process::connector;

/// Windows that began when the sandbox did, so that a test meets no end of one.
async fn sandbox() -> Sandbox {
    let limits = LimitOptions {
        organization_offset: Some(Duration::ZERO),
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    Sandbox::start(Options {
        limits,
        ..Options::default()
    })
    .await
    .unwrap()
}

async fn check(url: &str, slug: &str, token: &SecretString, arguments: &[&str]) -> Output {
    let mut command = connector(&["check"]);
    command
        .args(arguments)
        .env("BUILDKITE_REST_URL", url)
        .env("BUILDKITE_ORGANIZATION_SLUG", slug)
        .env("BUILDKITE_API_TOKEN", token.expose_secret());
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

async fn check_on(sandbox: &Sandbox, spec: TokenSpec, arguments: &[&str]) -> Output {
    check(sandbox.url(), sandbox.slug(), &sandbox.mint(spec), arguments).await
}

fn text(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The screen without what differs from run to run.
fn screen(output: &Output) -> String {
    let mut screen = text(output);
    while let Some(at) = screen
        .find(" s\n")
        .filter(|at| screen[..*at].ends_with(|c: char| c.is_ascii_digit()))
    {
        let from = screen[..at].rfind(' ').unwrap();
        screen.replace_range(from..at + 2, " (some) seconds");
    }
    screen
}

/// The document without what differs from run to run.
fn document(output: &Output) -> Value {
    let mut document: Value = serde_json::from_str(&text(output)).unwrap();
    for check in document["checks"].as_array_mut().unwrap() {
        for changing in ["checked_at", "latency_ms"] {
            if !check[changing].is_null() {
                check[changing] = "(redacted)".into();
            }
        }
    }
    for limit in document["rate_limits"].as_array_mut().unwrap() {
        limit["resets_in_seconds"] = "(redacted)".into();
    }
    document
}

#[tokio::test]
async fn all_is_well() {
    let sandbox = sandbox().await;
    let output = check_on(&sandbox, admin(&sandbox), &["--provisioning"]).await;
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(screen(&output));
}

#[tokio::test]
async fn one_scope_is_missing() {
    let sandbox = sandbox().await;
    let spec = admin(&sandbox).with_scopes(&["read_user", "read_organizations", "write_teams"]);
    let output = check_on(&sandbox, spec, &["--provisioning"]).await;
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(screen(&output));
}

#[tokio::test]
async fn writes_are_off_and_the_token_may_do_more_than_is_needed() {
    let sandbox = sandbox().await;
    let scopes = [
        "read_user",
        "read_organizations",
        "read_teams",
        "write_teams",
        "read_builds",
    ];
    let output = check_on(&sandbox, admin(&sandbox).with_scopes(&scopes), &[]).await;
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(screen(&output));
}

#[tokio::test]
async fn the_owner_is_not_an_admin() {
    let sandbox = sandbox().await;
    let output = check_on(&sandbox, non_admin(&sandbox), &["--provisioning"]).await;
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(screen(&output));
}

#[tokio::test]
async fn the_token_is_rejected() {
    let sandbox = sandbox().await;
    let token = sandbox.mint(admin(&sandbox));
    sandbox.revoke(&token);
    let output = check(sandbox.url(), sandbox.slug(), &token, &["--provisioning"]).await;
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(screen(&output));
}

#[tokio::test]
async fn buildkite_is_out_of_reach() {
    let token = SecretString::from("bkua_0123456789abcdef0123456789abcdef01234567");
    let output = check("http://127.0.0.1:9", "northwind-rail", &token, &["--provisioning"]).await;
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(screen(&output));
}

#[tokio::test]
async fn the_json_of_a_missing_scope_and_an_end_that_is_near() {
    let sandbox = sandbox().await;
    let mut spec = admin(&sandbox).with_scopes(&["read_user", "read_organizations", "read_teams", "graphql"]);
    spec.expires_at = Some(Timestamp::now() + jiff::SignedDuration::from_hours(30));
    let output = check_on(&sandbox, spec, &["--provisioning", "--format=json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let mut document = document(&output);
    document["credential"]["expires_at"] = "(redacted)".into();
    document["checks"][0]["summary"] = "(redacted)".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

#[rstest]
#[case("--protect-team=typo", "--protect-team names `typo`")]
#[case("--protect-user=typo@example.com", "--protect-user names typo@example.com")]
#[case("--audit-file=/dev/full", "/dev/full: it is a device, not a regular file")]
#[tokio::test]
async fn a_cause_that_blocks_every_change_is_a_failure(#[case] argument: &str, #[case] said: &str) {
    let sandbox = sandbox().await;
    let output = check_on(&sandbox, admin(&sandbox), &["--provisioning", argument]).await;
    assert_eq!(output.status.code(), Some(1));
    let screen = screen(&output);
    let is_told = screen.contains("✗ team_membership_management") && screen.contains(said);
    assert!(is_told, "{screen}");
    // With changes off, nothing of it is needed.
    let output = check_on(&sandbox, admin(&sandbox), &[argument]).await;
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn scopes_that_other_integrations_require_are_rows_and_decide_the_exit_code() {
    let sandbox = sandbox().await;
    let scopes = ["read_user", "read_organizations", "read_teams", "read_agents"];
    let spec = || admin(&sandbox).with_scopes(&scopes);
    let output = check_on(&sandbox, spec(), &["--require=read_agents"]).await;
    assert_eq!(output.status.code(), Some(0));
    let screen = text(&output);
    let row = format!("\n✓ {0:<28} {0:<19} declared and proved\n", "read_agents");
    assert!(screen.contains(&row), "{screen}");
    assert!(screen.contains("\nrequired       read_agents\n"), "{screen}");
    assert!(
        screen.contains("everything that is needed works") && !screen.contains("hint"),
        "{screen}"
    );

    let arguments = ["--require=read_agents,write_organization_invitations"];
    let output = check_on(&sandbox, spec(), &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let screen = text(&output);
    let row = "✗ write_organization_invitations write_organization_invitations the token lacks the scope \
               `write_organization_invitations` (so an integration that shares the token lacks it)";
    assert!(screen.contains(row), "{screen}");
    let row = format!("\n✓ {0:<30} {0:<30} declared and proved\n", "read_agents");
    assert!(screen.contains(&row), "{screen}");
}

#[tokio::test]
async fn degraded_is_good_enough() {
    let sandbox = sandbox().await;
    let arguments = ["--provisioning", "--partial-visibility=allow"];
    let output = check_on(&sandbox, non_admin(&sandbox), &arguments).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(screen(&output).contains("! team_listing"));
}

#[tokio::test]
async fn wrong_usage_is_another_code_and_one_sentence() {
    let token = SecretString::from("bkct_0123456789abcdef0123456789abcdef01234567");
    let output = check("http://127.0.0.1:9", "northwind-rail", &token, &[]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("a cluster agent token") && !said.contains("0123456789"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
}

#[tokio::test]
async fn a_pipe_gets_no_colours() {
    let sandbox = sandbox().await;
    let output = check_on(&sandbox, admin(&sandbox), &[]).await;
    assert!(!text(&output).contains('\u{1b}'));
}

#[rstest]
#[case::hangs(FaultKind::Hang)]
#[case::drips(FaultKind::Delay(Duration::from_millis(4_500)))]
#[case::fails(FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Html))]
#[tokio::test]
async fn the_command_ends_with_a_remedy_under_any_fault(#[case] kind: FaultKind) {
    let sandbox = sandbox().await;
    sandbox.faults().add(Fault::new(Endpoint::Any, kind));
    let output = check_on(&sandbox, admin(&sandbox), &["--provisioning"]).await;
    assert_eq!(output.status.code(), Some(1));
    let screen = screen(&output);
    assert!(screen.contains("what to do\n1. ") && !screen.contains('✗'), "{screen}");
}

#[rstest]
#[case::name("https://buildkite.invalid")]
#[case::tls("https://127.0.0.1:9")]
#[tokio::test]
async fn an_obstacle_on_the_way_to_buildkite_is_reported(#[case] url: &str) {
    let token = SecretString::from("bkua_0123456789abcdef0123456789abcdef01234567");
    let output = check(url, "northwind-rail", &token, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(screen(&output).contains("? authentication"), "{}", screen(&output));
}
