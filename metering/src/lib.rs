//! The server's meter: it looks at the world every few seconds, and keeps what [`naru_cost`] adds up, a file a day, in
//! the folder `usage` of NARU_HOME.
//!
//! What was added up is written every half minute: a server that is killed forgets that much, and no more.

mod books;
mod look;

pub use books::answer;
pub use look::{names, of_assets, of_world, zones};

use books::Books;
use naru_cost::{Look, Meter};
use naru_home::Home;
use std::time::Duration;

/// Between two looks. A request that began and ended in between is seen all the same: edges tell when each instance was used last.
const PACE: Duration = Duration::from_secs(5);

/// Looks between two writes.
const WRITES: u32 = 6;

/// Looks and adds up, for as long as it is let. `None`: nothing could be seen this time.
pub async fn run<F: Future<Output = Option<Look>>>(home: Home, look: impl Fn() -> F) {
    let mut books = Books::open(&home);
    let (mut meter, mut looks) = (Meter::default(), 0);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let Some(look) = look().await else { continue };
        books.turn_to(look.at);
        meter.take(look, &mut books.days);
        looks += 1;
        if looks % WRITES == 0 {
            books.write();
        }
    }
}
