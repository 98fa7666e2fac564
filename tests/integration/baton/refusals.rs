//! What is refused, by name and with exit code 2.

use rstest::rstest;

use super::linked::{Linked, printed};
use crate::export::job::ended;

#[rstest]
#[tokio::test]
async fn a_flag_of_the_family_that_is_not_served_is_refused_by_name(
    #[values(
        "rotate-credentials",
        "rotate-credentials-type",
        "event-feed",
        "event-feed-id",
        "event-feed-start-at",
        "event-feed-cursor",
        "skip-full-sync",
        "workers",
        "parallel-sync",
        "c1z-temp-dir",
        "external-resource-c1z",
        "external-resource-entitlement-id-filter",
        "external-resource-traits",
        "log-path",
        "log-level-debug-expires-at",
        "http-timeout-seconds",
        "otel-collector-endpoint",
        "ticketing",
        "diff-syncs",
        "base-sync-id",
        "applied-sync-id",
        "compact-syncs",
        "compact-file-paths",
        "compact-sync-ids",
        "compact-output-path",
        "session-store-maximum-size",
        "keep-previous-sync-c1z",
        "auth-method"
    )]
    name: &str,
) {
    let linked = Linked::new();
    let flag = format!("--{name}");
    let as_flag = printed(ended(linked.command(&["--sandbox", &flag, "x"])).await, 2);
    assert!(
        as_flag.starts_with(&format!("error: {flag}: ")) && !as_flag.contains('\n'),
        "{as_flag}"
    );
    let variable = format!("BATON_{}", name.to_uppercase().replace('-', "_"));
    let mut command = linked.command(&["--sandbox"]);
    command.env(&variable, "x");
    let as_variable = printed(ended(command).await, 2);
    assert!(
        as_variable.starts_with(&format!("error: {flag} ({variable}): ")),
        "{as_variable}"
    );
    linked.write(".baton.yaml", format!("{name}: x\n"));
    let as_key = printed(ended(linked.command(&["--sandbox"])).await, 2);
    assert!(
        as_key.starts_with(&format!("error: {flag} (`{name}` in .baton.yaml): ")),
        "{as_key}"
    );
    assert!(!linked.path("sync.c1z").exists());
}

#[tokio::test]
async fn one_that_is_switched_off_asks_for_nothing() {
    let linked = Linked::new();
    let mut command = linked.command(&["--sandbox"]);
    command.env("BATON_TICKETING", "false");
    printed(ended(command).await, 0);
}

#[rstest]
#[case::allow(&["--allow", "access"], "--allow")]
#[case::engine(&["--storage-engine", "pebble"], "--storage-engine")]
#[case::half_a_grant(&["--grant-entitlement", "e"], "--grant-principal")]
#[case::two_tasks(&["--grant-entitlement", "e", "--grant-principal", "p", "--revoke-grant", "g"], "--revoke-grant")]
#[case::half_an_identity(&["--client-id", "a@b/c"], "--client-secret")]
#[case::concurrency(&["--task-concurrency", "101"], "--task-concurrency")]
#[case::port(&["--health-check-port", "0"], "--health-check-port")]
#[case::address(&["--health-check-bind-address", "here"], "--health-check-bind-address")]
#[case::level(&["--log-level", "loud"], "--log-level")]
#[case::format(&["--log-format", "xml"], "--log-format")]
#[case::target(&["--sync-resources", "team/x"], "--sync-resources")]
#[case::kind(&["--sync-resource-types", "role"], "--sync-resource-types")]
#[case::subcommand(&["serve"], "serve")]
#[tokio::test]
async fn wrong_usage_ends_with_2_and_names_the_flag(#[case] flags: &[&str], #[case] named: &str) {
    let linked = Linked::new();
    let printed = printed(ended(linked.command(&[&["--sandbox"], flags].concat())).await, 2);
    assert!(printed.starts_with("error: ") && printed.contains(named), "{printed}");
    assert!(!linked.path("sync.c1z").exists());
}

#[tokio::test]
async fn a_token_in_a_wrong_place_is_not_repeated() {
    let linked = Linked::new();
    let token = "bkua_0123456789abcdef0123456789abcdef01234567";
    let printed = printed(ended(linked.command(&[token])).await, 2);
    assert!(!printed.contains("0123456789abcdef"), "{printed}");
}

#[tokio::test]
async fn under_its_own_name_the_binary_has_its_own_command_line() {
    let linked = Linked::new();
    let mut own = crate::support::process::connector(&["-f", "x.c1z"]);
    own.current_dir(linked.path(""));
    let printed = printed(ended(own).await, 2);
    assert!(printed.contains("'-f'"), "{printed}");
}
