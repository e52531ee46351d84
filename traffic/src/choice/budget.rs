//! How much may be sent again: a share of the requests of the last ten seconds, and ten a second beside it.
//!
//! A service that fails as a whole would otherwise get each request several times just when it can bear that least.

use super::Micros;

/// Seconds that are looked back on.
const SECONDS: usize = 10;

/// Retries a second that are always allowed: what few requests there are may all be sent again.
const ALWAYS: u64 = 10;

/// What was asked and what was sent again, by second.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    which: u64,
    requests: u32,
    retries: u32,
}

impl Budget {
    /// A request came.
    pub fn asked(&mut self, now: Micros) {
        let second = self.second(now);
        second.requests = second.requests.saturating_add(1);
    }

    /// Whether one may be sent again, as one of `parts` equal parts of an edge, where retries may be `percent` of the
    /// requests.
    pub fn allows(&self, now: Micros, percent: u32, parts: usize) -> bool {
        let oldest = (now / 1_000_000).saturating_sub(SECONDS as u64 - 1);
        let (mut requests, mut retries) = (0, 0);
        for second in self.seconds.iter().filter(|second| second.which >= oldest) {
            requests += u64::from(second.requests);
            retries += u64::from(second.retries);
        }
        let always = (ALWAYS * SECONDS as u64).div_ceil(parts.max(1) as u64);
        retries < requests * u64::from(percent) / 100 + always
    }

    /// One is sent again.
    pub fn spend(&mut self, now: Micros) {
        let second = self.second(now);
        second.retries = second.retries.saturating_add(1);
    }

    fn second(&mut self, now: Micros) -> &mut Second {
        let which = now / 1_000_000;
        let second = &mut self.seconds[(which % SECONDS as u64) as usize];
        if second.which != which {
            *second = Second { which, ..Second::default() };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    /// How many of `wanted` retries are allowed at `now`.
    fn spent(budget: &mut Budget, now: u64, wanted: u32) -> usize {
        let mut allowed = 0;
        for _ in 0..wanted {
            if budget.allows(now, 20, 1) {
                budget.spend(now);
                allowed += 1;
            }
        }
        allowed
    }

    #[test]
    fn retries_are_a_share_of_the_requests_and_ten_a_second() {
        let mut budget = Budget::default();
        assert_eq!(spent(&mut budget, 0, 1000), 100, "without any request, ten a second over ten seconds");
        (0..1000).for_each(|_| budget.asked(500_000));
        assert_eq!(spent(&mut budget, 900_000, 1000), 200, "and a fifth of the requests");
        assert_eq!(spent(&mut budget, 9_999_999, 1000), 0, "for ten seconds");
        assert_eq!(spent(&mut budget, 10_000_000, 1000), 100, "then the old ones count no more");
    }

    #[test]
    fn each_part_has_its_own() {
        let budget = Budget::default();
        assert!(budget.allows(0, 0, 1000));
        let mut budget = Budget::default();
        budget.spend(0);
        assert!(!budget.allows(0, 0, 1000), "a thousandth of a hundred is rounded up to one");
    }
}
