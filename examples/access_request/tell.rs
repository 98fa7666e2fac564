//! What is printed, and the bill: requests spent against requests needed.

use std::time::{Duration, Instant};

use buildkite_connector::proto::c1::connector::v2::{GrantAlreadyExists, GrantAlreadyRevoked, GrantReplaced, Resource};
use buildkite_connector::sandbox::{Bucket, LimitOptions, TeamRole};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table};
use indicatif::{ProgressBar, ProgressStyle};
use prost::{DecodeError, Name};
use prost_types::Any;
use tonic::Status;
use tonic_types::StatusExt;

use super::platform::Synced;
use super::stage::Stage;

/// Columns of a table where there is no terminal to ask.
const WIDTH: u16 = 100;

/// Who plays, and where.
pub(crate) fn setting(stage: &Stage) {
    let sandbox = &stage.sandbox;
    let name = sandbox.with_organization(|organization| organization.name.clone());
    println!("An access request, from the sync to the revoke\n");
    line("Buildkite", &format!("{} ({name}, made up)", sandbox.url()));
    line("connector", &format!("{} (gRPC, c1.connector.v2)", stage.address));
}

/// The heading of what happens next.
pub(crate) fn step(what: &str, why: &str) {
    println!("\n{what}: {why}");
}

/// One thing that was seen.
pub(crate) fn line(label: &str, text: &str) {
    println!("  {label:<10} {text}");
}

/// A bar on standard error; where that is no terminal, nothing is drawn.
pub(crate) fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:30} {pos}/{len} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Who is what, a row a team.
pub(crate) fn synced(synced: &Synced, took: Duration) {
    let Synced {
        people,
        teams,
        entitlements,
        grants,
    } = synced;
    let (people, teams, entitlements, grants) = (people.len(), teams.len(), entitlements.len(), grants.len());
    line(
        "found",
        &format!("{people} people, {teams} teams, {entitlements} entitlements, {grants} grants"),
    );
    line("time", &format!("{took:.0?}"));
    let mut table = table(["Team", "Maintainer", "Member"]);
    let mut teams: Vec<&Resource> = synced.teams.values().collect();
    teams.sort_unstable_by_key(|team| &team.display_name);
    for team in teams {
        let names = |role| {
            let holders = synced.holders(team, role).into_iter();
            let mut names: Vec<String> = holders.map(|person| synced.label(person)).collect();
            names.sort_unstable();
            names.join(", ")
        };
        table.add_row([team.display_name.clone(), names("maintainer"), names("member")]);
    }
    println!("\n{table}");
}

/// What a request changed in Buildkite's own data.
pub(crate) fn change(before: Option<TeamRole>, after: Option<TeamRole>) {
    let role = |role| match role {
        None => "not in the team",
        Some(TeamRole::Member) => "member",
        Some(TeamRole::Maintainer) => "maintainer",
    };
    let text = if before == after {
        format!("{}, unchanged", role(after))
    } else {
        format!("{} -> {}", role(before), role(after))
    };
    line("Buildkite", &text);
}

/// What the platform was told beside "done".
pub(crate) fn annotations(annotations: &[Any]) -> Result<(), DecodeError> {
    let mut told = vec![];
    for annotation in annotations {
        if annotation.type_url == GrantReplaced::type_url() {
            let replaced: GrantReplaced = annotation.to_msg()?;
            told.push(format!("GrantReplaced\n             {}", replaced.replaced_grant_id));
        } else if annotation.type_url == GrantAlreadyExists::type_url() {
            told.push("GrantAlreadyExists".to_owned());
        } else if annotation.type_url == GrantAlreadyRevoked::type_url() {
            told.push("GrantAlreadyRevoked".to_owned());
        }
    }
    if told.is_empty() {
        told.push("done".to_owned());
    }
    line("answer", &told.join(", "));
    Ok(())
}

/// Exactly what the platform is told of a refusal.
pub(crate) fn refusal(status: &Status) {
    let reason = status.get_details_error_info().map(|info| info.reason);
    line("code", &format!("{:?}", status.code()));
    line("reason", reason.as_deref().unwrap_or("(none)"));
    line("message", status.message());
}

/// Requests and time, a row a step.
#[derive(Default)]
pub(crate) struct Bill {
    rows: Vec<Row>,
}

struct Row {
    what: &'static str,
    spent: u64,
    needed: usize,
    took: Duration,
}

/// A step that has begun.
#[derive(Clone, Copy)]
pub(crate) struct Open {
    requests: u64,
    begun: Instant,
}

impl Open {
    pub(crate) fn elapsed(self) -> Duration {
        self.begun.elapsed()
    }
}

impl Bill {
    pub(crate) fn open(stage: &Stage) -> Open {
        Open {
            requests: stage.requests(),
            begun: Instant::now(),
        }
    }

    pub(crate) fn close(&mut self, what: &'static str, stage: &Stage, open: Open, needed: usize) {
        self.rows.push(Row {
            what,
            spent: stage.requests() - open.requests,
            needed,
            took: open.elapsed(),
        });
    }
}

/// The bill, summed.
pub(crate) fn summary(bill: &Bill, stage: &Stage) {
    step("Summary", "REST requests that Buildkite was asked");
    let mut table = table(["Step", "Requests", "Needed", "Time"]);
    for row in &bill.rows {
        table.add_row([
            row.what.to_owned(),
            row.spent.to_string(),
            row.needed.to_string(),
            format!("{:.1?}", row.took),
        ]);
    }
    let spent: u64 = bill.rows.iter().map(|row| row.spent).sum();
    let needed: usize = bill.rows.iter().map(|row| row.needed).sum();
    let took: Duration = bill.rows.iter().map(|row| row.took).sum();
    table.add_row([
        "all".to_owned(),
        spent.to_string(),
        needed.to_string(),
        format!("{took:.1?}"),
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{table}");
    if let Some(limit) = LimitOptions::default().user {
        let refused = stage.sandbox.refused(Bucket::User) + stage.sandbox.refused(Bucket::Organization);
        println!("Buildkite allows {limit} requests a minute to this token's user; {refused} were refused.");
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING.header_separator(LineStyle::none().fill('─').junction('─')))
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    table
}
