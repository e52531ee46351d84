//! Windows: what either side may still send (RFC 9113, 5.2 and 6.9).

/// The largest window there is.
pub(super) const LARGEST: i64 = 0x7fff_ffff;

/// What the edge may send. It may be less than nothing, once a client has made all windows smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Credit(i64);

impl Credit {
    pub(super) fn new(window: u32) -> Credit {
        Credit(i64::from(window))
    }

    pub(super) fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub(super) fn spend(&mut self, n: usize) {
        self.0 -= n as i64;
    }

    /// Changes it. `None`: it would be larger than the largest.
    pub(super) fn add(&mut self, by: i64) -> Option<()> {
        self.0 += by;
        (self.0 <= LARGEST).then_some(())
    }
}

/// What the client may send. What has gone on makes room for more; that is told once it is half of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    whole: u32,
    left: u32,
    untold: u32,
}

impl Allowance {
    pub(super) fn new(whole: u32) -> Allowance {
        Allowance { whole, left: whole, untold: 0 }
    }

    /// So much came. `None`: that is more than was allowed.
    pub(super) fn spend(&mut self, n: usize) -> Option<()> {
        self.left = self.left.checked_sub(u32::try_from(n).ok()?)?;
        Some(())
    }

    /// So much has gone on. Says by how much the client is to be told that its window grows, if it is.
    pub(super) fn release(&mut self, n: usize) -> Option<u32> {
        self.untold += n as u32;
        if self.untold < self.whole / 2 {
            return None;
        }
        self.left += self.untold;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Credit, LARGEST};

    #[test]
    fn credit_may_be_negative_and_has_a_bound() {
        let mut credit = Credit::new(10);
        credit.spend(3);
        assert_eq!(credit.room(), 7);
        credit.add(-10).unwrap();
        assert_eq!(credit.room(), 0);
        credit.add(4).unwrap();
        assert_eq!(credit.room(), 1);
        credit.add(LARGEST - 1).unwrap();
        assert_eq!((credit.room(), credit.add(1)), (LARGEST as usize, None));
    }

    #[test]
    fn an_allowance_is_given_back_in_halves() {
        let mut allowance = Allowance::new(100);
        assert_eq!((allowance.spend(60), allowance.spend(41)), (Some(()), None));
        assert_eq!((allowance.release(49), allowance.release(1)), (None, Some(50)));
        assert_eq!((allowance.spend(90), allowance.spend(1)), (Some(()), None));
    }
}
