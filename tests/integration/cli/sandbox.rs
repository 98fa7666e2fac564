//! `sandbox`: it says how to use it, and ends with 0.

use rstest::rstest;

use crate::support::process::{ConnectorProcess, connector};

/// What follows a label, on a line that begins with it.
fn after<'a>(line: &'a str, label: &str) -> &'a str {
    line.strip_prefix(label).unwrap().trim()
}

#[rstest]
#[case("TERM")]
#[case("INT")]
#[case("HUP")]
fn it_prints_url_organization_and_tokens_and_ends_with_0(#[case] signal: &str) {
    let mut sandbox = ConnectorProcess::start(connector(&["sandbox"]));
    let url = after(&sandbox.line("Buildkite sandbox"), "Buildkite sandbox").to_owned();
    let organization = after(&sandbox.line("organization"), "organization").to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(organization, "northwind-rail (7 teams, 14 people)");
    let token = sandbox.line("admin, all scopes");
    let token = token.split_whitespace().next().unwrap();
    assert!(token.starts_with("bkua_"));
    for export in [
        format!("export BUILDKITE_REST_URL={url}"),
        "export BUILDKITE_ORGANIZATION_SLUG=northwind-rail".to_owned(),
        format!("export BUILDKITE_API_TOKEN={token}"),
    ] {
        sandbox.line(&export);
    }
    sandbox.signal(signal);
    assert_eq!(sandbox.ended().status.code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_refused_with_2() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = connector(&["sandbox", "--listen", &address]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let begin = format!("error: --listen: cannot listen on {address}: ");
    assert!(said.starts_with(&begin) && said.lines().count() == 1, "{said}");
}

#[test]
fn the_printed_variables_configure_the_connector() {
    let mut sandbox = ConnectorProcess::start(connector(&["sandbox"]));
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0"]);
    for variable in [
        "BUILDKITE_REST_URL",
        "BUILDKITE_ORGANIZATION_SLUG",
        "BUILDKITE_API_TOKEN",
    ] {
        let line = sandbox.line(&format!("export {variable}="));
        command.env(variable, line.split_once('=').unwrap().1);
    }
    let mut server = ConnectorProcess::start(command);
    server.event("buildkite: everything that is needed works");
    assert_eq!(server.terminate().status.code(), Some(0));
    assert_eq!(sandbox.terminate().status.code(), Some(0));
}

#[test]
fn a_platform_beside_the_sandbox_says_how_it_is_reached_and_takes_its_files_with_it() {
    let mut running = ConnectorProcess::start(connector(&["sandbox", "--platform"]));
    let line = running.line("BATON_CLIENT_ID=");
    assert!(line.contains("@localhost:"), "{line}");
    let secret = running.line("BATON_CLIENT_SECRET_FILE=");
    let secret = secret.split_once('=').unwrap().1.to_owned();
    let authority = running.line("BUILDKITE_CONNECTOR_PLATFORM_CA=");
    let authority = std::fs::read_to_string(authority.split_once('=').unwrap().1).unwrap();
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&secret).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(running.terminate().status.code(), Some(0));
    assert!(!std::path::Path::new(&secret).exists());
}

#[test]
fn an_embedded_sandbox_has_the_requested_size() {
    let sizes = ["--teams", "3", "--members-per-team", "2", "--people", "5"];
    let list = |what: &str| {
        let mut command = connector(&["list", what, "--sandbox", "--format", "json"]);
        let output = command.args(sizes).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        rows.as_array().unwrap().len()
    };
    assert_eq!((list("teams"), list("users"), list("grants")), (3, 5, 6));
}

#[test]
fn check_accepts_a_sandbox() {
    let mut command = connector(&["check", "--sandbox", "--teams", "3", "--format", "json"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["overall"], "HEALTHY", "{report}");
}

#[test]
fn a_size_without_a_sandbox_is_refused() {
    for command in ["serve", "check", "list"] {
        let mut refused = connector(&[command]);
        if command == "list" {
            refused.arg("teams");
        }
        let refused = refused.args(["--people", "5"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let printed = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(
            printed,
            "error: --people: only a sandbox has a size: give --sandbox as well, or leave it out\n"
        );
    }
}
