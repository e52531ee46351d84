//! How often somebody may try a password: by where they come from, and by whom they say they are.

use naru_model::{Span, Time};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Failures that are forgotten one by one, each after this long.
const FORGOTTEN_AFTER: Span = Span::secs(30);

/// From one address so many failures in a row; a person who has forgotten a password needs fewer.
const BY_ADDRESS: u32 = 10;

/// For one user from one address.
const BY_PAIR: u32 = 5;

/// For one user from everywhere: many machines that guess one password. High, since it can be used to keep the user out.
const BY_USER: u32 = 100;

/// Who tries is remembered for as many; the oldest go first.
const REMEMBERED_MAX: usize = 20_000;

/// Nobody may try now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// When it may be tried again.
    pub wait: Span,
}

/// Failed attempts that are not forgotten yet.
#[derive(Debug, Default)]
pub struct Attempts {
    buckets: BTreeMap<Key, Bucket>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Address(IpAddr),
    Pair(IpAddr, String),
    User(String),
}

impl Key {
    fn most(&self) -> u32 {
        match self {
            Key::Address(_) => BY_ADDRESS,
            Key::Pair(..) => BY_PAIR,
            Key::User(_) => BY_USER,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    failures: u32,
    /// When the last one was forgotten or added.
    since: Time,
}

impl Bucket {
    fn at(self, now: Time) -> Bucket {
        let forgotten = now.since(self.since).0 / FORGOTTEN_AFTER.0;
        let failures = self.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        Bucket { failures, since: self.since + FORGOTTEN_AFTER.times(forgotten) }
    }
}

impl Attempts {
    /// Counts an attempt as failed, until [`Attempts::succeeded`] takes it back; so that many at once count as well.
    ///
    /// # Errors
    /// There were too many.
    pub fn begin(&mut self, address: IpAddr, user: &str, now: Time) -> Result<(), TooMany> {
        let keys = keys(address, user);
        for key in &keys {
            let bucket = self.bucket(key, now);
            if bucket.failures >= key.most() {
                let next = bucket.since + FORGOTTEN_AFTER;
                return Err(TooMany { wait: next.since(now).max(Span::secs(1)) });
            }
        }
        self.make_room(now);
        for key in keys {
            let bucket = self.bucket(&key, now);
            let since = if bucket.failures == 0 { now } else { bucket.since };
            self.buckets.insert(key, Bucket { failures: bucket.failures + 1, since });
        }
        Ok(())
    }

    /// Whoever signed in has forgotten no password. Others from the same address may have.
    pub fn succeeded(&mut self, address: IpAddr, user: &str, now: Time) {
        let address_key = Key::Address(class(address));
        for key in keys(address, user) {
            let mut bucket = self.bucket(&key, now);
            bucket.failures = if key == address_key { bucket.failures.saturating_sub(1) } else { 0 };
            if bucket.failures == 0 {
                self.buckets.remove(&key);
            } else {
                self.buckets.insert(key, bucket);
            }
        }
    }

    fn bucket(&self, key: &Key, now: Time) -> Bucket {
        self.buckets.get(key).map_or(Bucket { failures: 0, since: now }, |bucket| bucket.at(now))
    }

    fn make_room(&mut self, now: Time) {
        if self.buckets.len() < REMEMBERED_MAX {
            return;
        }
        self.buckets.retain(|_, bucket| bucket.at(now).failures > 0);
        while self.buckets.len() >= REMEMBERED_MAX {
            let oldest =
                self.buckets.iter().min_by_key(|(_, bucket)| bucket.since).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.buckets.remove(&oldest);
        }
    }
}

fn keys(address: IpAddr, user: &str) -> [Key; 3] {
    let address = class(address);
    [Key::Address(address), Key::Pair(address, user.into()), Key::User(user.into())]
}

/// One customer of a provider has 2^64 addresses of IPv6.
fn class(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempts, BY_ADDRESS, BY_PAIR};
    use naru_model::{Span, Time};
    use std::net::IpAddr;

    const NOW: Time = Time(1_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn guessing_ends_and_goes_on_later() {
        let mut attempts = Attempts::default();
        for _ in 0..BY_PAIR {
            attempts.begin(ip("192.0.2.1"), "kim", NOW).unwrap();
        }
        let refused = attempts.begin(ip("192.0.2.1"), "kim", NOW).unwrap_err();
        assert_eq!(refused.wait, Span::secs(30));
        attempts.begin(ip("192.0.2.2"), "kim", NOW).expect("kim is not kept out from elsewhere");
        let later = NOW + refused.wait;
        attempts.begin(ip("192.0.2.1"), "kim", later).unwrap();
        attempts.begin(ip("192.0.2.1"), "kim", later).unwrap_err();
    }

    #[test]
    fn an_address_does_not_try_one_user_after_another() {
        let mut attempts = Attempts::default();
        for n in 0..BY_ADDRESS {
            attempts.begin(ip(&format!("2001:db8::{n}")), &format!("user{n}"), NOW).unwrap();
        }
        attempts.begin(ip("2001:db8::ffff"), "another", NOW).unwrap_err();
        attempts.begin(ip("2001:db8:0:1::1"), "another", NOW).unwrap();
    }

    #[test]
    fn who_signs_in_is_not_counted() {
        let mut attempts = Attempts::default();
        for _ in 0..100 {
            attempts.begin(ip("192.0.2.1"), "kim", NOW).unwrap();
            attempts.succeeded(ip("192.0.2.1"), "kim", NOW);
        }
        assert!(attempts.buckets.is_empty());
    }
}
