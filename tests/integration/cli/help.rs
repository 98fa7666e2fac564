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
fn the_version_names_the_commit_and_its_date() {
    let output = connector(&["--version"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let expected = format!(
        "buildkite-connector {} ({}, {})\n",
        env!("CARGO_PKG_VERSION"),
        env!("BUILD_COMMIT"),
        env!("BUILD_DATE")
    );
    assert_eq!(printed, expected);
    let commit = env!("BUILD_COMMIT");
    assert!(commit == "unknown" || commit.chars().all(|digit| digit.is_ascii_hexdigit()));
    assert!(env!("BUILD_DATE") == "unknown" || env!("BUILD_DATE").parse::<jiff::civil::Date>().is_ok());
}

#[rstest]
#[case("bash", "complete -F")]
#[case("zsh", "#compdef buildkite-connector")]
#[case("fish", "complete -c buildkite-connector")]
fn completions_are_printed_for_a_shell_with_every_command_and_no_value(#[case] shell: &str, #[case] begins: &str) {
    let mut command = connector(&["completions", shell]);
    command.env("BUILDKITE_ORGANIZATION_SLUG", "secret-in-a-variable");
    let output = command.output().unwrap();
    let script = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for text in [begins, "serve", "disconnect", "completions", "log-format"] {
        assert!(script.contains(text), "{text} is missing in {script}");
    }
    assert!(!script.contains("secret-in-a-variable"));
}

#[test]
fn a_shell_that_is_unknown_is_refused() {
    assert_eq!(
        connector(&["completions", "tcsh"]).output().unwrap().status.code(),
        Some(2)
    );
}

#[test]
fn the_manual_has_a_page_for_the_program_and_for_each_command() {
    let page = |arguments: &[&str]| {
        let mut command = connector(arguments);
        command.env("BUILDKITE_ORGANIZATION_SLUG", "secret-in-a-variable");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let program = page(&["man"]);
    assert!(program.contains(".TH buildkite-connector 1"), "{program}");
    let serve = page(&["man", "serve"]);
    assert!(serve.contains("metrics\\-listen"), "{serve}");
    assert!(serve.contains("BUILDKITE_CONNECTOR_LISTEN"), "{serve}");
    assert!(!serve.contains("secret-in-a-variable"));
    let refused = connector(&["man", "serv"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "error: there is no command `serv`: `buildkite-connector --help` lists them\n"
    );
}
