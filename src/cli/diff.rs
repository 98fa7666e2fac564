//! `diff`: the roles that were gained and lost between two files.

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{Table, presets};

use super::CommandError;
use crate::export::diff::{Difference, diff};

/// The arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The earlier file, in any format that `sync` writes
    old: PathBuf,
    /// The later file, in the same format or another
    new: PathBuf,
    /// Format of the difference
    #[arg(long, value_enum, default_value = "table")]
    format: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// A table for a terminal
    Table,
    /// JSON
    Json,
}

/// Compares two files. The exit code is 0 if they are equal, 1 if they differ, 2 if they cannot be compared.
pub(super) fn run(args: &DiffArgs) -> Result<(), CommandError> {
    let refused = |problem: String| CommandError::Refused(problem);
    let difference = diff(&args.old, &args.new).map_err(|error| refused(error.to_string()))?;
    let mut out = io::stdout().lock();
    let printed = match args.format {
        Layout::Table => table(&difference, &mut out),
        Layout::Json => json(&difference, &mut out),
    };
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(refused(format!("the difference cannot be printed: {error}")))
        }
        _ if difference.is_empty() => Ok(()),
        _ => Err(CommandError::Different),
    }
}

fn json(difference: &Difference, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, difference)?;
    writeln!(out)
}

fn table(difference: &Difference, out: &mut impl Write) -> io::Result<()> {
    if difference.is_empty() {
        return writeln!(out, "no difference");
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["", "team", "role", "user", "e-mail"]);
    let changes = [("gained", &difference.gained), ("lost", &difference.lost)];
    for (change, memberships) in changes {
        for held in memberships {
            // A file may lack names, but never ids.
            let named = |name: &str, id: &str| {
                if name.is_empty() {
                    id.to_owned()
                } else {
                    name.to_owned()
                }
            };
            table.add_row([
                change.to_owned(),
                named(&held.team_slug, &held.team_id),
                held.role.clone(),
                named(&held.user_name, &held.user_id),
                held.user_email.clone(),
            ]);
        }
    }
    writeln!(out, "{table}")
}
