//! How often somebody may try a password: by where they come from, and by whom they say they are.

use naru_model::{Span, Time};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How many failures in a row there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From one address; a person who has forgotten a password needs fewer.
    pub by_address: u32,
    /// For one user from one address.
    pub by_pair: u32,
    /// For one user from everywhere: many machines that guess one password. High where there is no other reason, since
    /// it can be used to keep the user out.
    pub by_user: u32,
    /// Failures are forgotten one by one, each after this long.
    pub forgotten_after: Span,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { by_address: 10, by_pair: 5, by_user: 100, forgotten_after: Span::secs(30) }
    }
}

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
    limits: Limits,
    buckets: BTreeMap<Key, Bucket>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Address(IpAddr),
    Pair(IpAddr, String),
    User(String),
}

impl Key {
    fn most(&self, limits: Limits) -> u32 {
        match self {
            Key::Address(_) => limits.by_address,
            Key::Pair(..) => limits.by_pair,
            Key::User(_) => limits.by_user,
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
    fn at(self, now: Time, after: Span) -> Bucket {
        let forgotten = now.since(self.since).0 / after.0.max(1);
        let failures = self.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        Bucket { failures, since: self.since + after.times(forgotten) }
    }
}

impl Attempts {
    /// Other limits from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Counts an attempt as failed, until [`Attempts::succeeded`] takes it back; so that many at once count as well.
    ///
    /// # Errors
    /// There were too many.
    pub fn begin(&mut self, address: IpAddr, user: &str, now: Time) -> Result<(), TooMany> {
        let keys = keys(address, user);
        for key in &keys {
            let bucket = self.bucket(key, now);
            if bucket.failures >= key.most(self.limits) {
                let next = bucket.since + self.limits.forgotten_after;
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

    /// An attempt that was none after all: nobody has looked at the password.
    pub fn taken_back(&mut self, address: IpAddr, user: &str, now: Time) {
        for key in keys(address, user) {
            let bucket = self.bucket(&key, now);
            self.buckets.insert(key, Bucket { failures: bucket.failures.saturating_sub(1), ..bucket });
        }
    }

    fn bucket(&self, key: &Key, now: Time) -> Bucket {
        let after = self.limits.forgotten_after;
        self.buckets.get(key).map_or(Bucket { failures: 0, since: now }, |bucket| bucket.at(now, after))
    }

    fn make_room(&mut self, now: Time) {
        if self.buckets.len() < REMEMBERED_MAX {
            return;
        }
        let after = self.limits.forgotten_after;
        self.buckets.retain(|_, bucket| bucket.at(now, after).failures > 0);
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
    use super::{Attempts, Limits};
    use naru_model::{Span, Time};
    use std::net::IpAddr;

    const NOW: Time = Time(1_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn guessing_ends_and_goes_on_later() {
        let mut attempts = Attempts::default();
        for _ in 0..Limits::default().by_pair {
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
        for n in 0..Limits::default().by_address {
            attempts.begin(ip(&format!("2001:db8::{n}")), &format!("user{n}"), NOW).unwrap();
        }
        attempts.begin(ip("2001:db8::ffff"), "another", NOW).unwrap_err();
        attempts.begin(ip("2001:db8:0:1::1"), "another", NOW).unwrap();
    }

    #[test]
    fn other_limits_are_by_user_from_everywhere_and_what_was_none_is_not_counted() {
        let mut attempts = Attempts::default();
        let (most, forgotten_after) = (3, Span::mins(10));
        attempts.set_limits(Limits { by_address: u32::MAX, by_pair: most, by_user: most, forgotten_after });
        for n in 0..most {
            attempts.begin(ip(&format!("192.0.2.{n}")), "kim", NOW).unwrap();
            attempts.begin(ip("192.0.2.77"), "lee", NOW).unwrap();
            attempts.taken_back(ip("192.0.2.77"), "lee", NOW);
        }
        let refused = attempts.begin(ip("192.0.2.9"), "kim", NOW).unwrap_err();
        assert_eq!(refused.wait, forgotten_after);
        attempts.begin(ip("192.0.2.77"), "lee", NOW).unwrap();
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
