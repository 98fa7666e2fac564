//! The number of rows in a sync.

use super::plural::plural;
use crate::governance::model::ResourceTypeInfo;

/// The number of rows of each kind in a sync.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of resources of each type that the sync includes, in the order of the catalog.
    pub resources: Vec<(&'static ResourceTypeInfo, usize)>,
    /// The number of entitlements.
    pub entitlements: usize,
    /// The number of grants.
    pub grants: usize,
}

impl Counts {
    /// Counts of zero for these types.
    pub(super) fn of(types: impl Iterator<Item = &'static ResourceTypeInfo>) -> Self {
        Self {
            resources: types.map(|included| (included, 0)).collect(),
            ..Self::default()
        }
    }

    /// Counts a resource of a type that is included.
    pub(super) fn add(&mut self, resource_type: &ResourceTypeInfo) {
        let mut counted = self.resources.iter_mut();
        if let Some((_, count)) = counted.find(|(included, _)| *included == resource_type) {
            *count += 1;
        }
    }

    /// The number of resources of the type with this id; zero if the type is not included.
    #[must_use]
    pub fn of_type(&self, id: &str) -> usize {
        let mut counted = self.resources.iter();
        counted
            .find(|(included, _)| included.id == id)
            .map_or(0, |(_, count)| *count)
    }

    /// The counts of the types that `is_named` selects, such as `14 users, 7 teams`; empty if it selects none.
    #[must_use]
    pub fn in_words(&self, is_named: impl Fn(&ResourceTypeInfo) -> bool) -> String {
        let named = self.resources.iter().filter(|(included, _)| is_named(included));
        let words: Vec<String> = named
            .map(|(included, count)| match count {
                1 => format!("1 {}", included.display_name.to_lowercase()),
                _ => format!("{count} {}", plural(included.display_name)),
            })
            .collect();
        words.join(", ")
    }
}
