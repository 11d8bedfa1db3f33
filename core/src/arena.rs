//! A slab whose keys carry a generation, so that a late answer cannot reach what took the place of the one that asked.

use alloc::vec::Vec;
use core::marker::PhantomData;

/// An index with the generation of the slot it names.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Both halves in one number, for a shell that must name a key to its poller.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The slot alone: unique among the living, reused after death.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// A type of its own for the keys of one arena.
pub trait ArenaKey: Copy {
    /// Wraps a raw key.
    fn from_key(key: Key) -> Self;
    /// The raw key.
    fn key(self) -> Key;
}

macro_rules! arena_key {
    ($($(#[$doc:meta])* $vis:vis $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        $vis struct $name($crate::arena::Key);
        impl $crate::arena::ArenaKey for $name {
            fn from_key(key: $crate::arena::Key) -> Self {
                Self(key)
            }
            fn key(self) -> $crate::arena::Key {
                self.0
            }
        }
    )*};
}
pub(crate) use arena_key;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values under generational keys. Iteration is in slot order, so it is the same in every replay.
#[derive(Debug)]
pub struct Arena<K, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    keys: PhantomData<K>,
}

impl<K, T> Default for Arena<K, T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            keys: PhantomData,
        }
    }
}

impl<K: ArenaKey, T> Arena<K, T> {
    /// Keeps `value` and names it.
    pub fn insert(&mut self, value: T) -> K {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.value = Some(value);
            return K::from_key(Key {
                index,
                generation: slot.generation,
            });
        }
        // Four thousand million living entries do not fit into memory before this saturates.
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot {
            generation: 0,
            value: Some(value),
        });
        K::from_key(Key {
            index,
            generation: 0,
        })
    }

    /// The value, if `key` still names it.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&T> {
        let key = key.key();
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.value.as_ref())
    }

    /// The value, if `key` still names it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let key = key.key();
        self.slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.value.as_mut())
    }

    /// Takes the value out; from now on `key` names nothing.
    pub fn remove(&mut self, key: K) -> Option<T> {
        let key = key.key();
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// How many values live.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether nothing lives.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All living values in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        (0u32..).zip(&self.slots).filter_map(|(index, slot)| {
            let value = slot.value.as_ref()?;
            Some((
                K::from_key(Key {
                    index,
                    generation: slot.generation,
                }),
                value,
            ))
        })
    }

    /// The keys of all living values in slot order.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.iter().map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    arena_key! { pub(super) TestKey; }

    #[test]
    fn a_key_of_the_dead_does_not_reach_the_next_tenant() {
        let mut arena: Arena<TestKey, &str> = Arena::default();
        let first = arena.insert("first");
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert("second");
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&"second"));
        assert_eq!(arena.len(), 1);
    }
}
