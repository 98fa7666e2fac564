//! Values that several owners share by a key, as long as one of them keeps the value.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The values that are in use, by their keys. The registry keeps none of them in use itself.
#[derive(Debug)]
pub(crate) struct WeakRegistry<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for WeakRegistry<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> WeakRegistry<K, V> {
    /// The value of `key` that is in use, or else a new one from `make`.
    pub(crate) fn get_or_make(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        // Each change of the map is complete in itself.
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        values.retain(|_, value| value.strong_count() > 0);
        let value = Arc::new(make());
        values.insert(key, Arc::downgrade(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_by_its_key_as_long_as_it_is_in_use() {
        let registry = WeakRegistry::default();
        let first = registry.get_or_make("a", || 1);
        assert_eq!(*registry.get_or_make("b", || 2), 2);
        let second = registry.get_or_make("a", || 3);
        assert!(Arc::ptr_eq(&first, &second));
        drop(first);
        assert_eq!(*registry.get_or_make("a", || 4), 1);
        drop(second);
        assert_eq!(*registry.get_or_make("a", || 5), 5);
    }
}
