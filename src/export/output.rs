//! The file of a sync: checks the path, writes the rows in a format, and publishes the complete file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::c1z::Database;
use super::csv::Table;
use super::json::Files;
use super::jsonl::Lines;
use super::part::{PartDirectory, PartFile};
use super::{ExportError, Format, Row, RunType, Sink};

/// A sink that writes a file.
pub(super) trait Complete: Sink {
    /// Writes the rest and waits until the file is on the disk. This may take some seconds.
    fn complete(self: Box<Self>) -> Result<(), ExportError>;
}

/// A file that is being written. Dropping it leaves the path unchanged.
pub struct Output {
    part: Part,
    writer: Box<dyn Complete>,
}

enum Part {
    File(PartFile),
    Directory(PartDirectory),
}

impl Output {
    /// Begins a file of this format at `path`, for a run of this type. An existing c1z keeps its two newest finished full runs;
    /// any other file of a sync is replaced.
    ///
    /// # Errors
    /// [`ExportError::Refused`] if the file at `path` would be lost, or the failure to write there. The path is left unchanged.
    pub fn open(path: &Path, format: Format, run: RunType) -> Result<Self, ExportError> {
        let output = match format {
            Format::C1z => {
                let (part, writer) = Database::begin(path, run)?;
                Self::new(Part::File(part), writer)
            }
            Format::Jsonl => {
                let (part, file) = PartFile::create(path)?;
                let writer = Lines::begin(part.destination(), file)?;
                Self::new(Part::File(part), writer)
            }
            Format::Csv => {
                let (part, file) = PartFile::create(path)?;
                let writer = Table::begin(part.destination(), file);
                Self::new(Part::File(part), writer)
            }
            Format::Json => {
                let part = PartDirectory::create(path)?;
                let writer = Files::begin(part.destination(), part.path())?;
                Self::new(Part::Directory(part), writer)
            }
        };
        Ok(output)
    }

    fn new(part: Part, writer: impl Complete + 'static) -> Self {
        Self {
            part,
            writer: Box::new(writer),
        }
    }

    /// The path of the complete file.
    #[must_use]
    pub fn destination(&self) -> PathBuf {
        match &self.part {
            Part::File(part) => part.destination().to_owned(),
            Part::Directory(part) => part.destination().to_owned(),
        }
    }

    /// Completes the file, waits until it is on the disk, and renames it. Dropping the future leaves the path unchanged.
    ///
    /// # Errors
    /// The failure to write or rename the file. The path is left unchanged.
    pub async fn finish(self) -> Result<(), ExportError> {
        let destination = self.destination();
        let Self { part, writer } = self;
        // Compressing and waiting for the disk would block the runtime's thread. The part stays here, so that dropping this future
        // removes it.
        tokio::task::spawn_blocking(move || writer.complete())
            .await
            .map_err(|error| ExportError::write(&destination, io::Error::other(error)))??;
        match part {
            Part::File(part) => part.publish(),
            Part::Directory(part) => part.publish(),
        }
    }
}

impl Sink for Output {
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError> {
        self.writer.write(row)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("destination", &self.destination())
            .finish_non_exhaustive()
    }
}
