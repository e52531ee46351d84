//! How much of what costs the edge more than its client it bears: streams that are begun only to be reset
//! (CVE-2023-44487), or that are made so that the edge resets them (CVE-2025-8671), and data that is none
//! (CVE-2019-9518).

use std::time::Instant;

/// So many at once: more resets than all streams of a connection, which a client may have reason to give up together.
const BURST: f64 = 256.0;

/// So many a second after that: what a busy client may do, and costs next to nothing.
const PACE: f64 = 50.0;

/// What is left of it, of one connection.
pub(super) struct Patience {
    left: f64,
    /// When that was so.
    since: Option<Instant>,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { left: BURST, since: None }
    }
}

impl Patience {
    /// There was one more of them. `None`: that is too many.
    pub(super) fn spend(&mut self, now: Instant) -> Option<()> {
        let past = self.since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        self.since = Some(now);
        self.left = (self.left + past * PACE).min(BURST) - 1.0;
        (self.left >= 0.0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, PACE, Patience};
    use std::time::{Duration, Instant};

    #[test]
    fn it_ends_and_comes_back() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        assert!((0..BURST as usize).all(|_| patience.spend(now).is_some()));
        assert_eq!(patience.spend(now), None);
        let later = now + Duration::from_secs(2);
        let more = std::iter::from_fn(|| patience.spend(later)).count();
        assert!(more <= 2 * PACE as usize && more + 2 >= 2 * PACE as usize, "{more}");
    }
}
