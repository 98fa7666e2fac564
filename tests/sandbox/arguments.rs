//! What the command line of the sandbox means.

use std::time::Duration;

use buildkite_connector::cli::sandbox::SandboxArgs;
use buildkite_connector::sandbox::{Behaviors, Link, Options, Paging, Seed, Size, WriteLag};
use clap::{CommandFactory, Parser};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    sandbox: SandboxArgs,
}

fn options(arguments: &[&str]) -> Options {
    let line = std::iter::once(&"sandbox").chain(arguments);
    Line::try_parse_from(line).unwrap().sandbox.options()
}

#[test]
fn without_arguments_everything_is_the_default() {
    let (given, default) = (options(&[]), Options::default());
    assert_eq!(
        (given.listen, given.latency, given.behaviors),
        (default.listen, default.latency, Behaviors::default())
    );
    assert_eq!((given.limits.organization, given.limits.user), (Some(200), Some(50)));
    assert_eq!(given.limits.window, Duration::from_secs(60));
    assert!(matches!(given.seed, Seed::Example));
    assert!(given.faults.is_empty());
}

#[test]
fn a_size_selects_a_generated_organization() {
    let given = options(&[
        "--teams",
        "250",
        "--people",
        "2000",
        "--pipelines",
        "400",
        "--seed",
        "3",
    ])
    .seed;
    let wanted = Size {
        teams: 250,
        people: 2000,
        pipelines: 400,
        seed: 3,
        ..Size::default()
    };
    assert!(matches!(given, Seed::Sized(size) if size == wanted));
}

#[test]
fn a_limit_of_zero_is_none() {
    let limits = options(&["--organization-limit", "0", "--user-limit", "0", "--window", "2s"]).limits;
    assert_eq!(
        (limits.organization, limits.user, limits.window),
        (None, None, Duration::from_secs(2))
    );
}

#[test]
fn behaviors_and_faults_are_read_by_name() {
    let given = options(&[
        "--team-paging",
        "complete",
        "--link",
        "foreign-host",
        "--write-lag",
        "2-reads",
        "--fault",
        "any:hang",
        "--fault",
        "teams:status=502:times=2",
    ]);
    assert_eq!(
        (given.behaviors.team_paging, given.behaviors.link),
        (Paging::Complete, Link::ForeignHost)
    );
    assert_eq!((given.behaviors.write_lag, given.faults.len()), (WriteLag::Reads(2), 2));
}

#[test]
fn a_behavior_that_does_not_exist_is_refused_with_those_that_do() {
    let error = Line::try_parse_from(["sandbox", "--order", "random"])
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("oldest-first, newest-first"), "{error}");
}

#[test]
fn the_help_names_every_option_once() {
    Line::command().debug_assert();
    let help = Line::command().render_long_help().to_string();
    for option in ["--fault", "--teams-disabled", "--per-page-cap", "--latency"] {
        assert!(help.contains(option), "{option}");
    }
}
