//! `check`: prints scope health for an operator or for a script.

mod json;
mod table;

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::CommandError;
use super::settings::{ConnectionArgs, Settings};
use crate::governance::health::Report;
use crate::governance::rate_limit::BudgetState;
use crate::providers::buildkite::{Client, govern};

/// The timeout of the whole check. The command ends within 15 s in every case; this leaves time to print.
const WHOLE: Duration = Duration::from_secs(14);

/// The timeout of the probes: shorter, so that the report says which of them had no response.
const PATIENCE: Duration = Duration::from_secs(13);

/// The timeout of one attempt, and for how long a failure is retried: short, because an operator waits.
const ATTEMPT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(3);

/// What `check` can be told.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For scripts: the same data, and stable
    Json,
}

/// What is printed.
struct Findings {
    report: Report,
    budget: BudgetState,
    provisioning: bool,
    now: Timestamp,
}

/// Checks everything once and prints it.
pub(super) async fn run(args: &CheckArgs) -> Result<(), CommandError> {
    let settings = Settings::read(&args.connection, |name| std::env::var(name).ok())?;
    let mut options = settings.client;
    options.attempt_timeout = options.attempt_timeout.min(ATTEMPT);
    options.retry_for = options.retry_for.min(RETRY);
    options.budget.max_wait = options.budget.max_wait.min(RETRY);
    let mut access = settings.access;
    access.health.probe_timeout = PATIENCE;
    let provisioning = access.provisioning;
    let client = Client::with_credential(settings.origin, settings.organization, settings.credential, options)
        .map_err(|error| CommandError::Failed(error.to_string()))?;
    let access = Arc::new(govern(Arc::new(client), access));
    let report = access
        .health()
        .check(Duration::ZERO, Some(Instant::now() + WHOLE))
        .await;
    let findings = Findings {
        report,
        budget: access.budget(),
        provisioning,
        now: Timestamp::now(),
    };
    print(&findings, args.format)
        .map_err(|error| CommandError::Failed(format!("the result cannot be printed: {error}")))?;
    if findings.report.overall.is_operational() {
        Ok(())
    } else {
        Err(CommandError::Unhealthy)
    }
}

fn print(findings: &Findings, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => json::write(findings, &mut out),
        Format::Table => {
            let coloured = is_coloured(out.is_terminal(), std::env::var_os("NO_COLOR").as_deref());
            table::write(findings, coloured, &mut out)
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
        assert!(PATIENCE < WHOLE && WHOLE < Duration::from_secs(15));
        assert!(ATTEMPT < PATIENCE && RETRY < PATIENCE);
    }

    #[rstest]
    #[case(true, None, true)]
    #[case(true, Some(""), true)]
    #[case(true, Some("1"), false)]
    #[case(true, Some("0"), false)]
    #[case(false, None, false)]
    fn colours_are_for_terminals_that_want_them(
        #[case] is_terminal: bool,
        #[case] no_color: Option<&str>,
        #[case] coloured: bool,
    ) {
        assert_eq!(is_coloured(is_terminal, no_color.map(OsStr::new)), coloured);
    }
}
