//! What the configuration file may say, and what wins.

use rstest::rstest;
use serde_json::Value;
use tonic::Code;

use super::{Files, assert_reaches, client, outsider, refusal, run, teams, two};
use crate::connector::provisioning::reason;
use crate::support::{ConnectorProcess, Platform};

/// The refusal of a file by `check`, without the path that it begins with.
async fn refused(files: &Files, text: &str) -> String {
    files.configure(text);
    let sentence = files.refusal(&["check"]).await;
    let path = files.path("connector.toml").display().to_string();
    sentence.strip_prefix(&path).expect(&sentence).to_owned()
}

#[rstest]
#[case::nearest(
    "organisation = \"acme\"",
    ", line 1: organisation: there is no such setting; the nearest is `organization`"
)]
#[case::nearest_of_the_top(
    "\n\nlissen = \"127.0.0.1:1\"",
    ", line 3: lissen: there is no such setting; the nearest is `listen`"
)]
#[case::with_hyphens(
    "api-url = \"http://127.0.0.1:1\"",
    ", line 1: api-url: there is no such setting; the nearest is `api_url`"
)]
#[case::nearest_in_a_connection(
    "[connection.acme]\norganization = \"acme\"\nprotect_teams = \"a\"",
    ", line 3: protect_teams: there is no such setting; the nearest is `protect_team`"
)]
#[case::secret(
    "[connection.acme]\napi_token = \"bkua_secret\"",
    ", line 2: api_token: a secret does not stand in this file: give the path of a file that holds it as `api_token_file`"
)]
#[case::secret_at_the_top(
    "api_token = \"bkua_secret\"",
    ", line 1: api_token: a secret does not stand in this file: give the path of a file that holds it as `api_token_file`"
)]
#[case::secret_key(
    "private_key = \"-----BEGIN\"",
    ", line 1: private_key: a secret does not stand in this file: give the path of a file that holds it as `private_key_file`"
)]
#[case::of_the_top(
    "[connection.acme]\norganization = \"acme\"\nlisten = \"127.0.0.1:1\"",
    ", line 3: listen: it stands at the top of the file, above the connections"
)]
#[case::callers(
    "[connection.acme]\ncallers = \"a\"",
    ", line 2: callers: it stands at the top of the file, above the connections"
)]
#[case::limit(
    "[connection.acme]\ncalls_per_second = 1",
    ", line 2: calls_per_second: it stands at the top of the file, above the connections"
)]
#[case::itself(
    "config = \"other.toml\"",
    ", line 1: config: there is no such setting; the nearest is "
)]
#[case::upper_case(
    "[connection.Acme]\norganization = \"acme\"",
    ", line 1: `Acme`: a connection's name is 1 to 63 lower-case letters, digits and hyphens"
)]
#[case::underscore(
    "\n[connection.north_wind]\norganization = \"acme\"",
    ", line 2: `north_wind`: a connection's name is 1 to 63 lower-case letters, digits and hyphens"
)]
#[case::no_name(
    "[connection.\"\"]",
    ", line 1: ``: a connection's name is 1 to 63 lower-case letters, digits and hyphens"
)]
#[case::no_table(
    "connection = 1",
    ", line 1: `connection` holds tables, one for each connection: write `[connection.NAME]`"
)]
#[case::value_for_a_table("[connection]\nacme = 1", ", line 2: `acme` is no table: write `[connection.acme]`")]
#[case::wrong_value("read_ahead = \"many\"", ", line 1: read_ahead: give ")]
#[case::wrong_type("read_ahead = [1]", ", line 1: read_ahead: give one value, not a list")]
#[case::a_float("read_ahead = 1.5", ", line 1: read_ahead: give a text, a number, `true` or `false`")]
#[case::a_table("[include]\na = 1", ", line 1: include: give a text or a list of texts")]
#[case::wrong_part("include = [\"pipeline\", \"horse\"]", ", line 1: include: ")]
#[case::twice("read_ahead = 1\nread_ahead = 2", ", line 2: the file is no TOML: ")]
#[case::no_toml("read_ahead", ", line 1: the file is no TOML: ")]
#[case::no_organization(
    "[connection.acme]\nread_ahead = 1",
    ", line 1: [connection.acme]: --organization (BUILDKITE_ORGANIZATION_SLUG): "
)]
#[case::of_another_command("teams = 3", ", line 1: teams: there is no such setting; the nearest is ")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_file_is_refused_with_its_line(#[case] text: &str, #[case] expected: &str) {
    let files = Files::new();
    let sentence = refused(&files, text).await;
    assert!(sentence.starts_with(expected), "{sentence}");
    assert!(!sentence.contains("bkua_") && !sentence.contains("BEGIN"), "{sentence}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_cannot_be_read_is_refused() {
    let files = Files::new();
    let sentence = files.refusal(&["check"]).await;
    let path = files.path("connector.toml").display().to_string();
    assert!(sentence.starts_with(&format!("{path}: cannot be read (")), "{sentence}");
}

