//! The output as a table: the checks, the token and its owner, the remaining rate limits, and the steps to take.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::CheckOutput;
use crate::governance::Change;
use crate::governance::health::{CheckResult, CredentialReport, Expiry, Report, State, format_minute};
use crate::governance::rate_limit::{Bucket, BudgetState};
use crate::providers::buildkite::{Coverage, IncludedType, Scope};

/// Writes several connections, a section each.
pub(super) fn write_all(outputs: &[CheckOutput], coloured: bool, out: &mut impl Write) -> io::Result<()> {
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        if let Some(name) = &output.name {
            writeln!(out, "[connection.{name}]")?;
        }
        write(output, coloured, out)?;
    }
    Ok(())
}

/// Writes one connection.
pub(super) fn write(output: &CheckOutput, coloured: bool, out: &mut impl Write) -> io::Result<()> {
    let CheckOutput {
        name: _,
        report,
        budget,
        coverage,
        now,
    } = output;
    let widths = Widths::of(&report.checks);
    for result in &report.checks {
        row(result, widths, coloured, out)?;
    }
    writeln!(out)?;
    credential(report, *now, out)?;
    windows(budget, out)?;
    covered(coverage, out)?;
    if coverage.allowed().is_empty() {
        writeln!(
            out,
            "writes         off: grants and revokes are refused (--provisioning turns them on)"
        )?;
    }
    for hint in report.hints() {
        writeln!(out, "hint           {hint}")?;
    }
    steps(report, out)
}

/// The widths of the first two columns, in characters.
#[derive(Debug, Clone, Copy)]
struct Widths {
    id: usize,
    scope: usize,
}

impl Widths {
    /// Those of the checks of every configuration, or more if an id or a scope needs it.
    fn of(checks: &[CheckResult]) -> Self {
        let longest = |length: fn(&CheckResult) -> usize| checks.iter().map(length).max();
        Self {
            id: longest(|result| result.id().len()).unwrap_or_default().max(28),
            scope: longest(|result| result.check.scope.unwrap_or("-").len())
                .unwrap_or_default()
                .max(19),
        }
    }
}

fn row(
    result: &CheckResult,
    Widths { id, scope: width }: Widths,
    coloured: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let check = result.check;
    let scope = check.scope.unwrap_or("-");
    let (mark, colour) = mark(result.state);
    let mark = if coloured {
        format!("\u{1b}[{colour}m{mark}\u{1b}[0m")
    } else {
        mark.to_owned()
    };
    let summary = &result.summary;
    let without = if result.state == State::Unhealthy {
        format!(" (so {})", check.impact)
    } else {
        String::new()
    };
    writeln!(out, "{mark} {:<id$} {scope:<width$} {summary}{without}", result.id())
}

/// The mark and its ANSI colour code.
fn mark(state: State) -> (&'static str, u8) {
    match state {
        State::Healthy => ("✓", 32),
        State::Degraded => ("!", 33),
        State::Unhealthy => ("✗", 31),
        State::Unknown => ("?", 35),
        State::NotRequired => ("-", 90),
    }
}

/// What the settings cover beside users, teams and memberships.
fn covered(coverage: &Coverage, out: &mut impl Write) -> io::Result<()> {
    let included: Vec<&str> = coverage.included().map(IncludedType::as_str).collect();
    let allowed: Vec<&str> = coverage.allowed().iter().map(Change::as_str).collect();
    let others: Vec<&str> = coverage.others().map(Scope::as_str).collect();
    let is_shown = !included.is_empty()
        || !others.is_empty()
        || allowed.iter().any(|change| *change != Change::Membership.as_str());
    if !is_shown {
        return Ok(());
    }
    let lists = [("included", included), ("allowed", allowed), ("required", others)];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        writeln!(out, "{name:<14} {}", list.join(" "))?;
    }
    Ok(())
}

fn credential(report: &Report, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "organization   {}", report.organization)?;
    let Some(credential) = &report.credential else {
        return writeln!(out, "token          unknown");
    };
    let CredentialReport {
        owner_name,
        owner_email,
        scopes,
        expiry,
        ..
    } = credential;
    let owner = match (owner_name.as_str(), owner_email.as_str()) {
        ("", "") => "an unknown owner".to_owned(),
        (name, "") => name.to_owned(),
        ("", email) => email.to_owned(),
        (name, email) => format!("{name} <{email}>"),
    };
    writeln!(out, "token          of {owner}, {}", ends(*expiry, now))?;
    writeln!(out, "scopes         {}", scopes.join(" "))
}

fn ends(expiry: Expiry, now: Timestamp) -> String {
    let at = match expiry {
        Expiry::Never => return "never expires".to_owned(),
        Expiry::Renewed => return "is renewed before it expires".to_owned(),
        Expiry::Unreadable => return "expires at a time that cannot be read".to_owned(),
        Expiry::At(at) => at,
    };
    let moment = format_minute(at);
    let left = Duration::try_from(at.duration_since(now));
    match left.map(|left| left.as_secs() / 60) {
        Err(_) => format!("expired at {moment}"),
        Ok(minutes @ 0..=119) => format!("expires at {moment}, in {minutes} minutes"),
        Ok(minutes @ 120..=2_879) => format!("expires at {moment}, in {} hours", minutes / 60),
        Ok(minutes) => format!("expires at {moment}, in {} days", minutes / 1_440),
    }
}

fn windows(budget: &BudgetState, out: &mut impl Write) -> io::Result<()> {
    for state in &budget.buckets {
        let whose = match state.bucket {
            Bucket::Organization => "organization",
            Bucket::User => "token's owner",
        };
        let of = state.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        let reset = state.resets_at.map_or_else(String::new, |at| {
            let left = at.saturating_duration_since(Instant::now()).as_secs();
            format!(", a new window in {left} s")
        });
        writeln!(
            out,
            "rate limit     {whose}: {}{of} requests left{reset}",
            state.remaining
        )?;
    }
    Ok(())
}

fn steps(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let remedies: Vec<&str> = report.checks.iter().map(|result| result.remedy.as_str()).collect();
    let mut steps: Vec<&str> = Vec::new();
    for remedy in remedies.iter().copied().filter(|remedy| !remedy.is_empty()) {
        // A remedy that is the beginning of another is part of that one.
        let is_part = remedies
            .iter()
            .any(|other| *other != remedy && other.starts_with(remedy));
        if !is_part && !steps.contains(&remedy) {
            steps.push(remedy);
        }
    }
    if steps.is_empty() {
        return writeln!(out, "\neverything that is needed works");
    }
    writeln!(out, "\nwhat to do")?;
    for (number, step) in steps.iter().enumerate() {
        writeln!(out, "{}. {step}", number + 1)?;
    }
    Ok(())
}
