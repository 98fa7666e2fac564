//! The index of carried access: from a resource to the principals that hold a level of it.
//!
//! The provider's rows come by principal. The index keeps 12 bytes for each pair of a resource and a principal, so that 2,000
//! principals with 500 resources each take 12 MB. The ids are stored once.

use std::collections::HashMap;

use uuid::Uuid;

use crate::governance::model::{Level, ResourceTypeInfo};
use crate::governance::provider::Carried;

/// A principal whose list is to be read, as it was when [`CarriedIndex::pending`] named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingCarrier {
    pub(super) id: Uuid,
    number: u32,
    generation: u32,
}

/// The access that principals carry to the resources of one type.
#[derive(Debug)]
pub(super) struct CarriedIndex {
    resource_type: &'static ResourceTypeInfo,
    carriers: Vec<Carrier>,
    carrier_numbers: HashMap<Uuid, u32>,
    /// The number of each resource.
    resources: HashMap<Uuid, u32>,
    /// Sorted by resource and principal, unless rows were added since.
    pairs: Vec<Pair>,
    is_sorted: bool,
    /// How many principals' lists are to be read.
    pending: usize,
}

/// A principal, and whether its rows are in the index.
#[derive(Debug)]
struct Carrier {
    id: Uuid,
    /// How often its rows were invalidated.
    generation: u32,
    is_read: bool,
    has_rows: bool,
}

/// A principal that holds a level of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    resource: u32,
    carrier: u32,
    /// The index of the level in the type's levels; [`UNKNOWN_LEVEL`] if it is not in the catalog.
    level: u8,
}

const UNKNOWN_LEVEL: u8 = u8::MAX;

impl CarriedIndex {
    /// An empty index for resources of this type.
    pub(super) fn new(resource_type: &'static ResourceTypeInfo) -> Self {
        Self {
            resource_type,
            carriers: Vec::new(),
            carrier_numbers: HashMap::new(),
            resources: HashMap::new(),
            pairs: Vec::new(),
            is_sorted: true,
            pending: 0,
        }
    }

    /// Adds principals, whose lists are to be read. Principals that the index has keep their rows.
    pub(super) fn add_carriers(&mut self, carriers: impl IntoIterator<Item = Uuid>) {
        for id in carriers {
            let number = number(self.carriers.len());
            self.carrier_numbers.entry(id).or_insert_with(|| {
                self.pending += 1;
                self.carriers.push(Carrier {
                    id,
                    generation: 0,
                    is_read: false,
                    has_rows: false,
                });
                number
            });
        }
    }

    /// Whether the list of every principal was read.
    pub(super) fn is_complete(&self) -> bool {
        self.pending == 0
    }

    /// How many principals' lists are to be read.
    pub(super) fn pending_count(&self) -> usize {
        self.pending
    }

    /// How many principals there are.
    pub(super) fn carrier_count(&self) -> usize {
        self.carriers.len()
    }

    /// The principals whose lists are to be read.
    pub(super) fn pending(&self) -> Vec<PendingCarrier> {
        let numbered = (0..).zip(&self.carriers);
        let pending = numbered.filter(|(_, carrier)| !carrier.is_read);
        let pending = pending.map(|(number, carrier)| PendingCarrier {
            id: carrier.id,
            number,
            generation: carrier.generation,
        });
        pending.collect()
    }

    /// Stores the rows of a principal in place of its earlier ones, unless they were invalidated since it was pending.
    pub(super) fn store(&mut self, pending: PendingCarrier, rows: &[Carried]) {
        let Some(carrier) = self.carriers.get_mut(pending.number as usize) else {
            return;
        };
        if carrier.is_read || carrier.generation != pending.generation {
            return;
        }
        if carrier.has_rows {
            self.pairs.retain(|pair| pair.carrier != pending.number);
        }
        carrier.is_read = true;
        carrier.has_rows = !rows.is_empty();
        self.pending -= 1;
        // Of several rows about one resource the last one is current.
        let mut levels = HashMap::with_capacity(rows.len());
        levels.extend(rows.iter().map(|row| (row.resource, row.level)));
        for (resource, level) in levels {
            let next = number(self.resources.len());
            self.pairs.push(Pair {
                resource: *self.resources.entry(resource).or_insert(next),
                carrier: pending.number,
                level: self.level_index(level),
            });
            self.is_sorted = false;
        }
    }

    /// Makes the list of a principal pending, because it changes.
    pub(super) fn invalidate(&mut self, carrier: Uuid) {
        let number = self.carrier_numbers.get(&carrier);
        if let Some(carrier) = number.and_then(|number| self.carriers.get_mut(*number as usize)) {
            carrier.generation += 1;
            self.pending += usize::from(carrier.is_read);
            carrier.is_read = false;
        }
    }

    /// Drops the rows of a principal that no longer exists; its list is not read again.
    pub(super) fn remove(&mut self, carrier: Uuid) {
        let Some(number) = self.carrier_numbers.get(&carrier).copied() else {
            return;
        };
        let Some(carrier) = self.carriers.get_mut(number as usize) else {
            return;
        };
        carrier.generation += 1;
        self.pending -= usize::from(!carrier.is_read);
        carrier.is_read = true;
        if std::mem::take(&mut carrier.has_rows) {
            self.pairs.retain(|pair| pair.carrier != number);
        }
    }

