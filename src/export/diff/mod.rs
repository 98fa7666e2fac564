//! The grants that were added and removed between two files of syncs, in any format.
//!
//! Grants are compared by entitlement and principal. Names are only displayed, so a changed name is not a difference.

mod read;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::names::{Names, names, type_and_id};
use super::{ExportError, NamedGrant};
use crate::proto::c1::connector::v2::Resource;

/// The identity of a grant: the entitlement's id, and the principal as `type:id`.
type Key = (Arc<str>, Arc<str>);

/// The difference between two files, in the order of resource, role and principal.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Grants in the new file only. A change of role is one gained and one lost grant.
    pub gained: Vec<NamedGrant>,
    /// Grants in the old file only.
    pub lost: Vec<NamedGrant>,
}

impl Difference {
    /// Whether both files contain the same grants.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }
}

/// Compares two files.
///
/// # Errors
/// `Refused` if a file cannot be read, or was not written by a sync.
pub fn diff(old: &Path, new: &Path) -> Result<Difference, ExportError> {
    let mut ids = Ids::default();
    let old = read::read(old, &mut ids)?;
    let new = read::read(new, &mut ids)?;
    let only = |held: &Contents, elsewhere: &Contents| {
        let only = held.grants.iter().filter(|grant| !elsewhere.grants.contains(*grant));
        // If one file lacks a name, the other may have it.
        let mut only: Vec<NamedGrant> = only.map(|grant| named_grant(grant, [held, elsewhere])).collect();
        only.sort_unstable();
        only
    };
    Ok(Difference {
        gained: only(&new, &old),
        lost: only(&old, &new),
    })
}

/// Interned ids: two files of one organization contain mostly the same ones.
#[derive(Debug, Default)]
struct Ids(HashSet<Arc<str>>);

impl Ids {
    fn shared(&mut self, id: &str) -> Arc<str> {
        if let Some(known) = self.0.get(id) {
            return Arc::clone(known);
        }
        let id: Arc<str> = id.into();
        self.0.insert(Arc::clone(&id));
        id
    }
}

/// The contents of a file.
#[derive(Debug, Default)]
struct Contents {
    grants: HashSet<Key>,
    /// The names of each resource, by `type:id`.
    names: HashMap<Arc<str>, Names<String>>,
}

/// Collects the rows that a reader finds.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    contents: Contents,
    ids: &'a mut Ids,
}

impl Snapshot<'_> {
    /// Adds the names of a resource.
    pub(super) fn resource(&mut self, resource: &Resource) {
        let (kind, id) = type_and_id(resource.id.as_ref());
        self.names(kind, id, names(resource));
    }

    fn names(&mut self, kind: &str, id: &str, names: Names<String>) {
        let id = self.ids.shared(&format!("{kind}:{id}"));
        self.contents.names.insert(id, names);
    }

    /// Adds a grant of an entitlement to a principal.
    pub(super) fn grant(&mut self, entitlement: &str, principal_kind: &str, principal: &str) {
        let entitlement = self.ids.shared(entitlement);
        let principal = self.ids.shared(&format!("{principal_kind}:{principal}"));
        self.contents.grants.insert((entitlement, principal));
    }
}

/// A grant with its names. An entitlement's id consists of its resource's type and id, and its slug.
fn named_grant((entitlement, principal): &Key, files: [&Contents; 2]) -> NamedGrant {
    let (resource, role) = entitlement.rsplit_once(':').unwrap_or((entitlement, ""));
    let (resource_type, resource_id) = resource.split_once(':').unwrap_or(("", resource));
    let (principal_type, principal_id) = principal.split_once(':').unwrap_or(("", principal));
    let names = |id: &str| {
        files
            .iter()
            .find_map(|file| file.names.get(id))
            .cloned()
            .unwrap_or_default()
    };
    let (resource, principal) = (names(resource), names(principal));
    NamedGrant {
        resource_type: resource_type.to_owned(),
        resource_slug: resource.handle,
        resource_name: resource.name,
        role: role.to_owned(),
        principal_type: principal_type.to_owned(),
        principal_name: principal.name,
        principal_handle: principal.handle,
        resource_id: resource_id.to_owned(),
        principal_id: principal_id.to_owned(),
    }
}
