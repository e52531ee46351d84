//! Quarters of an hour of a day, each set or not.

use serde::{Deserialize, Serialize};

/// So long is one of them, in milliseconds.
pub const SLOT: u64 = 15 * 60 * 1000;

/// Which quarters of a day: bit `n` is the one that begins `n` quarters after midnight, UTC. Written in hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slots(u128);

impl Slots {
    /// So many are in a day.
    pub const COUNT: u32 = 96;

    /// Whether one of them is set.
    pub fn has(self, slot: u32) -> bool {
        slot < Self::COUNT && self.0 >> slot & 1 == 1
    }

    /// Sets one.
    pub fn set(&mut self, slot: u32) {
        if slot < Self::COUNT {
            self.0 |= 1 << slot;
        }
    }
}

impl From<Slots> for String {
    fn from(slots: Slots) -> String {
        format!("{:x}", slots.0)
    }
}

impl TryFrom<String> for Slots {
    type Error = String;

    fn try_from(text: String) -> Result<Slots, String> {
        let read = u128::from_str_radix(&text, 16).ok().filter(|bits| bits >> Slots::COUNT == 0);
        read.map(Slots).ok_or_else(|| format!("{text:?} is no set of quarters of an hour"))
    }
}
