//! A map by name, found by hash and walked in order.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Hashes short names quickly (eight bytes a multiplication), without a random key, so that the engine is the same in
/// every run. Names come from the configuration: nobody gains by choosing them to collide.
#[derive(Debug, Clone, Default)]
pub(super) struct Quick(u64);

/// [`Quick`] for a `HashMap`.
pub(super) type Quickly = BuildHasherDefault<Quick>;

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64); // an enum's variant
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// Like a `BTreeMap`, but finding an entry costs one hash, not a comparison of names for every doubling of the map.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Named<K: Hash + Ord, V> {
    entries: HashMap<K, V, Quickly>,
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
    use std::collections::HashSet;
    use std::hash::{BuildHasher, Hash, Hasher};

    use super::{Named, Quick, Quickly};

    #[test]
    fn names_that_differ_little_spread_over_all_bits() {
        let names = (0..20_000).map(|number| format!("account-{number:07}"));
        let hashes: Vec<u64> = names.map(|name| Quickly::default().hash_one(name.as_str())).collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0x7fff).collect();
        assert!(low.len() > 13_000, "{}", low.len());
        let top: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!(top.len(), 128);
        let mut hasher = Quick::default();
        "a".hash(&mut hasher);
        assert_eq!(hasher.finish(), Quickly::default().hash_one("a"));
    }

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