    /// The principals that hold a level of the resource, in the order of their ids; `None` is a level outside of the catalog.
    pub(super) fn holders(&mut self, resource: Uuid) -> Vec<(Uuid, Option<&'static Level>)> {
        if !self.is_sorted {
            self.pairs.sort_unstable();
            self.pairs.shrink_to_fit();
            self.is_sorted = true;
        }
        let Some(number) = self.resources.get(&resource).copied() else {
            return Vec::new();
        };
        let from = self.pairs.partition_point(|pair| pair.resource < number);
        let pairs = self.pairs.iter().skip(from);
        let pairs = pairs.take_while(|pair| pair.resource == number);
        let mut holders: Vec<_> = pairs
            .filter_map(|pair| {
                let carrier = self.carriers.get(pair.carrier as usize)?;
                Some((carrier.id, self.resource_type.levels.get(usize::from(pair.level))))
            })
            .collect();
        holders.sort_unstable_by_key(|(carrier, _)| *carrier);
        holders
    }

    /// The resources of which some principal held a level.
    pub(super) fn resources(&self) -> impl Iterator<Item = Uuid> {
        self.resources.keys().copied()
    }

    fn level_index(&self, level: Option<&'static Level>) -> u8 {
        let levels = self.resource_type.levels;
        let index = level.and_then(|level| levels.iter().position(|known| known == level));
        index
            .and_then(|index| u8::try_from(index).ok())
            .unwrap_or(UNKNOWN_LEVEL)
    }
}

/// The number of the next of `count` ids. More ids than fit the memory of any machine would share the last number.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::model::examples::{GROUP, MAINTAINER, MEMBER};

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn row(resource: u128, level: Option<&'static Level>) -> Carried {
        Carried {
            resource: id(resource),
            level,
        }
    }

    /// An index of principals, each with its rows.
    fn index(carriers: &[(u128, &[Carried])]) -> CarriedIndex {
        let mut index = CarriedIndex::new(&GROUP);
        index.add_carriers(carriers.iter().map(|(carrier, _)| id(*carrier)));
        for (pending, (_, rows)) in index.pending().into_iter().zip(carriers) {
            index.store(pending, rows);
        }
        index
    }

    #[test]
    fn the_holders_of_a_resource_are_in_the_order_of_their_ids_with_their_levels() {
        let mut index = index(&[
            (9, &[row(2, Some(MEMBER)), row(1, Some(MAINTAINER))]),
            (3, &[row(1, None)]),
            (5, &[row(1, Some(MEMBER))]),
        ]);
        assert!(index.is_complete());
        let holders = [(id(3), None), (id(5), Some(MEMBER)), (id(9), Some(MAINTAINER))];
        assert_eq!(index.holders(id(1)), holders);
        assert_eq!(index.holders(id(2)), [(id(9), Some(MEMBER))]);
        assert_eq!(index.holders(id(4)), []);
    }

    #[test]
    fn of_two_rows_about_one_resource_the_later_one_is_current() {
        let mut index = index(&[(3, &[row(1, Some(MEMBER)), row(1, Some(MAINTAINER))])]);
        assert_eq!(index.holders(id(1)), [(id(3), Some(MAINTAINER))]);
    }

    #[test]
    fn rows_that_are_read_again_replace_the_earlier_ones_of_the_same_principal_only() {
        let mut index = index(&[(3, &[row(1, Some(MEMBER))]), (5, &[row(1, Some(MEMBER))])]);
        index.invalidate(id(3));
        assert_eq!((index.is_complete(), index.pending_count()), (false, 1));
        let pending = index.pending()[0];
        index.store(pending, &[row(2, Some(MAINTAINER))]);
        assert!(index.is_complete());
        assert_eq!(index.holders(id(1)), [(id(5), Some(MEMBER))]);
        assert_eq!(index.holders(id(2)), [(id(3), Some(MAINTAINER))]);
    }

    #[test]
    fn rows_that_were_read_before_an_invalidation_are_not_stored() {
        let mut index = CarriedIndex::new(&GROUP);
        index.add_carriers([id(3)]);
        let before = index.pending()[0];
        index.invalidate(id(3));
        index.store(before, &[row(1, Some(MEMBER))]);
        assert_eq!((index.pending_count(), index.holders(id(1))), (1, vec![]));
        let after = index.pending()[0];
        index.store(after, &[row(2, Some(MEMBER))]);
        assert!(index.is_complete());
        assert_eq!(index.holders(id(2)), [(id(3), Some(MEMBER))]);
    }

    #[test]
    fn a_principal_that_is_removed_has_no_rows_and_is_not_read_again() {
        let mut index = index(&[(3, &[row(1, Some(MEMBER))]), (5, &[row(1, Some(MEMBER))])]);
        index.invalidate(id(3));
        let in_flight = index.pending()[0];
        index.remove(id(3));
        index.remove(id(4));
        assert!(index.is_complete());
        index.store(in_flight, &[row(1, Some(MEMBER))]);
        index.add_carriers([id(3)]);
        assert_eq!((index.pending_count(), index.carrier_count()), (0, 2));
        assert_eq!(index.holders(id(1)), [(id(5), Some(MEMBER))]);
    }

    #[test]
    fn a_principal_that_is_added_twice_keeps_its_rows() {
        let mut index = index(&[(3, &[row(1, Some(MEMBER))])]);
        index.add_carriers([id(3), id(4)]);
        assert_eq!((index.pending_count(), index.carrier_count()), (1, 2));
        assert_eq!(index.holders(id(1)), [(id(3), Some(MEMBER))]);
    }

    #[test]
    fn a_pair_takes_twelve_bytes() {
        assert_eq!(size_of::<Pair>(), 12);
    }
}
