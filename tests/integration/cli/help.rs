//! Help and version go to standard output and end with 0.

use buildkite_connector::sandbox::{Endpoint, FAULT_KINDS};
use rstest::rstest;

use crate::support::process::connector;

#[rstest]
#[case::commands(&["--help"], &["serve", "sync", "list", "diff", "check", "sandbox"])]
#[case::serve(&["serve", "--help"], &["--organization", "BUILDKITE_ORGANIZATION_SLUG", "BUILDKITE_API_TOKEN", "--listen", "--metrics-listen", "--provisioning", "--sandbox"])]
#[case::service(&["service", "--help"], &["--client-id", "BATON_CLIENT_SECRET", "--platform-ca", "--task-concurrency", "--health-listen", "--drain"])]
#[case::sandbox(&["sandbox", "--help"], &["--teams", "--fault", "--user-limit"])]
fn help_names_commands_and_options(#[case] arguments: &[&str], #[case] named: &[&str]) {
    let output = connector(arguments).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{help}");
    for name in named {
        assert!(help.contains(name), "{name} is missing in {help}");
    }
}

#[test]
fn the_sandboxs_help_and_its_page_name_every_kind_of_fault_and_every_endpoint() {
    let output = connector(&["sandbox", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let page = include_str!("../../../docs/sandbox.md");
    for (kind, what) in FAULT_KINDS {
        assert!(help.contains(kind), "{kind} is missing in {help}");
        let row = format!("| `{}` | {what} |", kind.replace('|', "\\|"));
        assert!(page.contains(&row), "{row} is missing in the page");
    }
    for (_, endpoint) in Endpoint::ALL {
        assert!(help.contains(endpoint), "{endpoint} is missing in {help}");
        assert!(
            page.contains(&format!("`{endpoint}`")),
            "{endpoint} is missing in the page"
        );
    }
}

#[test]
fn help_shows_no_value_of_the_environment_that_is_a_secret() {
    let mut command = connector(&["serve", "--help"]);
    command.env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef");
    let help = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(!help.contains("0123456789abcdef"), "{help}");
}

#[test]
fn the_version_is_the_packages() {
    let output = connector(&["--version"]).output().unwrap();
    let version = format!("buildkite-connector {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), version);
    assert_eq!(output.status.code(), Some(0));
}
