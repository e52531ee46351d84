//! The agent's clock: the wall's at the start of the process, and the machine's own steps from there.
//!
//! Never goes back, does not jump when somebody sets the wall clock, and stands still while the machine
//! sleeps, so that no lease expires in a suspended laptop.

use naru_model::Time;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

static START: LazyLock<(Time, Instant)> = LazyLock::new(|| {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Time(wall.as_millis() as u64), Instant::now())
});

/// The present time.
pub fn now() -> Time {
    let (wall, instant) = *START;
    Time(wall.0 + instant.elapsed().as_millis() as u64)
}
