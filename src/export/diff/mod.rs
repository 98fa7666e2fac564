//! Who gained and who lost what between two files of syncs, of whatever formats.
//!
//! Grants are compared by what they grant to whom; names are for the reader only, and a name that changed is no difference.

mod read;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::directory::names;
use super::{ExportError, Membership};
use crate::proto::c1::connector::v2::Resource;

/// What a grant is compared by: the entitlement's id, and the principal as `type:id`.
type Key = (Arc<str>, Arc<str>);

/// The difference, in the order of team, role and user.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Held in the new file only. A change of role is one of these and one of the lost.
    pub gained: Vec<Membership>,
    /// Held in the old file only.
    pub lost: Vec<Membership>,
}

impl Difference {
    /// Whether the same is held by the same in both files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }
}

/// Compares two files.
///
/// # Errors
/// Where one of them cannot be read, or is not a sync's.
pub fn diff(old: &Path, new: &Path) -> Result<Difference, ExportError> {
    let mut ids = Ids::default();
    let old = read::read(old, &mut ids)?;
    let new = read::read(new, &mut ids)?;
    let only = |held: &Contents, elsewhere: &Contents| {
        let only = held.grants.iter().filter(|grant| !elsewhere.grants.contains(*grant));
        // A name that this file lacks may stand in the other.
        let mut only: Vec<Membership> = only.map(|grant| membership(grant, [held, elsewhere])).collect();
        only.sort_unstable();
        only
    };
    Ok(Difference {
        gained: only(&new, &old),
        lost: only(&old, &new),
    })
}

/// Every id once, as two files of one organization hold mostly the same.
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

/// What a file holds of a sync.
#[derive(Debug, Default)]
struct Contents {
    grants: HashSet<Key>,
    /// Two names of each resource, by `type:id`.
    names: HashMap<Arc<str>, [String; 2]>,
}

/// Takes what a reader finds.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    contents: Contents,
    ids: &'a mut Ids,
}

impl Snapshot<'_> {
    /// A resource of which only the names are of interest.
    pub(super) fn resource(&mut self, resource: &Resource) {
        if let Some(id) = &resource.id {
            self.names(&id.resource_type, &id.resource, names(resource));
        }
    }

    fn names(&mut self, kind: &str, id: &str, names: [String; 2]) {
        let id = self.ids.shared(&format!("{kind}:{id}"));
        self.contents.names.insert(id, names);
    }

    /// A grant of an entitlement to a principal.
    pub(super) fn grant(&mut self, entitlement: &str, principal_kind: &str, principal: &str) {
        let entitlement = self.ids.shared(entitlement);
        let principal = self.ids.shared(&format!("{principal_kind}:{principal}"));
        self.contents.grants.insert((entitlement, principal));
    }
}

/// A grant with its names. An entitlement's id is its resource's type and id, and its slug.
fn membership((entitlement, principal): &Key, files: [&Contents; 2]) -> Membership {
    let (resource, role) = entitlement.rsplit_once(':').unwrap_or((entitlement, ""));
    let (resource_type, team_id) = resource.split_once(':').unwrap_or(("", resource));
    let (_, user_id) = principal.split_once(':').unwrap_or(("", principal));
    let names = |id: &str| {
        files
            .iter()
            .find_map(|file| file.names.get(id))
            .cloned()
            .unwrap_or_default()
    };
    let ([team_slug, team_name], [user_name, user_email]) = (names(resource), names(principal));
    Membership {
        resource_type: resource_type.to_owned(),
        team_slug,
        team_name,
        role: role.to_owned(),
        user_name,
        user_email,
        team_id: team_id.to_owned(),
        user_id: user_id.to_owned(),
    }
}
