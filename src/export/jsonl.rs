//! `jsonl`: one object per line, in the order of the sync: `kind`, then the message's own fields.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::canonical::Canonical;
use super::output::Complete;
use super::{ExportError, Row, Sink};

pub(super) struct Lines {
    path: PathBuf,
    out: BufWriter<File>,
    canonical: Canonical,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn begin(path: &Path, file: File) -> Result<Self, ExportError> {
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(file),
            canonical: Canonical::new().map_err(|error| ExportError::write(path, error))?,
            line: Vec::new(),
        })
    }

    fn line(&mut self, row: Row<'_>) -> io::Result<()> {
        let Self { canonical, line, .. } = self;
        line.clear();
        let kind = match row {
            Row::ResourceType(message) => canonical.append(message, line).map(|()| "resource_type"),
            Row::Resource(message) => canonical.append(message, line).map(|()| "resource"),
            Row::Entitlement(message) => canonical.append(message, line).map(|()| "entitlement"),
            Row::Grant(message) => canonical.append(message, line).map(|()| "grant"),
        }?;
        // None of these messages has a field named `kind`, so it can precede the others.
        let fields = line.strip_prefix(b"{").unwrap_or_default();
        let comma = if fields.starts_with(b"}") { "" } else { "," };
        write!(self.out, "{{\"kind\":\"{kind}\"{comma}")?;
        self.out.write_all(fields)?;
        self.out.write_all(b"\n")
    }
}

impl Sink for Lines {
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError> {
        self.line(row).map_err(|error| ExportError::write(&self.path, error))
    }
}

impl Complete for Lines {
    fn complete(self: Box<Self>) -> Result<(), ExportError> {
        let Self { path, out, .. } = *self;
        let written = || out.into_inner()?.sync_all();
        written().map_err(|error: io::Error| ExportError::write(&path, error))
    }
}
