//! Restarts: on which ends, after which delay, and when it is given up.

use super::life::Life;
use naru_model::{Exit, Restart, RestartPolicy, Span, Time};

/// The delay is doubled up to this.
const LONGEST: Span = Span::mins(1);
/// A delay of zero is doubled from here: a crash loop without any pause takes a whole CPU.
const SHORTEST: Span = Span(100);

/// What follows an end that nobody ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is started again then.
    At(Time),
    /// The policy does not start it again after such an end.
    Stays,
    /// It was started again so many times in a row.
    GivenUp(u32),
}

/// Judges an end; counts the row.
pub(super) fn next(now: Time, restart: &Restart, life: &mut Life, exit: &Exit) -> Next {
    let again = match restart.policy {
        RestartPolicy::No => false,
        RestartPolicy::OnFailure => !exit.is_success(),
        RestartPolicy::Always => true,
    };
    if !again {
        return Next::Stays;
    }
    if life.running.is_some_and(|running| now.since(running.started) >= restart.window) {
        life.row = 0;
    }
    if restart.max_attempts.is_some_and(|most| life.row >= most) {
        return Next::GivenUp(life.row);
    }
    let delay = delay(restart.delay, life.row);
    life.row += 1;
    Next::At(now + delay)
}

fn delay(first: Span, row: u32) -> Span {
    if row == 0 {
        return first;
    }
    first.max(SHORTEST).times(1 << row.min(20)).min(LONGEST.max(first))
}

#[cfg(test)]
mod tests {
    use super::{Span, delay};

    #[test]
    fn delays_double_up_to_a_minute() {
        let all = |first| [0, 1, 2, 6, 40].map(|row| delay(Span(first), row).0);
        assert_eq!(all(1_000), [1_000, 2_000, 4_000, 60_000, 60_000]);
        assert_eq!(all(0), [0, 200, 400, 6_400, 60_000]);
        assert_eq!(all(90_000), [90_000; 5]);
    }
}
