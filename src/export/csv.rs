//! `csv`: one table of grants, for spreadsheets.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::output::Complete;
use super::{ExportError, NamedGrant, ResourceNames, Row, Sink};

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

impl NamedGrant {
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

/// Writes tables in which no cell is a formula to a spreadsheet.
pub struct Cells<W: Write>(csv::Writer<W>);

impl<W: Write> Cells<W> {
    /// Begins a table with its header.
    ///
    /// # Errors
    /// The failure to write the header.
    pub fn begin(out: W, header: &[&str]) -> io::Result<Self> {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(header)?;
        Ok(Self(table))
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

/// The table of a sync's grants.
pub(super) struct Table {
    path: PathBuf,
    cells: Cells<BufWriter<File>>,
    names: ResourceNames,
}

impl Table {
    pub(super) fn begin(path: &Path, file: File) -> Result<Self, ExportError> {
        let cells = Cells::begin(BufWriter::new(file), &COLUMNS).map_err(|error| ExportError::write(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            cells,
            names: ResourceNames::default(),
        })
    }
}

impl Sink for Table {
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError> {
        match row {
            Row::Resource(resource) => self.names.add(resource),
            Row::Grant(grant) => {
                let named = self.names.named_grant(grant);
                self.cells
                    .row(&named.cells())
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
        assert_eq!(escaped(cell), written);
        assert_eq!(unescaped(written), cell);
    }
}
