//! `json`: a directory with one array of messages for each resource type, and one of grants.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use prost::Name;

use super::canonical::Canonical;
use super::output::Complete;
use super::plural::plural;
use super::{ExportError, Row, Sink};

/// The file of the grants.
pub(super) const GRANTS: &str = "grants.json";

pub(super) struct Files {
    destination: PathBuf,
    canonical: Canonical,
    directory: PathBuf,
    /// Each resource type's id, and its array: the file `test_suites.json` for the type with the name "Test suite".
    resources: Vec<(String, Array)>,
    grants: Array,
}

impl Files {
    /// Begins the files in `directory`, which is moved to `destination` later.
    pub(super) fn begin(destination: &Path, directory: &Path) -> Result<Self, ExportError> {
        let failed = |error| ExportError::write(destination, error);
        Ok(Self {
            destination: destination.to_owned(),
            canonical: Canonical::new().map_err(failed)?,
            directory: directory.to_owned(),
            resources: Vec::new(),
            grants: Array::begin(&directory.join(GRANTS)).map_err(failed)?,
        })
    }
}

impl Sink for Files {
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError> {
        let written = match row {
            Row::Resource(resource) => {
                let kind = resource.id.as_ref().map(|id| id.resource_type.as_str());
                match self.resources.iter_mut().find(|(of, _)| Some(of.as_str()) == kind) {
                    Some((_, array)) => array.push(&self.canonical, resource),
                    None => Ok(()),
                }
            }
            Row::Grant(grant) => self.grants.push(&self.canonical, grant),
            Row::ResourceType(listed) => {
                let file = self
                    .directory
                    .join(format!("{}.json", plural(&listed.display_name).replace(' ', "_")));
                Array::begin(&file).map(|array| self.resources.push((listed.id.clone(), array)))
            }
            // Entitlements follow from the resource types and the resources.
            Row::Entitlement(_) => Ok(()),
        };
        written.map_err(|error| ExportError::write(&self.destination, error))
    }
}

impl Complete for Files {
    fn complete(self: Box<Self>) -> Result<(), ExportError> {
        let arrays = self.resources.into_iter().map(|(_, array)| array);
        arrays
            .chain([self.grants])
            .try_for_each(Array::end)
            .map_err(|error| ExportError::write(&self.destination, error))
    }
}

/// An array that is written element by element.
struct Array {
    out: BufWriter<File>,
    element: Vec<u8>,
    is_empty: bool,
}

impl Array {
    fn begin(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut out = BufWriter::new(file);
        out.write_all(b"[")?;
        Ok(Self {
            out,
            element: Vec::new(),
            is_empty: true,
        })
    }

    fn push<M: Name>(&mut self, canonical: &Canonical, message: &M) -> io::Result<()> {
        self.element.clear();
        canonical.append(message, &mut self.element)?;
        self.out.write_all(if self.is_empty { b"\n" } else { b",\n" })?;
        self.is_empty = false;
        self.out.write_all(&self.element)
    }

    fn end(mut self) -> io::Result<()> {
        self.out.write_all(b"\n]\n")?;
        self.out.into_inner()?.sync_all()
    }
}
