//! Rows in insertion order with an index by id. Lists are served as slices, so the cost of a page does not depend on
//! the length of its list.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

/// The id and the age of a row within its list.
pub(super) trait Keyed {
    fn key(&self) -> Uuid;

    fn created_at(&self) -> Timestamp;
}

/// An ordered list with an index by id. Adding and finding take constant time. Removing takes linear time, which is
/// rare.
#[derive(Clone, Debug)]
pub(super) struct IndexedList<T> {
    rows: Vec<T>,
    positions: HashMap<Uuid, usize>,
}

impl<T> Default for IndexedList<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            positions: HashMap::new(),
        }
    }
}

impl<T: Keyed> IndexedList<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        &self.rows
    }

    pub(super) fn get(&self, key: Uuid) -> Option<&T> {
        self.positions.get(&key).and_then(|&position| self.rows.get(position))
    }

    pub(super) fn get_mut(&mut self, key: Uuid) -> Option<&mut T> {
        self.positions
            .get(&key)
            .and_then(|&position| self.rows.get_mut(position))
    }

    pub(super) fn contains(&self, key: Uuid) -> bool {
        self.positions.contains_key(&key)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut()
    }

    /// Adds a row at the end, or replaces the row with the same id.
    pub(super) fn push(&mut self, row: T) {
        if let Some(present) = self.get_mut(row.key()) {
            *present = row;
            return;
        }
        self.positions.insert(row.key(), self.rows.len());
        self.rows.push(row);
    }

    /// Inserts a row before all others.
    pub(super) fn push_front(&mut self, row: T) {
        self.remove(row.key());
        self.rows.insert(0, row);
        self.index_from(0);
    }

    pub(super) fn remove(&mut self, key: Uuid) -> Option<T> {
        let position = self.positions.remove(&key)?;
        let row = self.rows.remove(position);
        self.index_from(position);
        Some(row)
    }

    fn index_from(&mut self, start: usize) {
        for (position, row) in self.rows.iter().enumerate().skip(start) {
            self.positions.insert(row.key(), position);
        }
    }
}
