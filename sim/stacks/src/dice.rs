//! Chance, from one seed: a stream of numbers for each use, so that one more throw here does not change
//! what falls there.

use naru_model::Span;

/// A stream of numbers: SplitMix64, which is small, fast and good enough to choose faults by.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of this seed for this use.
    pub fn new(seed: u64, usage: u64) -> Dice {
        let mut dice = Dice(seed ^ usage.wrapping_mul(0xa076_1d64_78bd_642f));
        dice.any();
        Dice(dice.any() ^ seed.rotate_left(32))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 for `n` of 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.any() % n }
    }

    /// A number from `from` to `to`, both included.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// Whether an event of this probability, in thousandths, happens.
    pub fn hits(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of them; at least one is there.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// One of them by its weight; at least one weight is above zero.
    pub fn weighted<T: Copy>(&mut self, of: &[(u64, T)]) -> T {
        let mut left = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in of {
            if left < *weight {
                return *item;
            }
            left -= weight;
        }
        of[0].1
    }

    /// A duration from `from` to `to`, each power of two as likely as the others: short ones are common, long ones happen.
    pub fn span(&mut self, from: Span, to: Span) -> Span {
        let (low, high) = (from.0.max(1), to.0.max(1));
        let octaves = 64 - (high / low).leading_zeros() as u64;
        let scale = low << self.below(octaves);
        Span(self.within(scale, scale * 2).clamp(low, high))
    }

    /// A duration around `mean`, from half to one and a half of it.
    pub fn around(&mut self, mean: Span) -> Span {
        Span(self.within(mean.0 / 2, mean.0 + mean.0 / 2))
    }
}
