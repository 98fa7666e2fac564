//! What is wrong with the configuration is said in one sentence, with the flag and the variable, and the exit code is 2.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rstest::rstest;

use crate::support::process::connector;

const TOKEN: &str = "bkua_0123456789abcdef0123456789abcdef01234567";
const ORGANIZATION: &str = "--organization (BUILDKITE_ORGANIZATION_SLUG)";
const API_URL: &str = "--api-url (BUILDKITE_REST_URL)";
const TOKEN_FILE: &str = "--api-token-file (BUILDKITE_API_TOKEN_FILE)";
const LISTEN: &str = "--listen (BUILDKITE_CONNECTOR_LISTEN)";
const NOT_ORIGIN: &str =
    "the API base must be an origin such as `https://api.buildkite.com`, with no path, query or user in it";
const PLAIN_HTTP: &str = "plain http carries the token in the clear and is accepted for this machine only: use https";
const A_TIME: &str = "give a time such as `30s` or `2m`, longer than zero";

/// A configuration that would serve, on a free port.
fn whole() -> Command {
    let mut command = connector(&["serve"]);
    command
        .env("BUILDKITE_ORGANIZATION_SLUG", "acme")
        .env("BUILDKITE_API_TOKEN", TOKEN)
        .env("BUILDKITE_CONNECTOR_LISTEN", "127.0.0.1:0");
    command
}

/// What it says, once it has been made sure that it says one line, ends with 2 and shows no token.
fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(output.stdout, b"", "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.contains("0123456789abcdef"), "{said}");
    said.trim_end().strip_prefix("error: ").unwrap().to_owned()
}

#[rstest]
#[case::slug(
    "--organization",
    "acme/teams",
    ORGANIZATION,
    "an organization slug holds letters, digits, `-`, `_` and `.` only, as in `https://buildkite.com/<slug>`"
)]
#[case::http("--api-url", "http://api.buildkite.com", API_URL, PLAIN_HTTP)]
#[case::path("--api-url", "https://api.buildkite.com/v3", API_URL, NOT_ORIGIN)]
#[case::query("--api-url", "https://api.buildkite.com/?a=b", API_URL, NOT_ORIGIN)]
#[case::no_url(
    "--api-url",
    "api.buildkite.com",
    API_URL,
    "the API base is not an http or https URL: give an origin such as `https://api.buildkite.com`"
)]
#[case::included(
    "--include",
    "pipeline,team",
    "--include (BUILDKITE_CONNECTOR_INCLUDE)",
    "give one or more of organization, pipeline, suite, registry, cluster, invitation"
)]
#[case::writes(
    "--provisioning",
    "perhaps",
    "--provisioning (BUILDKITE_CONNECTOR_PROVISIONING)",
    "give `true` or `false`"
)]
#[case::insecure_listen(
    "--insecure-listen",
    "perhaps",
    "--insecure-listen (BUILDKITE_CONNECTOR_INSECURE_LISTEN)",
    "give `true` or `false`"
)]
#[case::maintainer_revoke(
    "--maintainer-revoke",
    "eject",
    "--maintainer-revoke (BUILDKITE_CONNECTOR_MAINTAINER_REVOKE)",
    "give `remove` or `demote`"
)]
#[case::directory_max_age(
    "--directory-max-age",
    "soon",
    "--directory-max-age (BUILDKITE_CONNECTOR_DIRECTORY_MAX_AGE)",
    "give a time such as `30s` or `2m`, longer than zero"
)]
#[case::protected_user(
    "--protect-user",
    "ada",
    "--protect-user (BUILDKITE_CONNECTOR_PROTECT_USER)",
    "give e-mail addresses"
)]
#[case::visibility(
    "--partial-visibility",
    "maybe",
    "--partial-visibility (BUILDKITE_CONNECTOR_PARTIAL_VISIBILITY)",
    "give `refuse` or `allow`"
)]
#[case::no_time("--retry-for", "soon", "--retry-for (BUILDKITE_CONNECTOR_RETRY_FOR)", A_TIME)]
#[case::no_length(
    "--request-timeout",
    "0s",
    "--request-timeout (BUILDKITE_CONNECTOR_REQUEST_TIMEOUT)",
    A_TIME
)]
#[case::wait("--max-wait", "-1s", "--max-wait (BUILDKITE_CONNECTOR_MAX_WAIT)", A_TIME)]
#[case::age(
    "--health-max-age",
    "",
    "--health-max-age (BUILDKITE_CONNECTOR_HEALTH_MAX_AGE)",
    A_TIME
)]
#[case::interval(
    "--health-interval",
    "0",
    "--health-interval (BUILDKITE_CONNECTOR_HEALTH_INTERVAL)",
    A_TIME
)]
#[case::empty_path(
    "--audit-file",
    "",
    "--audit-file (BUILDKITE_CONNECTOR_AUDIT_FILE)",
    "give a path, or leave it out"
)]
#[case::reserve(
    "--write-reserve",
    "100",
    "--write-reserve (BUILDKITE_CONNECTOR_WRITE_RESERVE)",
    "give a percentage from 0 to 99, such as `10`, or leave it out"
)]
#[case::limit(
    "--max-requests-per-minute",
    "0",
    "--max-requests-per-minute (BUILDKITE_CONNECTOR_MAX_REQUESTS_PER_MINUTE)",
    "give a whole number of at least 1, or leave it out"
)]
#[case::exposed(
    "--listen",
    "0.0.0.0:50051",
    LISTEN,
    "0.0.0.0:50051 can be reached by others and there is no TLS: give --tls-cert and --tls-key, \
     listen on loopback or unix:PATH, or give --insecure-listen"
)]
#[case::no_address(
    "--listen",
    "unix:",
    LISTEN,
    "`unix:` is neither an address such as `127.0.0.1:50051` nor `unix:PATH`"
)]
#[case::log(
    "--log",
    "buildkite_connector=loud",
    "--log (BUILDKITE_CONNECTOR_LOG)",
    "give a level such as `info`, or `target=level` pairs"
)]
#[case::misspelled_level(
    "--log",
    "warnn",
    "--log (BUILDKITE_CONNECTOR_LOG)",
    "`warnn` is not a level: give `error`, `warn`, `info`, `debug`, `trace` or `off`, or `target=level` pairs"
)]
fn a_wrong_value_is_refused(#[case] flag: &str, #[case] value: &str, #[case] named: &str, #[case] sentence: &str) {
    let mut command = whole();
    command.arg(format!("{flag}={value}"));
    assert_eq!(refusal(command), format!("{named}: {sentence}"));
}

