//! Rows as a table, as CSV or as JSON. They are kept until all of them are known, because a list that an error cuts short would look
//! complete.

use std::io::{self, Seek, SeekFrom, Write};

use comfy_table::{Table, presets};
use serde::Serializer as _;
use serde::ser::SerializeMap;
use tempfile::SpooledTempFile;

use super::Layout;
use crate::export::{Cells, ExportError};

/// Bytes that are kept in memory; more are kept in an unnamed file.
const IN_MEMORY: usize = 1 << 20;

pub(super) struct Printer {
    columns: &'static [&'static str],
    rows: Rows,
}

enum Rows {
    Table(Table),
    Csv(Cells<SpooledTempFile>),
    Json { text: SpooledTempFile, is_empty: bool },
}

impl Printer {
    pub(super) fn begin(layout: Layout, columns: &'static [&'static str]) -> io::Result<Self> {
        let rows = match layout {
            Layout::Table => {
                let mut table = Table::new();
                table.load_style(presets::NOTHING).set_header(columns);
                Rows::Table(table)
            }
            Layout::Csv => Rows::Csv(Cells::begin(SpooledTempFile::new(IN_MEMORY), columns)?),
            Layout::Json => Rows::Json {
                text: SpooledTempFile::new(IN_MEMORY),
                is_empty: true,
            },
        };
        Ok(Self { columns, rows })
    }

    /// Keeps a row: one cell for each column.
    pub(super) fn row(&mut self, cells: &[&str]) -> Result<(), ExportError> {
        let kept = match &mut self.rows {
            Rows::Table(table) => {
                table.add_row(cells);
                Ok(())
            }
            Rows::Csv(table) => table.row(cells),
            Rows::Json { text, is_empty } => {
                let begin: &[u8] = if std::mem::take(is_empty) { b"[\n" } else { b",\n" };
                text.write_all(begin).and_then(|()| object(text, self.columns, cells))
            }
        };
        kept.map_err(|source| ExportError::Write {
            path: std::env::temp_dir(),
            source,
        })
    }

    /// Prints everything. A closed pipe is not an error: its reader has seen enough.
    pub(super) fn end(self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let printed = match self.rows {
            Rows::Table(table) => writeln!(out, "{table}"),
            Rows::Csv(table) => copy(table.end()?, &mut out),
            Rows::Json { mut text, is_empty } => {
                text.write_all(if is_empty { b"[]\n" } else { b"\n]\n" })?;
                copy(text, &mut out)
            }
        };
        match printed.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            printed => printed,
        }
    }
}

fn object(out: &mut impl Write, columns: &[&str], cells: &[&str]) -> io::Result<()> {
    let mut json = serde_json::Serializer::new(out);
    let mut object = json.serialize_map(Some(columns.len()))?;
    for (column, cell) in columns.iter().zip(cells) {
        object.serialize_entry(column, cell)?;
    }
    Ok(object.end()?)
}

fn copy(mut kept: SpooledTempFile, out: &mut impl Write) -> io::Result<()> {
    kept.seek(SeekFrom::Start(0))?;
    io::copy(&mut kept, out).map(drop)
}
