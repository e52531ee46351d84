//! Money, exactly: millionths of whatever currency it is.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::str::FromStr;
use utoipa::ToSchema;

const UNIT: u64 = 1_000_000;
const HOUR: u128 = 3_600_000;

/// Millionths of a currency's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Micros(pub u64);

impl Micros {
    /// What so many milliseconds cost at so much an hour, rounded down to a millionth.
    pub fn for_time(self, ms: u64) -> Micros {
        self.share(u128::from(ms), HOUR)
    }

    /// `part` of `whole` of it; nothing of nothing.
    pub fn share(self, part: u128, whole: u128) -> Micros {
        let all = u128::from(self.0).saturating_mul(part);
        Micros(all.checked_div(whole).map_or(0, |share| u64::try_from(share).unwrap_or(u64::MAX)))
    }
}

impl Add for Micros {
    type Output = Micros;
    fn add(self, more: Micros) -> Micros {
        Micros(self.0.saturating_add(more.0))
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, more: Micros) {
        *self = *self + more;
    }
}

impl Sum for Micros {
    fn sum<I: Iterator<Item = Micros>>(all: I) -> Micros {
        all.fold(Micros(0), Add::add)
    }
}

/// In units with two digits, rounded to the nearer.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.saturating_add(UNIT / 200) / (UNIT / 100);
        f.pad(&format!("{}.{:02}", cents / 100, cents % 100))
    }
}

/// A decimal number without a sign: `0.1008`, with six digits after the point at most.
impl FromStr for Micros {
    type Err = String;

    fn from_str(text: &str) -> Result<Micros, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 6 {
            return Err(format!(
                "{text:?} is no amount: a number as 0.1008, with six digits after the point at most"
            ));
        }
        let whole: Option<u64> = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(UNIT));
        let part: u64 = format!("{part:0<6}").parse().unwrap_or(0);
        whole
            .and_then(|whole| whole.checked_add(part))
            .map(Micros)
            .ok_or_else(|| format!("{text} is too much"))
    }
}

#[cfg(test)]
mod tests {
    use super::Micros;

    #[test]
    fn amounts_are_exact() {
        assert_eq!("0.1008".parse(), Ok(Micros(100_800)));
        assert_eq!("12".parse(), Ok(Micros(12_000_000)));
        assert_eq!(Micros(100_800).for_time(90 * 60_000), Micros(151_200));
        assert_eq!(Micros(1_995_000).to_string(), "2.00");
        assert_eq!(Micros(1_994_999).to_string(), "1.99");
        assert_eq!(Micros(7).share(1, 0), Micros(0));
        for odd in ["", ".5", "1.", "-1", "1e3", "0.1234567", "1,5", "99999999999999999999"] {
            assert!(odd.parse::<Micros>().is_err(), "{odd}");
        }
    }
}
