//! `check`: scope health for an operator with ten minutes, or for a script.

mod json;
mod table;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::CommandError;
use super::settings::{ConnectionArgs, Settings};
use crate::access::Access;
use crate::access::scopes::Report;
use crate::buildkite::budget::BudgetState;
use crate::buildkite::{Call, Client, Lane};

/// The command answers within 15 s whatever happens; this leaves time to print.
const WHOLE: Duration = Duration::from_secs(14);

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
}

/// Checks everything once and prints it.
pub(super) async fn run(args: &CheckArgs) -> Result<(), CommandError> {
    let settings = Settings::read(&args.connection, |name| std::env::var(name).ok())?;
    let mut options = settings.client;
    options.attempt_timeout = options.attempt_timeout.min(ATTEMPT);
    options.retry_for = options.retry_for.min(RETRY);
    options.budget.max_wait = options.budget.max_wait.min(RETRY);
    let provisioning = settings.access.provisioning;
    let client = Client::with_credential(settings.origin, settings.organization, settings.credential, options)
        .map_err(|error| CommandError::Failed(error.to_string()))?;
    let access = Access::new(Arc::new(client), settings.access);
    let call = Call::new(Lane::Interactive).until(Some(Instant::now() + WHOLE));
    let report = match timeout(WHOLE, access.health(Duration::ZERO, &call)).await {
        Ok(report) => report,
        Err(_) => access.latest_health(),
    };
    let findings = Findings {
        report,
        budget: access.budget(),
        provisioning,
    };
    print(&findings, args.format)
        .map_err(|error| CommandError::Failed(format!("the result cannot be printed: {error}")))?;
    if findings.report.overall.works() {
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
            let coloured = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            table::write(findings, coloured, &mut out)
        }
    }?;
    out.flush()
}