#[rstest]
#[case::by_a_flag(&["--organization", "other"], &[], "--organization (BUILDKITE_ORGANIZATION_SLUG)")]
#[case::by_a_variable(&[], &[("BUILDKITE_ORGANIZATION_SLUG", "other")], "--organization (BUILDKITE_ORGANIZATION_SLUG)")]
#[case::a_token_file(&["--api-token-file", "/other"], &[], "--api-token-file (BUILDKITE_API_TOKEN_FILE)")]
#[case::a_token(&[], &[("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef")], "BUILDKITE_API_TOKEN")]
#[case::a_key(
    &["--private-key-file", "/other"], &[],
    "--private-key-file (BUILDKITE_CONNECTOR_PRIVATE_KEY_FILE)"
)]
#[case::an_application(
    &[], &[("BUILDKITE_CONNECTOR_OAUTH_CLIENT_ID", "other")],
    "--oauth-client-id (BUILDKITE_CONNECTOR_OAUTH_CLIENT_ID)"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_organization_or_a_credential_of_the_process_is_refused(
    #[case] arguments: &[&str],
    #[case] variables: &[(&str, &str)],
    #[case] setting: &str,
) {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    for command in ["serve", "check"] {
        let mut command = files.command(&[&[command], arguments].concat());
        command.envs(variables.iter().copied());
        let sentence = refusal(command).await;
        assert!(sentence.starts_with(&format!("{setting}: ")), "{sentence}");
        assert!(sentence.ends_with(": leave it out"), "{sentence}");
    }
}

