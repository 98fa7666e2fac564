//! `diff`: the roles that were gained and lost between two files.

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{Table, presets};

use super::CommandError;
use crate::export::NamedGrant;
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
    let changes = [("gained", &difference.gained), ("lost", &difference.lost)];
    let rows = || {
        changes
            .iter()
            .flat_map(|(change, grants)| grants.iter().map(move |grant| (*change, grant)))
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // A file may lack names, but never ids.
    let named = |name: &'_ str, id: &'_ str| {
        if name.is_empty() {
            id.to_owned()
        } else {
            name.to_owned()
        }
    };
    let resource = |grant: &NamedGrant| named(&grant.resource_slug, &named(&grant.resource_name, &grant.resource_id));
    let principal = |grant: &NamedGrant| named(&grant.principal_name, &grant.principal_id);
    if rows().all(|(_, grant)| grant.is_of_team_and_user()) {
        table.set_header(["", "team", "role", "user", "e-mail"]);
        table.add_rows(rows().map(|(change, grant)| {
            let (role, email) = (grant.role.clone(), grant.principal_handle.clone());
            [change.to_owned(), resource(grant), role, principal(grant), email]
        }));
    } else {
        table.set_header(["", "type", "resource", "role", "held by", "principal", "e-mail or slug"]);
        table.add_rows(rows().map(|(change, grant)| {
            [
                change.to_owned(),
                grant.resource_type.clone(),
                resource(grant),
                grant.role.clone(),
                grant.principal_type.clone(),
                principal(grant),
                grant.principal_handle.clone(),
            ]
        }));
    }
    writeln!(out, "{table}")
}
