//! Values by name, built once and then only looked up: of a thousand names, one is found in the memory of two.
//!
//! An ordered map compares with a dozen names on the way, each in memory of its own, which is what finding takes long for
//! when the names asked for differ from one time to the next. Here a digest of the name leads to its place. The order is
//! that in which the names were given, so that nothing depends on the digests but the time.

use crate::choice::digest;
use std::collections::BTreeMap;

/// Values by name.
#[derive(Clone, Debug)]
pub(crate) struct Names<V> {
    each: Vec<(Box<str>, V)>,
    /// Twice as many as names or more, and a power of two; a name's is the first free one from where its digest leads.
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// A part of the digest: names that differ in it need not be compared.
    part: u32,
    /// Where among all, or [`FREE`].
    at: u32,
}

const FREE: u32 = u32::MAX;

impl<V> Default for Names<V> {
    fn default() -> Names<V> {
        Names { each: vec![], slots: Box::default() }
    }
}

impl<V> Names<V> {
    /// Those of a map.
    pub(crate) fn of(map: BTreeMap<String, V>) -> Names<V> {
        let each: Vec<_> = map.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect();
        if each.is_empty() {
            return Names::default();
        }
        let mut slots = vec![Slot { part: 0, at: FREE }; (each.len() * 2).next_power_of_two()];
        let mask = slots.len() - 1;
        for (at, (name, _)) in each.iter().enumerate() {
            let digest = digest(name.as_bytes());
            let mut place = digest as usize & mask;
            while slots[place].at != FREE {
                place = (place + 1) & mask;
            }
            slots[place] = Slot { part: part(digest), at: at as u32 };
        }
        Names { each, slots: slots.into() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        let mask = self.slots.len().checked_sub(1)?;
        let digest = digest(name.as_bytes());
        let mut place = digest as usize & mask;
        // At least half of them are free.
        while self.slots[place].at != FREE {
            let slot = self.slots[place];
            if slot.part == part(digest) {
                let (known, value) = &self.each[slot.at as usize];
                if **known == *name {
                    return Some(value);
                }
            }
            place = (place + 1) & mask;
        }
        None
    }
}

fn part(digest: u64) -> u32 {
    (digest >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn every_name_is_found_and_no_other() {
        for count in [0, 1, 2, 3, 1000] {
            let name = |n: usize| format!("r{n}.example");
            let names = Names::of((0..count).map(|n| (name(n), n)).collect());
            assert_eq!(names.is_empty(), count == 0);
            for n in 0..count {
                assert_eq!(names.get(&name(n)), Some(&n));
                assert_eq!(names.get(&name(n + count)), None);
            }
            assert_eq!(names.get(""), None);
        }
    }
}
