//! A table of places, filled so that a key finds the same member for as long as the members are the same, and hardly
//! any key finds another when they are not (Eisenbud and others, "Maglev", NSDI 2016).
//!
//! Each member has an order of all places of its own, from its key alone. In turn, each takes the first place of its
//! order that is free. So all have the same number of places, give or take one, and when a member goes, mostly its own
//! places are taken by others.

use super::mix;

/// How many places: a prime, so that every step leads through all of them; a hundred for each of 160 members, so that
/// shares differ by a hundredth; small enough (32 KiB) to stay in a cache and to be filled within a millisecond.
pub(super) const PLACES: usize = 16_381;

/// The table. More members than places are of no use: the rest get none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Box<[u16]>);

impl Table {
    /// Fills a table for members with these keys, all different. Their order does not matter.
    pub(super) fn fill(keys: impl Iterator<Item = u64>) -> Table {
        const FREE: u16 = u16::MAX;
        let places = PLACES as u64;
        let mut members: Vec<(u64, u16)> = keys.take(PLACES).zip(0..).collect();
        members.sort_unstable();
        let order = |&(key, member): &(u64, u16)| {
            (mix(key) % places, mix(key ^ 0x9e37_79b9_7f4a_7c15) % (places - 1) + 1, member)
        };
        let mut orders: Vec<(u64, u64, u16)> = members.iter().map(order).collect();
        if orders.is_empty() {
            return Table::default();
        }
        let mut table = vec![FREE; PLACES].into_boxed_slice();
        let mut filled = 0;
        loop {
            for (next, step, member) in &mut orders {
                while table[*next as usize] != FREE {
                    *next = (*next + *step) % places;
                }
                table[*next as usize] = *member;
                filled += 1;
                if filled == PLACES {
                    return Table(table);
                }
            }
        }
    }

    /// The members that a key finds: first its own, then others in an order that is the key's own as well. Ends once
    /// each place was looked at.
    pub(super) fn find(&self, hash: u64) -> impl Iterator<Item = usize> {
        let start = if self.0.is_empty() { 0 } else { (hash % self.0.len() as u64) as usize };
        let (before, after) = self.0.split_at(start);
        after.iter().chain(before).map(|member| usize::from(*member))
    }
}

#[cfg(test)]
mod tests {
    use super::{PLACES, Table};
    use crate::choice::{digest, mix};

    fn keys(range: std::ops::Range<u32>) -> Vec<u64> {
        range.map(|n| digest(format!("shop.web.7.{n}").as_bytes())).collect()
    }

    /// The key of the member that each place leads to.
    fn owners(keys: &[u64]) -> Vec<u64> {
        let table = Table::fill(keys.iter().copied());
        (0..PLACES as u64).map(|hash| keys[table.find(hash).next().unwrap()]).collect()
    }

    #[test]
    fn all_have_the_same_share() {
        for members in [1, 2, 3, 7, 100, 2000] {
            let keys = keys(0..members);
            let owners = owners(&keys);
            let counts = keys.iter().map(|key| owners.iter().filter(|owner| *owner == key).count());
            let least = PLACES / members as usize;
            assert!(counts.clone().all(|n| n == least || n == least + 1), "{members}: {counts:?}");
        }
    }

    #[test]
    fn few_change_when_a_member_comes_or_goes() {
        for members in [2u32, 3, 10, 50] {
            let all = keys(0..members);
            let before = owners(&all);
            for gone in 0..members.min(10) as usize {
                let mut rest = all.clone();
                let gone = rest.remove(gone);
                let after = owners(&rest);
                let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
                let own = before.iter().filter(|owner| **owner == gone).count();
                // What was its own has to move; of the rest, hardly any.
                assert!(moved >= own && moved - own < PLACES / 12, "{members}: {moved} of {own}");
            }
        }
    }

    #[test]
    fn the_order_of_the_members_does_not_matter() {
        let keys = keys(0..20);
        let turned: Vec<u64> = keys.iter().rev().copied().collect();
        assert_eq!(owners(&keys), owners(&turned));
    }

    #[test]
    fn all_others_follow_for_a_key_whose_own_cannot() {
        let table = Table::fill(keys(0..5).into_iter());
        for n in 0..100 {
            let mut found: Vec<usize> = table.find(mix(n)).collect();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, [0, 1, 2, 3, 4]);
        }
        assert_eq!(Table::fill([].into_iter()).find(7).next(), None);
    }
}
