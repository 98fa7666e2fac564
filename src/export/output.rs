//! A sync's file, from the refusal of a wrong place to the complete file in it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::c1z::Database;
use super::csv::Table;
use super::json::Files;
use super::jsonl::Lines;
use super::place::{PartDirectory, PartFile};
use super::{ExportError, Format, Row, RunType, Sink};

/// A sink whose rows become a file.
pub(super) trait Complete: Sink {
    /// Writes what is left and waits until everything is on the disk. This may take some seconds.
    fn complete(self: Box<Self>) -> Result<(), ExportError>;
}

/// A file that is being written. Dropping it leaves the place as it was.
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
    /// anything else that a sync wrote is replaced.
    ///
    /// # Errors
    /// [`ExportError::Refused`] where what is at `path` would be lost; otherwise where nothing can be written there. Either way it is
    /// as it was.
    pub fn open(path: &Path, format: Format, run: RunType) -> Result<Self, ExportError> {
        let output = match format {
            Format::C1z => {
                let (part, writer) = Database::begin(path, run)?;
                Self::new(Part::File(part), writer)
            }
            Format::Jsonl => {
                let (part, file) = PartFile::create(path)?;
                let writer = Lines::begin(part.place(), file)?;
                Self::new(Part::File(part), writer)
            }
            Format::Csv => {
                let (part, file) = PartFile::create(path)?;
                let writer = Table::begin(part.place(), file)?;
                Self::new(Part::File(part), writer)
            }
            Format::Json => {
                let part = PartDirectory::create(path)?;
                let writer = Files::begin(part.place(), part.path())?;
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

    /// Where the file will be.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        match &self.part {
            Part::File(part) => part.place().to_owned(),
            Part::Directory(part) => part.place().to_owned(),
        }
    }

    /// Completes the file, waits until it is on the disk, and moves it to its place. Dropping the future leaves the place as it was.
    ///
    /// # Errors
    /// Where it cannot be written. The place is as it was.
    pub async fn finish(self) -> Result<(), ExportError> {
        let place = self.place();
        let Self { part, writer } = self;
        // Compressing and waiting for the disk would hold up everything else on this thread. The part stays here, so that its name
        // goes with this future.
        tokio::task::spawn_blocking(move || writer.complete())
            .await
            .map_err(|error| ExportError::write(&place, io::Error::other(error)))??;
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
            .field("place", &self.place())
            .finish_non_exhaustive()
    }
}
