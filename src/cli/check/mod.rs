//! `check`: scope health for an operator with ten minutes, or for a script.

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
use crate::governance::Governance;
use crate::governance::health::Report;
use crate::providers::buildkite::Client;
use crate::providers::buildkite::budget::BudgetState;

/// The command answers within 15 s whatever happens; this leaves time to print.
const WHOLE: Duration = Duration::from_secs(14);

/// How long Buildkite is waited for: shorter, so that what it did not answer is told as that.
const PATIENCE: Duration = Duration::from_secs(13);

/// One attempt, and how long trouble is ridden out: short, since somebody looks at the screen.
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
    let access = Arc::new(Governance::new(Arc::new(client), access));
    let report = access.health(Duration::ZERO, Some(Instant::now() + WHOLE)).await;
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

/// Colours are for terminals, and not for who set `NO_COLOR` to anything (<https://no-color.org>).
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
