//! A map by name, found by hash and walked in order.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};

/// A hasher without a random key: names come from the configuration, and the engine is the same in every run.
type Hasher = BuildHasherDefault<DefaultHasher>;

/// Like a `BTreeMap`, but finding an entry costs one hash, not a comparison of names for every doubling of the map.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Named<K: Hash + Ord, V> {
    entries: HashMap<K, V, Hasher>,
    order: BTreeSet<K>,
}

impl<K: Hash + Ord, V> Default for Named<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::default(), order: BTreeSet::new() }
    }
}

impl<K: Hash + Ord + Clone, V> Named<K, V> {
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(name)
    }

    pub(super) fn get_key_value<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.entries.get_key_value(name)
    }

    pub(super) fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, name: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(name)
    }

    pub(super) fn contains_key<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.entries.contains_key(name)
    }

    pub(super) fn insert(&mut self, name: K, value: V) {
        if self.entries.insert(name.clone(), value).is_none() {
            self.order.insert(name);
        }
    }

    pub(super) fn remove<Q: Hash + Ord + ?Sized>(&mut self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.order.remove(name);
        self.entries.remove(name)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.entries.retain(|name, value| keep(name, value));
        self.order.retain(|name| self.entries.contains_key(name));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.order.iter()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.iter().filter_map(|name| self.entries.get_key_value(name))
    }

    /// In no order: for what does not depend on any.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }
}

impl<K: Hash + Ord + Clone + fmt::Debug, V: fmt::Debug> fmt::Debug for Named<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Named;

    #[test]
    fn it_is_walked_in_order_and_keeps_nothing_of_what_was_removed() {
        let mut named = Named::default();
        for (name, value) in [("c", 1), ("a", 2), ("b", 3), ("a", 4)] {
            named.insert(name, value);
        }
        assert_eq!(named.iter().collect::<Vec<_>>(), [(&"a", &4), (&"b", &3), (&"c", &1)]);
        assert_eq!(named.remove("b"), Some(3));
        named.retain(|_, value| *value > 1);
        assert_eq!(named.keys().collect::<Vec<_>>(), [&"a"]);
        assert_eq!(format!("{named:?}"), r#"{"a": 4}"#);
    }
}
