//! `json`: a directory with one array of messages a resource type, and one of grants.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use prost::Name;

use super::canonical::Canonical;
use super::output::Complete;
use super::{ExportError, Row, Sink};
use crate::governance::ResourceKind;

/// The file of the grants.
pub(super) const GRANTS: &str = "grants.json";

/// The file of a resource type, such as `users.json`.
pub(super) fn file_of(kind: ResourceKind) -> String {
    format!("{}s.json", kind.id())
}

pub(super) struct Files {
    place: PathBuf,
    canonical: Canonical,
    /// Each resource type's id, and its array.
    resources: Vec<(&'static str, Array)>,
    grants: Array,
}

impl Files {
    /// Begins the files of these resource types in `directory`, which will be at `place`.
    pub(super) fn begin(place: &Path, directory: &Path, kinds: &[ResourceKind]) -> Result<Self, ExportError> {
        let failed = |error| ExportError::write(place, error);
        let resources = kinds
            .iter()
            .map(|kind| Ok((kind.id(), Array::begin(&directory.join(file_of(*kind)))?)))
            .collect::<io::Result<_>>()
            .map_err(failed)?;
        Ok(Self {
            place: place.to_owned(),
            canonical: Canonical::new().map_err(failed)?,
            resources,
            grants: Array::begin(&directory.join(GRANTS)).map_err(failed)?,
        })
    }
}

impl Sink for Files {
    fn write(&mut self, row: Row<'_>) -> Result<(), ExportError> {
        let written = match row {
            Row::Resource(resource) => {
                let kind = resource.id.as_ref().map(|id| id.resource_type.as_str());
                match self.resources.iter_mut().find(|(of, _)| Some(*of) == kind) {
                    Some((_, array)) => array.push(&self.canonical, resource),
                    None => Ok(()),
                }
            }
            Row::Grant(grant) => self.grants.push(&self.canonical, grant),
            // Both follow from the resource types and the teams.
            Row::ResourceType(_) | Row::Entitlement(_) => Ok(()),
        };
        written.map_err(|error| ExportError::write(&self.place, error))
    }
}

impl Complete for Files {
    fn complete(self: Box<Self>) -> Result<(), ExportError> {
        let arrays = self.resources.into_iter().map(|(_, array)| array);
        arrays
            .chain([self.grants])
            .try_for_each(Array::end)
            .map_err(|error| ExportError::write(&self.place, error))
    }
}

/// An array that is written as its elements come.
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
