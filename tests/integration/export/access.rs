//! `grant` and `revoke` of access to a pipeline, with a team as the principal.

use buildkite_connector::sandbox::{Pipeline, PipelineLevel, TokenSpec};
use rstest::rstest;
use secrecy::ExposeSecret;

use super::changes::{done, said};
use super::job::on;
use crate::support::{sandbox, sized};

#[tokio::test]
async fn a_team_is_given_a_pipeline_by_their_slugs() {
    let sandbox = sandbox(sized(2, 3, 12)).await;
    let pipeline = sandbox.edit(|organization| organization.add_pipeline(Pipeline::new("deploy", "Deploy")));
    let team = sandbox.with_organization(|organization| organization.teams()[0].id);
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes());
    let change = |operation: &str, level: &str, arguments: &[&str]| {
        let named = [
            "--resource",
            "pipeline:deploy",
            "--principal",
            "team:team-0",
            "--role",
            level,
        ];
        let mut command = on(&sandbox, &[operation, "--include", "pipeline"]);
        command
            .args(named)
            .args(arguments)
            .env("BUILDKITE_API_TOKEN", token.expose_secret());
        done(command)
    };
    let held = || sandbox.with_organization(|organization| organization.team(team).unwrap().pipeline_level(pipeline));
    let (stdout, stderr, code) = change("grant", "read_only", &["--dry-run"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("would be    granted (read_only)") && held().is_none(),
        "{stdout}"
    );
    let (stdout, stderr, code) = change("grant", "read_only", &["--allow", "access"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.starts_with(&format!("pipeline    deploy ({pipeline})\nteam        {team}\n")),
        "{stdout}"
    );
    assert_eq!(held(), Some(PipelineLevel::ReadOnly));
    let (_, stderr, code) = change("revoke", "read_only", &[]).await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(said(&stderr).contains("--allow"), "{stderr}");
    let (stdout, stderr, code) = change("revoke", "read_only", &["--allow", "access"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("outcome     revoked (read_only)") && held().is_none(),
        "{stdout}"
    );
}

#[rstest]
#[case(&["--resource", "pipeline:deploy", "--role", "owner", "--principal", "team:x"], "a role is `read_only` or")]
#[case(&["--resource", "pipeline:deploy", "--role", "read_only", "--user", "ada@example.com"], "carried by teams")]
#[case(&["--resource", "registry:gems", "--role", "access", "--principal", "team:x"], "--resource")]
#[case(&["--resource", "pipeline:deploy", "--role", "read_only", "--principal", "x"], "--principal")]
#[tokio::test]
async fn an_invalid_resource_level_or_principal_is_a_usage_error(#[case] arguments: &[&str], #[case] named: &str) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let mut command = on(&sandbox, &["grant"]);
    command.args(arguments);
    let (_, stderr, code) = done(command).await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains(named), "{stderr}");
    assert_eq!(sandbox.request_log().total(), 0);
}
