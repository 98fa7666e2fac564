//! `diff`: who gained and who lost what between two files.

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{Table, presets};

use super::CommandError;
use crate::export::diff::{Difference, diff};

/// What `diff` can be told.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The earlier file, of any format that `sync` writes
    old: PathBuf,
    /// The later file, of the same format or another
    new: PathBuf,
    /// How the difference is printed
    #[arg(long, value_enum, default_value = "table")]
    format: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// For people
    Table,
    /// For scripts
    Json,
}

/// Compares two files: exit code 0 where they are equal, 1 where they differ, 2 where they cannot be compared.
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
            // A file may lack names; an id is always there.
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
