//! `check`: scope health, printed for an operator or for a script.

mod json;
mod table;

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::CommandError;
use super::connection::{Connection, ConnectionOrSandboxArgs, environment};
use super::settings::Settings;
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
    target: ConnectionOrSandboxArgs,
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

/// The data that is printed.
struct CheckOutput {
    report: Report,
    budget: BudgetState,
    coverage: Coverage,
    now: Timestamp,
}

/// Runs every check once and prints the results.
pub(super) async fn run(args: &CheckArgs) -> Result<(), CommandError> {
    let sandbox = args.target.sandbox()?;
    let connection = Connection::open(&args.target.connection, sandbox, environment, impatient).await?;
    let Connection {
        governance, coverage, ..
    } = &connection;
    let report = governance
        .health()
        .check(Duration::ZERO, Some(Instant::now() + TOTAL_TIMEOUT))
        .await;
    let output = CheckOutput {
        report,
        budget: governance.budget(),
        coverage: coverage.clone(),
        now: Timestamp::now(),
    };
    print(&output, args.format)
        .map_err(|error| CommandError::Failed(format!("the result cannot be printed: {error}")))?;
    connection.close().await;
    if output.report.overall.is_operational() {
        Ok(())
    } else {
        Err(CommandError::Unhealthy)
    }
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

fn print(output: &CheckOutput, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => json::write(output, &mut out),
        Format::Table => {
            let coloured = is_coloured(out.is_terminal(), std::env::var_os("NO_COLOR").as_deref());
            table::write(output, coloured, &mut out)
        }
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
