//! `csv`: one table of grants for people and their spreadsheets.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::output::Complete;
use super::{Directory, ExportError, Membership, Row, Sink};

/// The columns, in their order.
pub const COLUMNS: [&str; 7] = [
    "team_slug",
    "team_name",
    "role",
    "user_name",
    "user_email",
    "team_id",
    "user_id",
];

impl Membership {
    /// The cells under [`COLUMNS`].
    #[must_use]
    pub fn cells(&self) -> [&str; 7] {
        [
            &self.team_slug,
            &self.team_name,
            &self.role,
            &self.user_name,
            &self.user_email,
            &self.team_id,
            &self.user_id,
        ]
    }
}

/// Writes tables of which no cell is a formula to a spreadsheet.
pub struct Cells<W: Write>(csv::Writer<W>);

impl<W: Write> Cells<W> {
    /// Begins a table with its header.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn begin(out: W, header: &[&str]) -> io::Result<Self> {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(header)?;
        Ok(Self(table))
    }

    /// Writes a row.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn row(&mut self, cells: &[&str]) -> io::Result<()> {
        for cell in cells {
            self.0.write_field(harmless(cell).as_bytes())?;
        }
        Ok(self.0.write_record(None::<&[u8]>)?)
    }

    /// Ends the table.
    ///
    /// # Errors
    /// Where what is left of it cannot be written.
    pub fn end(self) -> io::Result<W> {
        self.0.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// Whether a spreadsheet would compute a cell that begins like this.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// A cell that could be a formula, quoted by a leading apostrophe, which spreadsheets take for "this is text".
fn harmless(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

/// A cell as it was before [`harmless`].
pub(super) fn unquoted(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

/// The table of a sync's grants.
pub(super) struct Table {
    path: PathBuf,
    cells: Cells<BufWriter<File>>,
    directory: Directory,
}

impl Table {
    pub(super) fn begin(path: &Path, file: File) -> Result<Self, ExportError> {
        let cells = Cells::begin(BufWriter::new(file), &COLUMNS).map_err(|error| ExportError::write(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            cells,
            directory: Directory::default(),
        })
    }
}

impl Sink for Table {
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError> {
        match row {
            Row::Resource(resource) => self.directory.add(resource),
            Row::Grant(grant) => {
                let membership = self.directory.membership(grant);
                self.cells
                    .row(&membership.cells())
                    .map_err(|error| ExportError::write(&self.path, error))?;
            }
            Row::ResourceType(_) | Row::Entitlement(_) => {}
        }
        Ok(())
    }
}

impl Complete for Table {
    fn complete(self: Box<Self>) -> Result<(), ExportError> {
        let Self { path, cells, .. } = *self;
        let written = || cells.end()?.into_inner()?.sync_all();
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
        assert_eq!(harmless(cell), written);
        assert_eq!(unquoted(written), cell);
    }
}
