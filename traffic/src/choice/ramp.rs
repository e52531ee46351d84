//! Slow start: the share of a new instance grows from a tenth to a whole over a span, so that caches and compilers are
//! warm before the load is there.

use super::Micros;

/// A whole share.
pub(super) const WHOLE: u32 = 1000;

/// The first share: a tenth, so that an instance that never gets a request to warm by is not starved.
const FIRST: u32 = 100;

/// The share, in thousandths, of an instance that came `age` ago.
pub(super) fn share(age: Micros, span: Micros) -> u32 {
    if age >= span {
        return WHOLE;
    }
    let grown = u128::from(WHOLE - FIRST) * u128::from(age) / u128::from(span);
    FIRST + grown as u32
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_grows_from_a_tenth_to_a_whole() {
        let grown = [0, 10, 20, 40, 1_000_000].map(|age| share(age, 40));
        assert_eq!(grown, [100, 325, 550, 1000, 1000]);
        assert_eq!(share(0, 0), 1000, "without a span, at once");
    }
}