#[test]
fn a_misspelled_level_in_the_environment_silences_nothing_and_is_refused() {
    let mut command = whole();
    command.env("BUILDKITE_CONNECTOR_LOG", "warnn");
    let said = refusal(command);
    assert!(
        said.starts_with("--log (BUILDKITE_CONNECTOR_LOG): `warnn` is not a level"),
        "{said}"
    );
}

#[rstest]
#[case::serve(&["serve", "--provisioning", "true"], "--provisioning", "BUILDKITE_CONNECTOR_PROVISIONING", "true")]
#[case::check(&["check", "--provisioning", "yes"], "--provisioning", "BUILDKITE_CONNECTOR_PROVISIONING", "yes")]
#[case::insecure(&["serve", "--insecure-listen", "false"], "--insecure-listen", "BUILDKITE_CONNECTOR_INSECURE_LISTEN", "false")]
fn a_switch_with_a_separate_value_is_refused_with_its_correct_form(
    #[case] arguments: &[&str],
    #[case] flag: &str,
    #[case] variable: &str,
    #[case] value: &str,
) {
    assert_eq!(
        refusal(connector(arguments)),
        format!("{flag} ({variable}): the value stands behind an equals sign: write `{flag}={value}`")
    );
}

#[rstest]
#[case("")]
#[case(" ")]
fn a_caller_without_a_name_is_refused_at_once(#[case] name: &str) {
    let output = connector(&["caller", name, "--role", "reader"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(output.stdout, b"");
    assert!(said.starts_with("error: <NAME>: a caller needs a name: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_missing_organization_is_refused() {
    let mut command = whole();
    command.env_remove("BUILDKITE_ORGANIZATION_SLUG");
    let sentence = "give the slug of your organization, as in `https://buildkite.com/<slug>`";
    assert_eq!(refusal(command), format!("{ORGANIZATION}: {sentence}"));
}

#[test]
fn a_missing_token_is_refused_with_where_to_get_one() {
    let mut command = whole();
    command.env_remove("BUILDKITE_API_TOKEN");
    let said = refusal(command);
    assert_eq!(
        said,
        "BUILDKITE_API_TOKEN: set it to an API access token from https://buildkite.com/user/api-access-tokens, \
         or give --api-token-file (BUILDKITE_API_TOKEN_FILE)"
    );
}

#[test]
fn both_token_and_file_are_refused() {
    let mut command = whole();
    command.args(["--api-token-file", "token"]);
    assert_eq!(
        refusal(command),
        format!("{TOKEN_FILE}: set either this or BUILDKITE_API_TOKEN, not both")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut command = whole();
    let path = tempfile::tempdir().unwrap().path().join("token");
    command
        .env_remove("BUILDKITE_API_TOKEN")
        .arg("--api-token-file")
        .arg(&path);
    let said = refusal(command);
    let begin = format!("{TOKEN_FILE}: {} cannot be read (", path.display());
    assert!(
        said.starts_with(&begin) && said.ends_with("): check path and owner"),
        "{said}"
    );
}

#[test]
fn a_token_file_that_is_not_a_regular_file_is_refused_and_points_to_the_variable() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("token");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, kind) in [(pipe.as_path(), "a pipe"), (Path::new("/dev/null"), "a device")] {
        let mut command = whole();
        command
            .env_remove("BUILDKITE_API_TOKEN")
            .arg("--api-token-file")
            .arg(path);
        let expected = format!(
            "{TOKEN_FILE}: {}: it is {kind}, not a regular file: give a regular file, or set the token as BUILDKITE_API_TOKEN",
            path.display()
        );
        assert_eq!(refusal(command), expected);
    }
}

#[test]
fn callers_and_certificates_that_are_no_regular_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for flags in [&["--callers"][..], &["--tls-cert", "--tls-key"]] {
        let mut command = whole();
        for flag in flags {
            command.arg(flag).arg(&pipe);
        }
        let said = refusal(command);
        assert!(said.contains("it is a pipe, not a regular file"), "{said}");
    }
}

#[rstest]
#[case::cluster("bkct_", "a cluster agent token")]
#[case::session("bkaa_", "an agent session token")]
#[case::trigger("bktr_", "a pipeline trigger token")]
fn a_token_of_another_kind_is_recognized_by_its_prefix(#[case] prefix: &str, #[case] kind: &str) {
    let secret = format!("{prefix}0123456789abcdef");
    let sentence = format!(
        "the token starts with `{prefix}`, which is {kind}, not a user's API access token: \
         create one at https://buildkite.com/user/api-access-tokens"
    );
    let mut command = whole();
    command.env("BUILDKITE_API_TOKEN", &secret);
    assert_eq!(refusal(command), format!("BUILDKITE_API_TOKEN: {sentence}"));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    let mut command = whole();
    command
        .env_remove("BUILDKITE_API_TOKEN")
        .arg("--api-token-file")
        .arg(&path);
    assert_eq!(
        refusal(command),
        format!("{TOKEN_FILE}: {}: {sentence}", path.display())
    );
}

#[test]
fn a_path_that_holds_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes");
    std::fs::write(&path, "not a socket").unwrap();
    let mut command = whole();
    command.arg("--listen").arg(format!("unix:{}", path.display()));
    let sentence = format!("{} exists and is no socket: choose another path", path.display());
    assert_eq!(
        last_line(&refused_after_log(command)),
        format!("error: {LISTEN}: {sentence}")
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a socket");
}

#[test]
fn a_socket_that_another_process_serves_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _served = UnixListener::bind(&path).unwrap();
    let mut command = whole();
    command.arg("--listen").arg(format!("unix:{}", path.display()));
    let sentence = format!(
        "{} is served by another process: end it, or choose another path",
        path.display()
    );
    assert_eq!(
        last_line(&refused_after_log(command)),
        format!("error: {LISTEN}: {sentence}")
    );
    assert!(path.exists());
}

#[test]
fn a_socket_in_a_directory_that_is_not_there_is_refused() {
    let path = tempfile::tempdir().unwrap().path().join("socket");
    let mut command = whole();
    command.arg("--listen").arg(format!("unix:{}", path.display()));
    let begin = format!("error: {LISTEN}: cannot listen on unix:{}: ", path.display());
    let said = refused_after_log(command);
    assert!(last_line(&said).starts_with(&begin), "{said}");
}

#[rstest]
#[case::flag(&["serve", "--api-token", TOKEN])]
#[case::command(&["server"])]
#[case::none(&[])]
fn wrong_usage_ends_with_2(#[case] arguments: &[&str]) {
    let output = connector(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("Usage: buildkite-connector"), "{said}");
    assert!(!said.contains("0123456789abcdef"), "{said}");
}

/// What is refused once the log has begun: its last line is the sentence.
fn refused_after_log(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

fn last_line(said: &str) -> &str {
    said.lines().last().unwrap_or_default()
}

#[test]
fn a_change_whose_type_is_not_included_is_refused_at_the_start() {
    let mut command = whole();
    command.args(["--include=registry", "--allow=teams,access"]);
    assert_eq!(
        refusal(command),
        "--allow (BUILDKITE_CONNECTOR_ALLOW): access needs one of pipeline, suite, cluster in --include or \
         BUILDKITE_CONNECTOR_INCLUDE"
    );
}