/// The scopes that the connections require for others, by the names of the connections.
async fn required(files: &Files, arguments: &[&str], variables: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
    let mut command = files.command(&[&["check", "--format", "json"], arguments].concat());
    command.envs(variables.iter().copied());
    let document: Value = serde_json::from_slice(&run(command).await.stdout).unwrap();
    let scopes = |section: &Value| {
        let checks = section["checks"].as_array().unwrap().iter();
        let scopes = checks.filter_map(|check| check["scope"].as_str());
        let others = ["read_builds", "read_clusters", "read_suites"];
        scopes
            .filter(|scope| others.contains(scope))
            .map(str::to_owned)
            .collect()
    };
    let sections = document["connections"].as_array().unwrap().iter();
    sections
        .map(|section| (section["name"].as_str().unwrap().to_owned(), scopes(section)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn flags_win_over_variables_and_the_top_and_never_over_a_connection() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let tables = [
        "require = [\"read_builds\"]\n".to_owned(),
        files.connection("acme", &acme, ""),
        files.connection("northwind", &northwind, "require = \"read_suites\""),
    ];
    files.configure(&tables.concat());
    let expected = |scope: &str| {
        [("acme", scope), ("northwind", "read_suites")].map(|(name, scope)| (name.to_owned(), vec![scope.to_owned()]))
    };
    let variable = [("BUILDKITE_CONNECTOR_REQUIRE", "read_clusters")];
    assert_eq!(required(&files, &[], &[]).await, expected("read_builds"));
    assert_eq!(required(&files, &[], &variable).await, expected("read_clusters"));
    let flag = ["--require", "read_builds"];
    assert_eq!(required(&files, &flag, &variable).await, expected("read_builds"));
    // The variable of the file itself.
    let mut command = crate::support::connector(&["check"]);
    command.env("BUILDKITE_CONNECTOR_CONFIG", files.path("connector.toml"));
    assert!(
        String::from_utf8(run(command).await.stdout)
            .unwrap()
            .contains("[connection.acme]")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn guards_are_added_and_lists_are_replaced() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let tables = [
        "provisioning = true\ninclude = [\"pipeline\", \"suite\"]\nprotect_team = \"team-0\"\n".to_owned(),
        files.connection("acme", &acme, "include = [\"cluster\"]\nprotect_team = [\"team-1\"]"),
        files.connection("northwind", &northwind, ""),
    ];
    files.configure(&tables.concat());
    let process = files.serve(&[]);
    let caller = client(&process).await;
    let (types_of_acme, protected_of_acme) = (&["cluster"][..], [true, true, false]);
    for (name, sandbox, types, protected) in [
        ("acme", &acme, types_of_acme, protected_of_acme),
        ("northwind", &northwind, &["pipeline", "suite"], [true, false, false]),
    ] {
        let platform = Platform::new(caller.clone().about(name));
        let mut listed = platform.types().await.unwrap();
        listed.retain(|id| !["team", "user"].contains(&id.as_str()));
        listed.sort();
        assert_eq!(listed, types, "{name}");
        let members = sandbox.with_organization(|organization| {
            let teams = organization.teams().iter();
            let first = |team: &buildkite_connector::sandbox::Team| team.members()[0].user.to_string();
            teams.map(first).collect::<Vec<_>>()
        });
        for ((team, member), is_protected) in teams(sandbox).iter().zip(members).zip(protected) {
            let revoked = platform.revoke(team, "member", &member).await;
            let revoked = match revoked {
                // The first member of a team maintains it.
                Ok(_) => platform.revoke(team, "maintainer", &member).await,
                refused => refused,
            };
            let refusal = revoked.err().map(|status| reason(&status));
            let expected = is_protected.then(|| (Code::FailedPrecondition, "PROTECTED".to_owned()));
            assert_eq!(refusal, expected, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn relative_paths_begin_at_the_file() {
    let ([northwind, _], files) = (two().await, Files::new());
    std::fs::create_dir(files.path("records")).unwrap();
    let top = "provisioning = true\nlisten = \"unix:socket\"\naudit_file = \"records/audit.jsonl\"\ncallers = \"callers.toml\"\n";
    let (entry, bearer) = super::caller_entry("platform", r#"["northwind"]"#);
    files.write("callers.toml", &entry);
    files.configure(&(top.to_owned() + &files.connection("northwind", &northwind, "")));
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = files.command(&["serve"]);
    command.current_dir(elsewhere.path());
    let mut process = ConnectorProcess::start(command);
    assert_eq!(process.address(), format!("unix:{}", files.path("socket").display()));
    let caller = client(&process).await.bearer(&bearer);
    assert_reaches(&caller, &northwind).await;
    let (team, user) = outsider(&northwind);
    Platform::new(&caller).grant(&team, "member", &user).await.unwrap();
    assert_eq!(files.read("records/audit.jsonl").lines().count(), 2);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_without_connections_is_a_source_of_settings() {
    let ([northwind, _], files) = (two().await, Files::new());
    let (slug, url) = (northwind.slug(), northwind.url());
    files.configure(&format!(
        "organization = \"{slug}\"\napi_url = \"{url}\"\nlisten = \"127.0.0.1:0\"\n"
    ));
    let mut command = files.command(&["serve"]);
    // The credential may come from elsewhere.
    let token = secrecy::ExposeSecret::expose_secret(northwind.token());
    command.env("BUILDKITE_API_TOKEN", token);
    let mut process = ConnectorProcess::start(command);
    process.address();
    assert_reaches(&client(&process).await, &northwind).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_with_another_form_of_credential_replaces_the_whole_one() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let top = "access_token_id = \"0d2f8a52-6a52-4a0c-9b6a-0c3d3f7a4d11\"\nprivate_key_file = \"absent.pem\"\n";
    let tables = [
        files.connection("northwind", &northwind, ""),
        files.connection("acme", &acme, ""),
    ];
    files.configure(&(top.to_owned() + &tables.concat()));
    let process = files.serve(&[]);
    let caller = client(&process).await;
    assert_reaches(&caller.clone().about("northwind"), &northwind).await;
    assert_reaches(&caller.about("acme"), &acme).await;
}
