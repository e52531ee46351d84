//! The choice among instances, by what one worker of an edge has seen of them.
//!
//! A [`Roster`] holds the instances of one service at one address, in groups: each group is a share of the traffic.
//! First the group is chosen, by weight, then the instance, by the policy's way of balancing. Those that cannot take a
//! request are passed over: the full ones, the ones that were tried, the ones that fail ([`eject`]). Where only the
//! last kind is left it is chosen all the same: a doubtful answer is better than none.
//!
//! Time is an argument, in microseconds of a clock that does not go back, and so is chance. Choosing allocates nothing.

mod budget;
mod eject;
mod hint;
mod latency;
mod maglev;
mod pick;
mod ramp;
mod roster;
mod stay;
mod zone;

pub use budget::Budget;
pub use eject::Verdict;
pub use hint::{Hint, digest};
pub use pick::{NoPick, Pick, Query, Why};
pub use roster::{Candidate, Roster, Ticket};
pub use stay::{mark, set_lines};
pub use zone::Reach;

/// Microseconds of a clock that does not go back.
pub type Micros = u64;

/// Spreads a number over all of its 64 bits (the end of MurmurHash3): equal numbers stay equal, near ones do not stay
/// near.
pub(crate) fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    n = (n ^ (n >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    n ^ (n >> 33)
}

/// A number below `bound`, from the upper half of `chance`.
pub(crate) fn below(chance: u64, bound: usize) -> usize {
    (((chance >> 32) * bound as u64) >> 32) as usize
}
