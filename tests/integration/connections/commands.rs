//! Commands for one connection of several, and `check` for all.

use std::process::Output;

use buildkite_connector::sandbox::{Sandbox, TEAM_SCOPES, TokenSpec};
use rstest::rstest;
use serde_json::Value;

use super::{Files, outsider, people, run, two};
use crate::baton::linked::Linked;
use crate::support::process::connector;
use crate::support::runner::{INHERIT, Runner};

fn text(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&text(output)).unwrap()
}

/// A file with `northwind`, whose token lacks `read_teams`, and `acme`.
fn one_lacks_a_scope(files: &Files, [northwind, acme]: &[Sandbox; 2]) {
    let scopes: Vec<&str> = TEAM_SCOPES.into_iter().filter(|scope| *scope != "read_teams").collect();
    let token = northwind.mint(TokenSpec::owned_by(northwind.owner()).with_scopes(&scopes));
    let tables = [
        files.connection_with("northwind", northwind, &token, ""),
        files.connection("acme", acme, ""),
    ];
    files.configure(&tables.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_prints_a_section_for_each_connection() {
    let (sandboxes, files) = (two().await, Files::new());
    one_lacks_a_scope(&files, &sandboxes);
    let output = files.run(&["check"]).await;
    assert_eq!(output.status.code(), Some(1));
    let screen = text(&output);
    let (first, second) = screen.split_once("\n\n[connection.northwind]\n").expect(&screen);
    assert!(first.starts_with("[connection.acme]\n"), "{screen}");
    assert!(
        first.contains("organization   acme-inc") && first.ends_with("everything that is needed works"),
        "{screen}"
    );
    assert!(
        second.contains("organization   northwind-rail") && second.contains("\nwhat to do\n"),
        "{screen}"
    );

    let alone = files.run(&["check", "--connection", "acme"]).await;
    assert_eq!(alone.status.code(), Some(0));
    let alone = text(&alone);
    assert!(
        alone.contains("organization   acme-inc") && !alone.contains("[connection."),
        "{alone}"
    );
    let sick = files.run(&["check", "--connection", "northwind"]).await;
    assert_eq!(sick.status.code(), Some(1));
    assert!(text(&sick).contains("organization   northwind-rail"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_document_of_one_connection_is_a_section_of_several() {
    let (sandboxes, files) = (two().await, Files::new());
    one_lacks_a_scope(&files, &sandboxes);
    let arguments = ["check", "--format", "json"];
    let all = files.run(&arguments).await;
    assert_eq!(all.status.code(), Some(1));
    let all = json(&all);
    assert_eq!(all["overall"], "UNHEALTHY");
    let sections = all["connections"].as_array().unwrap();
    assert_eq!(all.as_object().unwrap().len(), 2);
    let named: Vec<_> = sections
        .iter()
        .map(|section| (&section["name"], &section["organization"], &section["overall"]))
        .map(|fields| <[&Value; 3]>::from(fields).map(|field| field.as_str().unwrap()))
        .collect();
    assert_eq!(
        named,
        [
            ["acme", "acme-inc", "HEALTHY"],
            ["northwind", "northwind-rail", "UNHEALTHY"]
        ]
    );

    let keys = |document: &Value| document.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let one = json(&files.run(&[&arguments[..], &["--connection", "acme"]].concat()).await);
    let mut of_section = keys(&sections[0]);
    of_section.retain(|key| key != "name");
    assert_eq!(keys(&one), of_section);
    assert_eq!(one["organization"], "acme-inc");
    // A single connection of the file is printed as without a file.
    files.configure(&files.connection("acme", &sandboxes[1], ""));
    assert_eq!(keys(&json(&files.run(&arguments).await)), of_section);
}

/// What a command says that needs one connection.
const GIVE_ONE: &str = "--connection (BUILDKITE_CONNECTOR_CONNECTION): give one of the connections `acme`, `northwind`";

#[rstest]
#[case(&["sync", "--output", "access.c1z"])]
#[case(&["list", "users"])]
#[case(&["grant", "--team", "security", "--role", "member", "--user", "someone@example.com"])]
#[case(&["revoke", "--team", "security", "--role", "member", "--user", "someone@example.com"])]
#[case(&["disconnect", "--yes"])]
#[case(&["service"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_command_for_one_connection_needs_its_name(#[case] arguments: &[&str]) {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    assert_eq!(files.refusal(arguments).await, GIVE_ONE);
    let absent = [arguments, &["--connection", "arctic"]].concat();
    assert_eq!(
        files.refusal(&absent).await,
        "--connection (BUILDKITE_CONNECTOR_CONNECTION): there is no connection `arctic`: give one of `acme`, `northwind`"
    );
    let invalid = [arguments, &["--connection", "Arctic Rail"]].concat();
    assert_eq!(
        files.refusal(&invalid).await,
        "--connection (BUILDKITE_CONNECTOR_CONNECTION): a connection's name is 1 to 63 lower-case letters, digits and hyphens"
    );
    for sandbox in &sandboxes {
        assert_eq!(sandbox.request_log().total(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn processes_that_hosts_start_need_its_name_too() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    let mut plugin = files.command(&["plugin"]);
    plugin.env("CONNECTOR_PLUGIN", "c1.connector.v2");
    let baton = Linked::new();
    let mut baton = baton.command(&[]);
    baton.env("BUILDKITE_CONNECTOR_CONFIG", files.path("connector.toml"));
    for command in [plugin, baton] {
        let output = run(command).await;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(printed.contains(GIVE_ONE), "{printed}");
    }

    let runner = Runner::new().await;
    let mut child = runner.shell(INHERIT, &["_connector-service"]);
    for variable in [
        "BUILDKITE_ORGANIZATION_SLUG",
        "BUILDKITE_API_TOKEN",
        "BUILDKITE_REST_URL",
    ] {
        child.env_remove(variable);
    }
    child.env("BUILDKITE_CONNECTOR_CONFIG", files.path("connector.toml"));
    let (running, _input) = runner.start(child, &runner.line()).await;
    let ended = tokio::task::spawn_blocking(|| running.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(2), "{:#?}", ended.printed);
    assert!(
        ended.printed.iter().any(|line| line.contains(GIVE_ONE)),
        "{:#?}",
        ended.printed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_command_works_on_the_connection_that_is_named() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&("provisioning = true\n".to_owned() + &files.connections(&sandboxes)));
    for (name, sandbox) in ["northwind", "acme"].iter().zip(&sandboxes) {
        let listed = files
            .run(&["list", "users", "--connection", name, "--format", "json"])
            .await;
        assert_eq!(listed.status.code(), Some(0), "{listed:?}");
        let listed = text(&listed);
        assert!(people(sandbox).iter().all(|id| listed.contains(id)), "{listed}");
        let output = files.path(&format!("{name}.jsonl"));
        let synced = files
            .run(&["sync", "--connection", name, "--output", output.to_str().unwrap()])
            .await;
        assert_eq!(synced.status.code(), Some(0), "{synced:?}");
        let synced = files.read(&format!("{name}.jsonl"));
        assert!(people(sandbox).iter().all(|id| synced.contains(id)));
    }
    let [northwind, acme] = &sandboxes;
    let (team, user) = outsider(acme);
    // The variable names it as well.
    let mut command = files.command(&["grant", "--team", &team, "--role", "member", "--user", &user]);
    command.env("BUILDKITE_CONNECTOR_CONNECTION", "acme");
    let granted = run(command).await;
    assert_eq!(granted.status.code(), Some(0), "{granted:?}");
    let is_member = |sandbox: &Sandbox| {
        sandbox.with_organization(|organization| {
            let teams = organization.teams().iter();
            teams
                .filter(|team| team.member(user.parse().unwrap()).is_some())
                .count()
        })
    };
    assert!(is_member(acme) > 0 && is_member(northwind) == 0);
}

#[rstest]
#[case(&["check", "--sandbox"])]
#[case(&["serve", "--sandbox", "--listen", "127.0.0.1:0"])]
#[case(&["list", "users", "--sandbox", "--connection", "acme"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sandbox_is_refused_together_with_named_connections(#[case] arguments: &[&str]) {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    assert_eq!(
        files.refusal(arguments).await,
        "the sandbox has an organization and a token of its own, and `acme` has others: leave --sandbox out, or give a configuration \
         file that names no connection"
    );
    files.configure("read_ahead = 1\n");
    if arguments[0] == "check" {
        assert_eq!(files.run(arguments).await.status.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_file_no_connection_has_a_name() {
    let mut command = connector(&["list", "users", "--connection", "acme"]);
    command
        .env("BUILDKITE_ORGANIZATION_SLUG", "acme-inc")
        .env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef");
    assert_eq!(
        super::refusal(command).await,
        "--connection (BUILDKITE_CONNECTOR_CONNECTION): no configuration file names a connection: leave this out, or give --config"
    );
}
