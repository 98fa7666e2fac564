//! Where a value comes from: a flag, a variable of the family's, one of the connector's own, the configuration file, in this order.

use buildkite_connector::sandbox::Sandbox;
use rstest::rstest;
use secrecy::ExposeSecret;

use super::linked::{Linked, printed};
use crate::export::job::{ended, truth};
use crate::export::read_back::C1z;
use crate::support::{sandbox, sized};

async fn small() -> (Sandbox, Linked) {
    (sandbox(sized(1, 2, 3)).await, Linked::new())
}

/// A configuration file with everything that a sync needs, and these lines.
fn configured(sandbox: &Sandbox, lines: &str) -> String {
    format!(
        "# for tests\napi-url: {}\norganization: {}\napi-token: {}\n{lines}",
        sandbox.url(),
        sandbox.slug(),
        sandbox.token().expose_secret()
    )
}

#[tokio::test]
async fn the_file_in_the_working_directory_suffices() {
    let (sandbox, linked) = small().await;
    linked.write(
        ".baton.yaml",
        configured(&sandbox, "file: from-yaml.c1z\nsync-resource-types: [user, team]\n"),
    );
    let printed = printed(ended(linked.command(&[])).await, 0);
    assert!(!printed.contains(sandbox.token().expose_secret()), "{printed}");
    assert_eq!(C1z::open(&linked.path("from-yaml.c1z")).truth(), truth(&sandbox));
}

#[tokio::test]
async fn a_file_that_a_variable_names_takes_its_place() {
    let (sandbox, linked) = small().await;
    linked.write(".baton.yaml", "file: wrong.c1z\n");
    linked.write("other.yml", configured(&sandbox, "file: right.c1z\n"));
    let mut command = linked.command(&[]);
    command.env("BATON_CONFIG_PATH", linked.path("other.yml"));
    printed(ended(command).await, 0);
    assert!(linked.path("right.c1z").exists() && !linked.path("wrong.c1z").exists());
}

#[rstest]
#[case::ending("settings.toml", "BATON_CONFIG_PATH")]
#[case::missing("missing.yaml", "missing.yaml")]
#[tokio::test]
async fn a_file_that_is_named_has_to_be_yaml_and_to_be_there(#[case] name: &str, #[case] named: &str) {
    let linked = Linked::new();
    let mut command = linked.command(&["--sandbox"]);
    command.env("BATON_CONFIG_PATH", name);
    let printed = printed(ended(command).await, 2);
    assert!(printed.contains(named), "{printed}");
}

#[rstest]
#[case::yaml(&[], &[], "yaml.c1z")]
#[case::variable(&[], &[("BATON_FILE", "variable.c1z")], "variable.c1z")]
#[case::flag(&["-f", "flag.c1z"], &[("BATON_FILE", "variable.c1z")], "flag.c1z")]
#[case::an_empty_variable(&[], &[("BATON_FILE", "")], "yaml.c1z")]
#[tokio::test]
async fn a_flag_wins_over_a_variable_and_a_variable_over_the_file(
    #[case] flags: &[&str],
    #[case] variables: &[(&str, &str)],
    #[case] written: &str,
) {
    let (sandbox, linked) = small().await;
    linked.write(".baton.yaml", configured(&sandbox, "file: yaml.c1z\n"));
    let mut command = linked.command(flags);
    command.envs(variables.iter().copied());
    printed(ended(command).await, 0);
    for name in ["yaml.c1z", "variable.c1z", "flag.c1z"] {
        assert_eq!(linked.path(name).exists(), name == written, "{name}");
    }
}

#[tokio::test]
async fn our_own_variables_count_too_below_the_familys_and_above_the_file() {
    let (sandbox, linked) = small().await;
    linked.write(".baton.yaml", "organization: wrong\napi-token: bkua_0000000000000000\n");
    let own = |command: &mut std::process::Command, slug: &str| {
        command
            .env("BUILDKITE_REST_URL", sandbox.url())
            .env("BUILDKITE_ORGANIZATION_SLUG", slug)
            .env("BUILDKITE_API_TOKEN", sandbox.token().expose_secret());
    };
    let mut command = linked.command(&[]);
    own(&mut command, sandbox.slug());
    printed(ended(command).await, 0);
    let mut command = linked.command(&["-f", "second.c1z"]);
    own(&mut command, "wrong");
    command.env("BATON_ORGANIZATION", sandbox.slug());
    printed(ended(command).await, 0);
    assert!(linked.path("second.c1z").exists());
}

