//! The configuration file changes while the process serves.

use std::collections::BTreeSet;

use buildkite_connector::proto::c1::connector::v2::BatonActionStatus;
use buildkite_connector::proto::connector::health::v1::ScopeState::{Degraded, Healthy};
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate, TeamRole, TokenSpec};
use rstest::rstest;
use serde_json::json;
use tonic::Code;

use super::{
    Files, apply, assert_not_allowed, assert_reaches, assert_refused, client, configuration, health, organization,
    outsider, people, teams, two, users,
};
use crate::actions::{invoke, status};
use crate::support::{Caller, ConnectorProcess, Platform, until, until_async, within};

/// Has the files read now; returns the logged error of the configuration.
fn refuse(process: &mut ConnectorProcess) -> String {
    process.signal("HUP");
    let event = process.event("configuration: the changed files cannot be used, and the old ones stay: ");
    event["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_begins_without_a_restart() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let first = files.connection("northwind", &northwind, "");
    files.configure(&first);
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    assert_reaches(&caller, &northwind).await;
    assert_not_allowed(&caller.clone().about("acme")).await;

    files.configure(&(first + &files.connection("acme", &acme, "")));
    // Without a signal: the file is read every second.
    process.event("configuration: the changed files are in use");
    assert_reaches(&caller.clone().about("acme"), &acme).await;
    assert_reaches(&caller.clone().about("northwind"), &northwind).await;
    assert_refused(&caller, Code::InvalidArgument, "CONNECTION_REQUIRED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_changed_connection_begins_anew_and_the_others_keep_what_they_have() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let token = northwind.mint(TokenSpec::owned_by(northwind.owner()).with_all_scopes());
    let kept = files.connection_with(
        "northwind",
        &northwind,
        &token,
        "allow = \"teams\"\naudit_file = \"audit\"",
    );
    files.configure(&(kept.clone() + &files.connection("acme", &acme, "")));
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    let (of_northwind, of_acme) = (caller.clone().about("northwind"), caller.about("acme"));
    let types = async |caller: &Caller| BTreeSet::from_iter(Platform::new(caller).types().await.unwrap());
    let expected = |types: &[&str]| types.iter().map(|&id| id.to_owned()).collect();
    assert_eq!(types(&of_acme).await, expected(&["team", "user"]));
    let gate = Gate::default();
    let held = Fault::new(Endpoint::UpdateTeam, FaultKind::Held(gate.clone()));
    northwind.faults().add(held);
    let team = json!({ "resource_type_id": "team", "resource_id": teams(&northwind)[0] });
    let begun = invoke(
        &of_northwind,
        "update_team",
        json!({"team": team, "description": "Later"}),
        0,
    );
    let begun = begun.await.unwrap();
    assert_eq!(begun.status, BatonActionStatus::Running);

    files.configure(&(kept + &files.connection("acme", &acme, "include = [\"pipeline\"]")));
    apply(&mut process);
    assert_eq!(types(&of_acme).await, expected(&["pipeline", "team", "user"]));
    assert_eq!(types(&of_northwind).await, expected(&["team", "user"]));
    gate.open();
    until_async("the end of the action", async || {
        status(&of_northwind, &begun.id).await.unwrap().status == BatonActionStatus::Complete
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_removed_connection_finishes_what_it_has() {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    let top = "provisioning = true\naudit_file = \"audit.jsonl\"\n";
    files.configure(&(top.to_owned() + &files.connections(&sandboxes)));
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    let of_acme = caller.clone().about("acme");
    let gate = Gate::default();
    for endpoint in [Endpoint::OrganizationMembers, Endpoint::AddTeamMember] {
        acme.faults().add(Fault::new(endpoint, FaultKind::Held(gate.clone())));
    }
    let reader = of_acme.clone();
    let reading = tokio::spawn(async move { users(&reader).await });
    let ((team, user), writer) = (outsider(acme), Platform::new(&of_acme));
    let granting = {
        let (team, user) = (team.clone(), user.clone());
        tokio::spawn(async move { writer.grant(&team, "member", &user).await })
    };
    let log = acme.request_log();
    until(|| log.count(Endpoint::OrganizationMembers) > 0 && log.count(Endpoint::AddTeamMember) > 0).await;

    files.configure(&(top.to_owned() + &files.connection("northwind", northwind, "")));
    apply(&mut process);
    assert_not_allowed(&of_acme).await;
    // The other is the only one now.
    assert_reaches(&caller, northwind).await;
    gate.open();
    let read = within("the end of the list", reading).await.unwrap();
    assert_eq!(read.unwrap(), people(acme));
    within("the end of the grant", granting).await.unwrap().unwrap();
    let role = acme.with_organization(|organization| {
        let team = organization.team(team.parse().unwrap()).unwrap();
        team.member(user.parse().unwrap()).map(|row| row.role)
    });
    assert_eq!(role, Some(TeamRole::Member));
    let outcome = files.read("audit.jsonl");
    assert!(outcome.contains("\"outcome\":\"granted\""), "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_end_of_the_process_waits_for_the_changes_of_a_removed_connection() {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    let top = "allow = \"teams\"\naudit_file = \"audit.jsonl\"\n";
    files.configure(&(top.to_owned() + &files.connections(&sandboxes)));
    let mut process = files.serve(&[]);
    let of_acme = client(&process).await.about("acme");
    let gate = Gate::default();
    acme.faults()
        .add(Fault::new(Endpoint::UpdateTeam, FaultKind::Held(gate.clone())));
    let team = json!({ "resource_type_id": "team", "resource_id": teams(acme)[0] });
    let arguments = json!({"team": team, "description": "Later"});
    // No call waits for the action.
    let begun = invoke(&of_acme, "update_team", arguments, 0).await.unwrap();
    assert_eq!(begun.status, BatonActionStatus::Running);
    let log = acme.request_log();
    until(|| log.count(Endpoint::UpdateTeam) > 0).await;
    files.configure(&(top.to_owned() + &files.connection("northwind", northwind, "")));
    apply(&mut process);
    assert_not_allowed(&of_acme).await;
    drop(of_acme);
    process.signal("TERM");
    process.event("ending: ");
    gate.open();
    assert!(process.ended().status.success());
    let outcome = files.read("audit.jsonl");
    assert!(outcome.contains("\"outcome\":\"changed\""), "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_is_wrong_is_refused_whole_until_it_is_mended() {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    let right = files.connections(&sandboxes);
    files.configure(&right);
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    let callers = ["northwind", "acme"].map(|name| caller.clone().about(name));
    let added = files.connection("umbrella", northwind, "");
    let line = 1 + (added.clone() + &right).lines().count();
    let wrong = [
        ("color = true\n", "color: there is no such setting"),
        ("read_ahead = \"many\"\n", "read_ahead: "),
        ("[", "the file is no TOML"),
        (
            "[connection.arctic]\norganization = \"arctic\"\n",
            "[connection.arctic]: BUILDKITE_API_TOKEN",
        ),
        (
            "[connection.arctic]\norganization = \"arctic\"\napi_token_file = \"absent\"\n",
            "[connection.arctic]: --api-token-file",
        ),
    ];
    for (end, problem) in wrong {
        files.configure(&format!("{added}{right}{end}"));
        let logged = refuse(&mut process);
        let place = format!("{}, line {line}: ", files.path("connector.toml").display());
        assert!(logged.contains(&place) && logged.contains(problem), "{logged}");
        for (caller, sandbox) in callers.iter().zip([northwind, acme]) {
            let check = configuration(caller).await;
            assert_eq!((check.state(), &*check.scope), (Degraded, ""));
            assert_eq!(check.summary, format!("{place}cannot be used: see the log"));
            assert_eq!(
                check.remedy,
                "correct the file; until then the settings that were read before stay in force"
            );
            assert_eq!(health(caller, true).await.overall(), Degraded);
            assert_reaches(caller, sandbox).await;
        }
        assert_not_allowed(&caller.clone().about("umbrella")).await;
    }
    std::fs::remove_file(files.path("connector.toml")).unwrap();
    let logged = refuse(&mut process);
    assert!(logged.contains("connector.toml: cannot be read"), "{logged}");
    let check = configuration(&callers[0]).await;
    let summary = format!(
        "{}: cannot be used: see the log",
        files.path("connector.toml").display()
    );
    assert_eq!(check.summary, summary);

    files.configure(&(right + &added));
    apply(&mut process);
    for caller in &callers {
        let check = configuration(caller).await;
        assert_eq!((check.state(), &*check.remedy), (Healthy, ""));
        assert_eq!(health(caller, false).await.overall(), Healthy);
    }
    assert_reaches(&caller.about("umbrella"), northwind).await;
}

#[rstest]
#[case::a_secret("api_token_file = \"secrets/acme\"", "/secrets/acme")]
#[case::a_value("read_ahead = \"acme\"", "read_ahead")]
#[case::a_name_of_a_credential(
    "[[connection.acme.credential]]\nname = \"of-acme\"\napi_token_file = \"secrets/acme\"",
    "credential `of-acme`"
)]
#[case::another_organization("organization = \"acme\"", "line ")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_health_of_a_connection_names_nothing_of_another(#[case] keys: &str, #[case] logged: &str) {
    let ([northwind, _], files) = (two().await, Files::new());
    let right = files.connection("northwind", &northwind, "");
    files.configure(&right);
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    files.configure(&format!(
        "{right}[connection.acme]\norganization = \"acme-inc\"\n{keys}\n"
    ));
    let refused = refuse(&mut process);
    assert!(refused.contains(logged), "{refused}");
    let report = health(&caller, true).await;
    assert_eq!(report.overall(), Degraded);
    let report = format!("{report:?}");
    let path = files.path("connector.toml").display().to_string();
    assert!(report.contains(&path), "{report}");
    let report = report.replace(&path, "");
    for hidden in ["acme", "secrets", "read_ahead"] {
        assert!(!report.contains(hidden), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_only_a_start_can_take_waits_for_it() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let connection = files.connection("northwind", &northwind, "");
    let with = |top: &str| format!("{top}\n{connection}");
    files.configure(&with("listen = \"127.0.0.1:0\""));
    let mut process = ConnectorProcess::start(files.command(&["serve"]));
    process.address();
    let caller = client(&process).await;
    assert_eq!(configuration(&caller).await.state(), Healthy);

    let others = "listen = \"127.0.0.1:1\"\nlog_format = \"text\"\ndrain = \"1s\"";
    files.configure(&(with(others) + &files.connection("acme", &acme, "")));
    apply(&mut process);
    for (name, sandbox) in [("northwind", &northwind), ("acme", &acme)] {
        let caller = caller.clone().about(name);
        let check = configuration(&caller).await;
        assert_eq!(
            (check.state(), check.summary, &*check.remedy),
            (
                Degraded,
                format!(
                    "{}: `drain`, `listen`, `log_format` changed since the start",
                    files.path("connector.toml").display()
                ),
                "restart the connector to apply it"
            )
        );
        // The rest of the file is in force.
        assert_reaches(&caller, sandbox).await;
    }
    files.configure(&with("listen = \"127.0.0.1:0\""));
    apply(&mut process);
    assert_eq!(configuration(&caller).await.state(), Healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flag_that_wins_over_the_file_needs_no_restart() {
    let ([northwind, _], files) = (two().await, Files::new());
    let connection = files.connection("northwind", &northwind, "");
    files.configure(&connection);
    let mut process = files.serve(&[]);
    files.configure(&format!("listen = \"127.0.0.1:1\"\n{connection}"));
    apply(&mut process);
    let caller = client(&process).await;
    assert_eq!(configuration(&caller).await.state(), Healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_limit_of_calls_applies_at_once() {
    let ([northwind, _], files) = (two().await, Files::new());
    let connection = files.connection("northwind", &northwind, "");
    files.configure(&connection);
    let mut process = files.serve(&[]);
    let platform = Platform::new(client(&process).await);
    for (limit, is_limited) in [("1", true), ("0", false)] {
        files.configure(&format!("calls_per_second = {limit}\n{connection}"));
        apply(&mut process);
        if is_limited {
            until_async("a call above the limit", async || {
                let refused = platform.types().await.err();
                refused.is_some_and(|status| crate::support::details(&status).reason == "OVERLOADED")
            })
            .await;
        } else {
            for _ in 0..20 {
                platform.types().await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_without_names_may_name_connections_later() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let named = files.connection("acme", &acme, "");
    let table = files.connection("northwind", &northwind, "");
    let unnamed = table
        .lines()
        .skip(1)
        .fold(String::new(), |text, line| text + line + "\n");
    files.configure(&unnamed);
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    assert_reaches(&caller, &northwind).await;
    assert_not_allowed(&caller.clone().about("northwind")).await;

    files.configure(&(table + &named));
    apply(&mut process);
    assert_reaches(&caller.clone().about("northwind"), &northwind).await;
    assert_reaches(&caller.clone().about("acme"), &acme).await;

    files.configure(&unnamed);
    apply(&mut process);
    assert_reaches(&caller, &northwind).await;
    assert_not_allowed(&caller.about("acme")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_organization_of_the_command_line_refuses_named_connections_later() {
    let (northwind, files) = (organization("northwind-rail", 1).await, Files::new());
    files.configure("");
    let table = files.connection("northwind", &northwind, "");
    let mut command = files.command(&["serve", "--listen", "127.0.0.1:0"]);
    crate::support::process::set_up(&mut command, &northwind, northwind.token());
    let mut process = ConnectorProcess::start(command);
    process.address();
    let caller = client(&process).await;
    assert_reaches(&caller, &northwind).await;
    files.configure(&table);
    let logged = refuse(&mut process);
    assert!(
        logged.contains("--organization (BUILDKITE_ORGANIZATION_SLUG): "),
        "{logged}"
    );
    assert_eq!(configuration(&caller).await.state(), Degraded);
    assert_reaches(&caller, &northwind).await;
}
