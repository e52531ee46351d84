//! How often is too often: the generic cell rate algorithm (ITU-T I.371), one number for each key.
//!
//! A key's number is the moment at which it would be even again. A request moves it on by one interval; one that
//! would move it further ahead of now than the burst allows is refused. A key that is even needs no number, so that
//! memory holds only those who asked lately, up to a bound.

use crate::ask::Ask;
use crate::network::subscriber;
use core::net::IpAddr;
use naru_model::{RateKey, RateLimit};
use std::collections::BTreeMap;

/// Keys that are remembered; beyond them, and with none even, the rest share one number.
const KEYS: usize = 65_536;

/// Longest value of a header that is a key of its own; what is longer is cut.
const VALUE: usize = 64;

/// The rates of one rule.
#[derive(Clone, Debug)]
pub struct Rates {
    by: RateKey,
    /// Microseconds for one request.
    interval: u64,
    /// Microseconds that a key may be ahead.
    ahead: u64,
    even: BTreeMap<Key, u64>,
}

/// How long until a request would pass, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub u64);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    All,
    Source(IpAddr),
    Value(Vec<u8>),
    Rest,
}

impl Rates {
    /// One of `parts` equal parts of a limit: each worker of an edge keeps its own.
    pub fn new(limit: &RateLimit, parts: usize) -> Rates {
        let (requests, parts) = (u64::from(limit.requests.max(1)), parts.max(1) as u64);
        let interval = (limit.per.0.max(1) * 1000 * parts / requests).max(1);
        let burst = u64::from(limit.burst.max(1)).div_ceil(parts);
        Rates { by: limit.by.clone(), interval, ahead: interval * burst, even: BTreeMap::new() }
    }

    /// Counts a request at `now`, in microseconds of a clock that does not go back.
    ///
    /// # Errors
    /// It is one too many; it does not count.
    pub fn take(&mut self, ask: &Ask<'_>, now: u64) -> Result<(), Wait> {
        let mut key = self.key(ask);
        if !self.even.contains_key(&key) && self.even.len() >= KEYS {
            self.even.retain(|_, even| *even > now);
            if self.even.len() >= KEYS {
                key = Key::Rest;
            }
        }
        let next = self.even.get(&key).copied().unwrap_or(0).max(now) + self.interval;
        if next > now + self.ahead {
            return Err(Wait(next - now - self.ahead));
        }
        self.even.insert(key, next);
        Ok(())
    }

    fn key(&self, ask: &Ask<'_>) -> Key {
        match &self.by {
            RateKey::All => Key::All,
            RateKey::Source => Key::Source(subscriber(ask.source)),
            RateKey::Header(name) => {
                let value = ask.fields.field(name).unwrap_or_default();
                Key::Value(value[..value.len().min(VALUE)].to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEYS, Rates, Wait};
    use crate::Ask;
    use naru_model::{RateKey, RateLimit, Span};

    fn ask(source: u32) -> Ask<'static> {
        let source = core::net::Ipv4Addr::from_bits(source).into();
        Ask { method: "GET", host: "", path: "/", query: None, source, fields: &() }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limit = RateLimit { requests: 10, per: Span::secs(1), burst: 3, by: RateKey::Source };
        let mut rates = Rates::new(&limit, 1);
        let now = 1_000_000;
        assert_eq!((0..5).filter(|_| rates.take(&ask(1), now).is_ok()).count(), 3);
        assert_eq!(rates.take(&ask(1), now), Err(Wait(100_000)));
        assert_eq!(rates.take(&ask(1), now + 100_000), Ok(()));
        assert_eq!(rates.take(&ask(2), now), Ok(()), "another client");
        let passed = (0..1000u64).filter(|n| rates.take(&ask(1), now + 200_000 + n * 1000).is_ok()).count();
        assert!((10..=13).contains(&passed), "{passed} in a second");
    }

    #[test]
    fn parts_make_a_whole() {
        let limit = RateLimit { requests: 10, per: Span::secs(1), burst: 4, by: RateKey::All };
        let mut parts = [Rates::new(&limit, 2), Rates::new(&limit, 2)];
        let burst: usize =
            parts.iter_mut().map(|part| (0..9).filter(|_| part.take(&ask(1), 0).is_ok()).count()).sum();
        assert_eq!(burst, 4);
    }

    #[test]
    fn memory_has_a_bound_and_the_rate_holds_beyond_it() {
        let limit = RateLimit { requests: 1, per: Span::secs(1), burst: 1, by: RateKey::Source };
        let mut rates = Rates::new(&limit, 1);
        let all = KEYS as u32 + 1000;
        let passed = (0..all).filter(|n| rates.take(&ask(*n), 0).is_ok()).count();
        assert_eq!(passed, KEYS + 1);
        assert!(rates.even.len() <= KEYS + 1);
        assert_eq!(rates.take(&ask(7), 2_000_000), Ok(()));
        assert_eq!(rates.take(&ask(u32::MAX), 2_000_000), Ok(()), "those who are even are forgotten");
    }
}