#[tokio::test]
async fn a_secret_as_a_flag_is_taken_with_a_warning_that_does_not_show_it() {
    let (sandbox, linked) = small().await;
    let token = sandbox.token().expose_secret();
    let mut command = linked.command(&[
        "--api-token",
        token,
        "--organization",
        sandbox.slug(),
        "--api-url",
        sandbox.url(),
    ]);
    command.env("BATON_LOG_FORMAT", "console");
    let as_flag = printed(ended(command).await, 0);
    assert!(
        as_flag.contains("WARN") && as_flag.contains("BATON_API_TOKEN"),
        "{as_flag}"
    );
    assert!(!as_flag.contains(token), "{as_flag}");
    let as_variable = printed(ended(linked.on(&sandbox, &[])).await, 0);
    assert!(!as_variable.contains("BATON_API_TOKEN"), "{as_variable}");
}

#[tokio::test]
async fn a_value_that_is_wrong_is_blamed_on_where_it_stands() {
    let linked = Linked::new();
    let mut command = linked.command(&["--sandbox"]);
    command.env("BATON_TASK_CONCURRENCY", "many");
    let of_variable = printed(ended(command).await, 2);
    assert!(
        of_variable.starts_with("error: --task-concurrency (BATON_TASK_CONCURRENCY): "),
        "{of_variable}"
    );
    linked.write(".baton.yaml", "skip-grants: perhaps\n");
    let of_key = printed(ended(linked.command(&["--sandbox"])).await, 2);
    assert!(
        of_key.starts_with("error: --skip-grants (`skip-grants` in .baton.yaml): "),
        "{of_key}"
    );
    linked.write(".baton.yaml", "retry-for: soon\n");
    for variable in [None, Some("")] {
        let mut command = linked.command(&["--sandbox"]);
        command.envs(variable.map(|value| ("BUILDKITE_CONNECTOR_RETRY_FOR", value)));
        assert_eq!(
            printed(ended(command).await, 2),
            "error: --retry-for (`retry-for` in .baton.yaml): give a time such as `30s` or `2m`, longer than zero"
        );
    }
    let mut command = linked.command(&["--sandbox"]);
    command.env("BUILDKITE_CONNECTOR_RETRY_FOR", "soon");
    let of_own_variable = printed(ended(command).await, 2);
    assert_eq!(
        of_own_variable,
        "error: --retry-for (BUILDKITE_CONNECTOR_RETRY_FOR): give a time such as `30s` or `2m`, longer than zero"
    );
}

#[tokio::test]
async fn our_own_variable_is_not_judged_if_it_is_empty_or_replaced() {
    let linked = Linked::new();
    let mut command = linked.command(&["--sandbox"]);
    command
        .env("BUILDKITE_CONNECTOR_REQUEST_TIMEOUT", "")
        .env("BUILDKITE_CONNECTOR_AUDIT_FILE", "")
        .env("BUILDKITE_CONNECTOR_RETRY_FOR", "soon")
        .env("BATON_RETRY_FOR", "10s");
    printed(ended(command).await, 0);
}

#[tokio::test]
async fn a_file_that_is_no_yaml_is_refused_without_its_values() {
    let linked = Linked::new();
    linked.write(".baton.yaml", "api-token: [bkua_hush\n");
    let printed = printed(ended(linked.command(&["--sandbox"])).await, 2);
    assert!(
        printed.contains(".baton.yaml") && !printed.contains("hush"),
        "{printed}"
    );
}

#[tokio::test]
async fn a_key_that_is_not_known_is_passed_over_with_a_warning() {
    let linked = Linked::new();
    linked.write(".baton.yaml", "okta-domain: example.com\n");
    let printed = printed(ended(linked.command(&["--sandbox"])).await, 0);
    assert!(printed.contains("okta-domain") && printed.contains("WARN"), "{printed}");
}

#[rstest]
#[case::info_as_json(&["--log-level", "info", "--log-format", "json"], Some("{"))]
#[case::info_for_people(&["--log-level=INFO", "--log-format=console"], Some("20"))]
#[case::no_information(&["--log-level", "error"], None)]
#[tokio::test]
async fn logs_have_the_level_and_the_form_that_are_asked_for(#[case] flags: &[&str], #[case] begins: Option<&str>) {
    let linked = Linked::new();
    let printed = printed(ended(linked.command(&[&["--sandbox"], flags].concat())).await, 0);
    let line = printed.lines().find(|line| line.contains("synced"));
    match begins {
        Some(begins) => assert!(
            line.unwrap().trim_start_matches("\u{1b}[2m").starts_with(begins),
            "{printed}"
        ),
        None => assert_eq!(line, None),
    }
}
