//! `check`: scope health, printed for an operator or for a script.

mod json;
mod table;

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::CommandError;
use super::connection::{ConnectionOrSandboxArgs, OpenConnection, Process, environment};
use super::settings::Settings;
use super::settings::file::ChoiceArgs;
use crate::governance::connections::ConnectionName;
use crate::governance::health::Report;
use crate::governance::rate_limit::BudgetState;
use crate::providers::buildkite::Coverage;

/// The command ends within 15 s in any case; this leaves time to print.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(14);

/// Timeout of the probes: shorter, so that an unanswered probe is reported as such.
const PROBE_TIMEOUT: Duration = Duration::from_secs(13);

/// Timeout of one attempt, and how long transient failures are retried: short, because an operator waits for the result.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_FOR: Duration = Duration::from_secs(3);

/// The arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub(super) target: ConnectionOrSandboxArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Format of the result
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for a terminal
    Table,
    /// The same data as JSON, in a stable form
    Json,
}

/// The data that is printed of one connection.
struct CheckOutput {
    /// The name of the connection, if the configuration file names connections.
    name: Option<ConnectionName>,
    report: Report,
    budget: BudgetState,
    coverage: Coverage,
    now: Timestamp,
}

/// Runs every check of every connection, or of the one that is named, once, and prints the results.
pub(super) async fn run(args: &CheckArgs) -> Result<(), CommandError> {
    let sandbox = args.target.sandbox()?;
    let connections = match args.choice.connection {
        Some(_) => vec![args.target.one(&args.choice)?],
        None => args.target.all(),
    };
    let process = Process::default();
    let mut opened = Vec::with_capacity(connections.len());
    for named in connections {
        let connection = OpenConnection::open(&process, &named, sandbox.clone(), environment, impatient).await?;
        opened.push((named.name, connection));
    }
    let until = Instant::now() + TOTAL_TIMEOUT;
    let checks = opened
        .into_iter()
        .map(|(name, connection)| check(name, connection, until));
    let outputs = join_all(checks).await;
    print(&outputs, args.format)
        .map_err(|error| CommandError::Failed(format!("the result cannot be printed: {error}")))?;
    if outputs.iter().all(|output| output.report.overall.is_operational()) {
        Ok(())
    } else {
        Err(CommandError::Unhealthy)
    }
}

/// Runs the checks of one connection.
async fn check(name: Option<ConnectionName>, connection: OpenConnection, until: Instant) -> CheckOutput {
    let governance = &connection.governance;
    let output = CheckOutput {
        name,
        report: governance.health().check(Duration::ZERO, Some(until)).await,
        budget: governance.budget(),
        coverage: connection.coverage.clone(),
        now: Timestamp::now(),
    };
    connection.close().await;
    output
}

/// The settings with the timeouts of this command.
fn impatient(mut settings: Settings) -> Settings {
    let client = &mut settings.client;
    client.attempt_timeout = client.attempt_timeout.min(ATTEMPT_TIMEOUT);
    client.retry_for = client.retry_for.min(RETRY_FOR);
    client.budget.max_wait = client.budget.max_wait.min(RETRY_FOR);
    settings.governance.health.probe_timeout = PROBE_TIMEOUT;
    settings
}

/// Prints one result, or several as sections.
fn print(outputs: &[CheckOutput], format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let coloured = is_coloured(out.is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    match (format, outputs) {
        (Format::Json, [output]) => json::write(output, &mut out),
        (Format::Json, outputs) => json::write_all(outputs, &mut out),
        (Format::Table, [output]) => table::write(output, coloured, &mut out),
        (Format::Table, outputs) => table::write_all(outputs, coloured, &mut out),
    }?;
    out.flush()
}

/// Colour only on a terminal, and never when `NO_COLOR` is set (<https://no-color.org>).
fn is_coloured(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_promised_fifteen_seconds_leave_time_to_print() {
        assert!(PROBE_TIMEOUT < TOTAL_TIMEOUT && TOTAL_TIMEOUT < Duration::from_secs(15));
        assert!(ATTEMPT_TIMEOUT < PROBE_TIMEOUT && RETRY_FOR < PROBE_TIMEOUT);
    }

    #[rstest]
    #[case(true, None, true)]
    #[case(true, Some(""), true)]
    #[case(true, Some("1"), false)]
    #[case(true, Some("0"), false)]
    #[case(false, None, false)]
    fn colours_are_for_terminals_without_no_color(
        #[case] is_terminal: bool,
        #[case] no_color: Option<&str>,
        #[case] coloured: bool,
    ) {
        assert_eq!(is_coloured(is_terminal, no_color.map(OsStr::new)), coloured);
    }
}
