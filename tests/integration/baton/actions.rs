//! One action, and the schemas of the actions.

use std::process::Command;

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, Sandbox, TokenSpec};
use http::StatusCode;
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::linked::{Linked, printed};
use crate::export::job::ended;
use crate::support::{sandbox, sized};

/// A command with a token that has every scope.
fn command(linked: &Linked, sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes());
    let mut command = linked.on(sandbox, arguments);
    command
        .env("BATON_API_TOKEN", token.expose_secret())
        .env("BATON_AUDIT_FILE", linked.path("audit.jsonl"));
    command
}

/// What a command that ended well printed on standard output.
async fn json(mut command: Command) -> Value {
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{printed}");
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// The names of the schemas that are printed.
async fn schemas(arguments: &[&str]) -> Vec<String> {
    let linked = Linked::new();
    let listed = [&["--list-action-schemas"], arguments].concat();
    let listed = json(linked.command(&listed)).await;
    let schemas = listed["schemas"].as_array().cloned().unwrap_or_default();
    let names = schemas.iter().map(|schema| schema["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[tokio::test]
async fn the_schemas_are_those_that_the_settings_allow() {
    assert!(schemas(&[]).await.is_empty());
    assert!(schemas(&["--allow", "membership"]).await.is_empty());
    let of_teams = ["create_team", "update_team", "delete_team", "list_team_members"];
    let teams = ["--allow", "teams"];
    assert_eq!(schemas(&teams).await, [&of_teams[..], &["find_user"]].concat());
    let only = |of| [&teams[..], &["--list-action-schemas-resource-type", of]].concat();
    assert_eq!(schemas(&only("team")).await, of_teams);
    assert_eq!(schemas(&only("user")).await, ["find_user"]);
    assert!(schemas(&only("pipeline")).await.is_empty());
}

#[tokio::test]
async fn an_action_is_carried_out_printed_and_recorded() {
    let (sandbox, linked) = (sandbox(sized(1, 1, 3)).await, Linked::new());
    let create = [
        "--allow",
        "teams",
        "--invoke-action",
        "create_team",
        "--invoke-action-resource-type",
        "team",
        "--invoke-action-args",
        "{\"name\": \"Docs\", \"privacy\": \"secret\"}",
    ];
    let created = json(command(&linked, &sandbox, &create)).await;
    assert_eq!(created["success"], true);
    let id = sandbox.with_organization(|organization| {
        let mut teams = organization.teams().iter();
        teams.find(|team| team.name == "Docs").unwrap().id.to_string()
    });
    assert!(created["resource"].to_string().contains(&id), "{created}");
    let audit = std::fs::read_to_string(linked.path("audit.jsonl")).unwrap();
    for recorded in [
        "\"operation\":\"create_team\"",
        "\"outcome\":\"created\"",
        "\"caller\":\"baton-buildkite\"",
    ] {
        assert!(audit.contains(recorded), "{recorded}: {audit}");
    }
}

#[rstest]
#[case::unknown("bake_bread", "{}", 5, "there is no such action")]
#[case::not_allowed("rest_get", "{\"path\": \"/teams\"}", 9, "rest-read is not allowed")]
#[case::of_another_type("find_user", "{\"email\": \"ada@acme.example\"}", 5, "there is no such action")]
#[case::argument("create_team", "{\"title\": \"Docs\"}", 3, "title")]
#[case::no_object("create_team", "[]", 2, "--invoke-action-args")]
#[tokio::test]
async fn an_action_that_is_refused_ends_with_the_code_of_the_protocol_and_sends_nothing(
    #[case] action: &str,
    #[case] arguments: &str,
    #[case] code: i32,
    #[case] said: &str,
) {
    let (sandbox, linked) = (sandbox(sized(1, 1, 3)).await, Linked::new());
    let invoke = [
        "--allow",
        "teams",
        "--invoke-action",
        action,
        "--invoke-action-resource-type",
        if action == "rest_get" { "" } else { "team" },
        "--invoke-action-args",
        arguments,
    ];
    let problem = printed(ended(command(&linked, &sandbox, &invoke)).await, code);
    assert!(problem.contains(said), "{problem}");
    assert_eq!(sandbox.request_log().total(), 0);
}

#[tokio::test]
async fn a_change_that_the_settings_do_not_allow_is_recorded() {
    let (sandbox, linked) = (sandbox(sized(1, 1, 3)).await, Linked::new());
    let create = ["--allow", "membership", "--invoke-action", "create_team"];
    let problem = printed(ended(command(&linked, &sandbox, &create)).await, 9);
    assert!(problem.contains("teams is not allowed"), "{problem}");
    let audit = std::fs::read_to_string(linked.path("audit.jsonl")).unwrap();
    let line: Value = serde_json::from_str(&audit).unwrap();
    assert_eq!(
        (&line["operation"], &line["reason"]),
        (&"create_team".into(), &"PROVISIONING_DISABLED".into())
    );
}

#[tokio::test]
async fn an_action_that_fails_at_buildkite_ends_with_the_code_of_the_failure() {
    let (sandbox, linked) = (sandbox(sized(1, 1, 3)).await, Linked::new());
    let refused = FaultKind::Status(StatusCode::UNPROCESSABLE_ENTITY, BodyStyle::Message);
    sandbox.faults().add(Fault::new(Endpoint::CreateTeam, refused));
    let create = [
        "--invoke-action",
        "create_team",
        "--invoke-action-args",
        "{\"name\": \"Docs\"}",
    ];
    let create = [&["--allow", "teams"], &create[..]].concat();
    let problem = printed(ended(command(&linked, &sandbox, &create)).await, 9);
    assert!(problem.contains("create team"), "{problem}");
}

#[rstest]
#[case::arguments(&["--invoke-action-args", "{}"], "--invoke-action")]
#[case::resource_type(&["--invoke-action-resource-type", "team"], "--invoke-action")]
#[case::type_of_the_list(&["--list-action-schemas-resource-type", "team"], "--list-action-schemas")]
#[case::both(&["--invoke-action", "find_user", "--list-action-schemas"], "exclude each other")]
#[tokio::test]
async fn flags_that_contradict_each_other_are_refused(#[case] arguments: &[&str], #[case] said: &str) {
    let (sandbox, linked) = (sandbox(sized(1, 1, 3)).await, Linked::new());
    let problem = printed(ended(command(&linked, &sandbox, arguments)).await, 2);
    assert!(problem.contains(said), "{problem}");
    assert_eq!(sandbox.request_log().total(), 0);
}
