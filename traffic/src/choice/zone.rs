//! Whether a choice stays within the edge's own zone: shorter ways, and no price for what crosses, but not at the price
//! of a zone whose few that are left have to take everything.

use naru_model::OwnZone;

/// How far a choice reaches, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All: nothing asks for less.
    Unasked,
    /// Those of the edge's own zone: `able` of `there` can take more, which is enough.
    OwnZone {
        /// Sound, not tried, and not full.
        able: usize,
        /// In the zone.
        there: usize,
    },
    /// All: too few of the zone can take more, or none is there.
    TooFew {
        /// Sound, not tried, and not full.
        able: usize,
        /// In the zone.
        there: usize,
    },
}

/// How far to reach, of instances of which each is said to be of the zone, and to be able.
pub fn reach(policy: Option<OwnZone>, instances: impl Iterator<Item = (bool, bool)>) -> Reach {
    let Some(OwnZone { enough }) = policy else { return Reach::Unasked };
    let near = instances.filter(|(near, _)| *near);
    let (able, there) = near.fold((0, 0), |(able, there), (_, is)| (able + usize::from(is), there + 1));
    match able > 0 && able as u64 * 100 >= there as u64 * u64::from(enough) {
        true => Reach::OwnZone { able, there },
        false => Reach::TooFew { able, there },
    }
}

#[cfg(test)]
mod tests {
    use super::{OwnZone, Reach, reach};

    fn of(enough: u32, near: &[bool], far: usize) -> Reach {
        let near = near.iter().map(|able| (true, *able));
        reach(Some(OwnZone { enough }), near.chain(std::iter::repeat_n((false, true), far)))
    }

    #[test]
    fn the_own_zone_is_enough_until_too_few_of_it_are_able() {
        assert_eq!(of(50, &[true, false, true, false], 9), Reach::OwnZone { able: 2, there: 4 });
        assert_eq!(of(50, &[true, false, false], 9), Reach::TooFew { able: 1, there: 3 });
        assert_eq!(of(0, &[true, false, false], 9), Reach::OwnZone { able: 1, there: 3 });
        assert_eq!(of(0, &[false], 9), Reach::TooFew { able: 0, there: 1 }, "one has to be able");
        assert_eq!(of(100, &[], 2), Reach::TooFew { able: 0, there: 0 }, "nobody is there");
        assert_eq!(reach(None, std::iter::once((true, true))), Reach::Unasked);
    }
}
