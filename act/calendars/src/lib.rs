//! Calendars at addresses, each fetched once a day, with the last good copy kept.
//!
//! - A copy that is younger than a day is taken, and nobody is asked: what reads a file over and over stays quick, and works
//!   where there is no network.
//! - What comes is kept only if it is a calendar with an all-day event. A page that asks to sign in is none.
//! - Where no calendar comes, the last good copy is used however old it is, and a remark says so.
//! - An address may be a secret, whole or in part: messages have its host and harmless words of its path ([`Calendars::get`]).

mod address;
mod calendars;
mod copies;
mod fetch;

pub use calendars::{Calendars, Limits};

use naru_schedule::Addresses;
use std::path::Path;

/// What reads the calendars at addresses, with their copies in this home: for one reading of the files that name them.
pub fn addresses(home: &Path) -> Addresses {
    let calendars = Calendars::of(home);
    Addresses::read_by(move |address| calendars.get(address))
}
