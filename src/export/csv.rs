//! `csv`: one table of grants, for spreadsheets.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::names::{TEAM, USER};
use super::output::Complete;
use super::{ExportError, NamedGrant, ResourceNames, Row, Sink};
use crate::governance::model::ResourceTypeInfo;

/// The columns of the grants of any resource: those of [`COLUMNS`], and resource and principal of any type.
pub const ALL_COLUMNS: &[&str; 15] = &[
    "team_slug",
    "team_name",
    "role",
    "user_name",
    "user_email",
    "team_id",
    "user_id",
    "resource_type",
    "resource_slug",
    "resource_name",
    "resource_id",
    "principal_type",
    "principal_name",
    "principal_handle",
    "principal_id",
];

/// The columns of the grants of users in teams.
pub const COLUMNS: &[&str] = ALL_COLUMNS.split_at(7).0;

/// Whether a resource type is one of those that [`COLUMNS`] describe.
fn is_user_or_team(id: &str) -> bool {
    id == USER || id == TEAM
}

/// The columns of the grants of an organization with these resource types.
pub(super) fn columns(types: &[&ResourceTypeInfo]) -> &'static [&'static str] {
    if types.iter().all(|listed| is_user_or_team(listed.id)) {
        COLUMNS
    } else {
        ALL_COLUMNS
    }
}

impl NamedGrant {
    /// The cells under `columns`, which are [`COLUMNS`] or [`ALL_COLUMNS`].
    pub(super) fn cells_under(&self, columns: &[&str]) -> Vec<&str> {
        self.cells().into_iter().take(columns.len()).collect()
    }
}

/// Writes tables in which no cell is a formula to a spreadsheet.
pub struct Cells<W: Write>(csv::Writer<W>);

impl<W: Write> Cells<W> {
    /// Begins a table without a header.
    pub(super) fn new(out: W) -> Self {
        Self(csv::Writer::from_writer(out))
    }

    /// Begins a table with its header.
    ///
    /// # Errors
    /// The failure to write the header.
    pub fn begin(out: W, header: &[&str]) -> io::Result<Self> {
        let mut table = Self::new(out);
        table.row(header)?;
        Ok(table)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// The failure to write the row.
    pub fn row(&mut self, cells: &[&str]) -> io::Result<()> {
        for cell in cells {
            self.0.write_field(escaped(cell).as_bytes())?;
        }
        Ok(self.0.write_record(None::<&[u8]>)?)
    }

    /// Flushes the table and returns the writer.
    ///
    /// # Errors
    /// The failure to write the buffered rows.
    pub fn end(self) -> io::Result<W> {
        self.0.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// Whether a spreadsheet would evaluate the cell as a formula.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// Escapes a cell that could be a formula by a leading apostrophe, which marks text in spreadsheets.
fn escaped(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

/// Reverts [`escaped`].
pub(super) fn unescaped(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

/// The table of a sync's grants. Its columns follow from the resource types, which precede all other rows.
pub(super) struct Table {
    path: PathBuf,
    cells: Cells<BufWriter<File>>,
    columns: &'static [&'static str],
    has_header: bool,
    names: ResourceNames,
}

impl Table {
    pub(super) fn begin(path: &Path, file: File) -> Self {
        Self {
            path: path.to_owned(),
            cells: Cells::new(BufWriter::new(file)),
            columns: COLUMNS,
            has_header: false,
            names: ResourceNames::default(),
        }
    }

    fn add(&mut self, row: Row<'_>) -> io::Result<()> {
        if let Row::ResourceType(listed) = row {
            if !is_user_or_team(&listed.id) {
                self.columns = ALL_COLUMNS;
            }
            return Ok(());
        }
        self.begin_rows()?;
        match row {
            Row::Resource(resource) => self.names.add(resource),
            Row::Grant(grant) => self
                .cells
                .row(&self.names.named_grant(grant).cells_under(self.columns))?,
            Row::ResourceType(_) | Row::Entitlement(_) => {}
        }
        Ok(())
    }

    /// Writes the header, unless it is written already.
    fn begin_rows(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_header, true) {
            return Ok(());
        }
        self.cells.row(self.columns)
    }
}

impl Sink for Table {
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError> {
        self.add(row).map_err(|error| ExportError::write(&self.path, error))
    }
}

impl Complete for Table {
    fn complete(mut self: Box<Self>) -> Result<(), ExportError> {
        let begun = self.begin_rows();
        let Self { path, cells, .. } = *self;
        let written = || begun.and_then(|()| cells.end()?.into_inner()?.sync_all());
        written().map_err(|error: io::Error| ExportError::write(&path, error))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("=HYPERLINK(\"http://evil\")", "'=HYPERLINK(\"http://evil\")")]
    #[case("+1", "'+1")]
    #[case("-1", "'-1")]
    #[case("@SUM(A1)", "'@SUM(A1)")]
    #[case("\t=1", "'\t=1")]
    #[case("＝1", "'＝1")]
    #[case("Ada", "Ada")]
    #[case("a=b", "a=b")]
    #[case("'quoted'", "'quoted'")]
    #[case("", "")]
    fn no_cell_is_a_formula_and_every_cell_is_read_back(#[case] cell: &str, #[case] written: &str) {
        assert_eq!(escaped(cell), written);
        assert_eq!(unescaped(written), cell);
    }
}
