//! Who has not signed in, by address and age: whom to ask to leave first when permits run low.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// In the order in which connections came, the oldest has the lowest.
pub(super) type Number = u64;

/// What is kept of each. All steps take a time that grows with the logarithm of how many there are.
#[derive(Debug)]
pub(super) struct Strangers<T> {
    all: BTreeMap<(IpAddr, Number), T>,
    crowds: HashMap<IpAddr, Crowd>,
    /// One for each crowd; the last goes first.
    ranks: BTreeSet<Rank>,
}

/// Those at one address.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    count: usize,
    oldest: Number,
}

/// More people at an address are more than fewer, and among equals the older is more.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Rank {
    count: usize,
    oldest: Reverse<Number>,
    address: IpAddr,
}

/// The oldest stranger of the fullest address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct First {
    pub(super) address: IpAddr,
    pub(super) number: Number,
    /// How many are there with it, itself included.
    pub(super) count: usize,
}

impl<T> Default for Strangers<T> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            crowds: HashMap::new(),
            ranks: BTreeSet::new(),
        }
    }
}

impl<T> Strangers<T> {
    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// One more.
    pub(super) fn insert(&mut self, address: IpAddr, number: Number, what: T) {
        if self.all.insert((address, number), what).is_some() {
            return;
        }
        let before = self.crowds.get(&address).copied();
        let after = before.map_or(
            Crowd {
                count: 1,
                oldest: number,
            },
            |crowd| Crowd {
                count: crowd.count + 1,
                oldest: crowd.oldest.min(number),
            },
        );
        self.change(address, before, Some(after));
    }

    /// One less, if it was there.
    pub(super) fn remove(&mut self, address: IpAddr, number: Number) -> Option<T> {
        let what = self.all.remove(&(address, number))?;
        let before = self.crowds.get(&address).copied();
        let mut rest = self.all.range((address, 0)..);
        let oldest = rest.next().filter(|((at, _), _)| *at == address);
        let after = before.zip(oldest).map(|(crowd, ((_, oldest), _))| Crowd {
            count: crowd.count - 1,
            oldest: *oldest,
        });
        self.change(address, before, after);
        Some(what)
    }

    /// What is kept of one, if it is there.
    pub(super) fn get_mut(&mut self, address: IpAddr, number: Number) -> Option<&mut T> {
        self.all.get_mut(&(address, number))
    }

    /// Who is to go first.
    pub(super) fn first(&self) -> Option<First> {
        self.ranks.last().map(|rank| First {
            address: rank.address,
            number: rank.oldest.0,
            count: rank.count,
        })
    }

    fn change(&mut self, address: IpAddr, before: Option<Crowd>, after: Option<Crowd>) {
        let rank = |crowd: Crowd| Rank {
            count: crowd.count,
            oldest: Reverse(crowd.oldest),
            address,
        };
        if let Some(before) = before {
            self.ranks.remove(&rank(before));
        }
        self.ranks.extend(after.map(rank));
        match after {
            Some(crowd) => drop(self.crowds.insert(address, crowd)),
            None => drop(self.crowds.remove(&address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_oldest_of_the_fullest_is_first_and_among_equals_the_oldest_of_all() {
        let mut strangers = Strangers::default();
        for (number, last) in (1..).zip([7, 8, 8, 9, 9, 9]) {
            strangers.insert(address(last), number, ());
        }
        let mut order = Vec::new();
        while let Some(First {
            address, number, ..
        }) = strangers.first()
        {
            order.push(number);
            strangers.remove(address, number);
        }
        assert_eq!(order, [4, 2, 5, 1, 3, 6]);
        assert_eq!(strangers.count(), 0);
    }

    proptest! {
        /// Against the plainest way to find it.
        #[test]
        fn the_first_is_always_the_right_one(
            steps in proptest::collection::vec((0..6_u8, 0..40_u64, any::<bool>()), 0..200)
        ) {
            let mut strangers = Strangers::default();
            let mut plain = BTreeMap::new();
            for (last, number, comes) in steps {
                // Whoever came has one address.
                let at = address(plain.get(&number).copied().unwrap_or(last));
                if comes {
                    plain.entry(number).or_insert(last);
                    strangers.insert(at, number, ());
                } else {
                    let gone = strangers.remove(at, number).is_some();
                    prop_assert_eq!(gone, plain.remove(&number).is_some());
                }
                let count = |last: u8| plain.values().filter(|other| **other == last).count();
                let first = plain
                    .iter()
                    .max_by_key(|(number, last)| (count(**last), Reverse(**number)))
                    .map(|(number, last)| First {
                        address: address(*last),
                        number: *number,
                        count: count(*last),
                    });
                prop_assert_eq!(strangers.first(), first);
                prop_assert_eq!(strangers.count(), plain.len());
                prop_assert_eq!(strangers.crowds.len(), strangers.ranks.len());
            }
        }
    }
}
