//! What is asked for, what is kept, and what is said of it.

use crate::address::Address;
use crate::copies::{Copies, Copy, good};
use crate::fetch::{Bounds, Came, fetch};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use naru_schedule::{BY_HAND, Fault, Fetched, Holidays, Told};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// How much is waited for, and how long a copy does.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A copy that is younger is taken as it is.
    pub fresh: Duration,
    /// Until there is a connection.
    pub connect: Duration,
    /// Until a calendar is here, redirects included.
    pub each: Duration,
    /// Until all are. After that, nobody is asked any more.
    pub together: Duration,
    /// The most bytes of a calendar.
    pub bytes: usize,
}

impl Default for Limits {
    /// Holidays change a few times a year; a person waits for what reads them; the largest public calendars of holidays are
    /// some hundred KiB.
    fn default() -> Limits {
        Limits {
            fresh: Duration::from_secs(24 * 3600),
            connect: Duration::from_secs(5),
            each: Duration::from_secs(20),
            together: Duration::from_secs(60),
            bytes: 4 << 20,
        }
    }
}

/// The calendars at addresses, with their copies in one home: for one reading of the files that name them. What one answered
/// once, it answers again.
pub struct Calendars {
    copies: Copies,
    limits: Limits,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    answered: BTreeMap<String, Result<Fetched, Fault>>,
    /// So long others were waited for.
    spent: Duration,
}

impl Calendars {
    /// With copies in this home, which is made when there is one to be kept.
    pub fn of(home: &Path) -> Calendars {
        Calendars::within(home, Limits::default())
    }

    /// The same, within other limits.
    pub fn within(home: &Path, limits: Limits) -> Calendars {
        Calendars { copies: Copies::of(home), limits, asked: Mutex::default() }
    }

    /// The calendar at an address: `https://…`, `webcal://…`, or `http://` of this machine. Blocks; it may be called where a
    /// runtime is at work. Whatever it says has, of the address, the host and words of the path that can be no secret.
    ///
    /// # Errors
    /// The address is none that may be asked; or no calendar came, and there is no copy of an earlier one.
    pub fn get(&self, written: &str) -> Result<Fetched, Fault> {
        let mut asked = self.asked.lock().expect("no code panics with the lock held");
        if let Some(answered) = asked.answered.get(written) {
            return answered.clone();
        }
        let answer = match Address::read(written) {
            Ok(address) => self.ask(&address, &mut asked.spent),
            Err(told) => Err(Fault::Wrong(told)),
        };
        asked.answered.insert(written.into(), answer.clone());
        answer
    }

    fn ask(&self, address: &Address, spent: &mut Duration) -> Result<Fetched, Fault> {
        let copy = self.copies.find(address);
        let is_fresh = |copy: &Copy| copy.at.elapsed().is_ok_and(|age| age < self.limits.fresh);
        let copy = match copy {
            Some(copy) if is_fresh(&copy) => return Ok(fetched(address, copy.holidays, None)),
            copy => copy,
        };
        let begun = Instant::now();
        let came = self.fetch(address, copy.as_ref(), *spent);
        *spent += begun.elapsed();
        match (came, copy) {
            (Ok(came), _) => Ok(came),
            (Err(why), Some(copy)) => {
                let what = format!(
                    "{} cannot be fetched ({why}), and its copy of {} is used",
                    address.shown(),
                    date(copy.at)
                );
                let advice = "see whether the address still leads to a calendar; the next command asks again";
                Ok(fetched(address, copy.holidays, Some(Told::new(what, advice))))
            }
            (Err(why), None) => {
                let what =
                    format!("{} cannot be fetched, and there is no copy of it: {why}", address.shown());
                Err(Fault::Away(Told::new(what, BY_HAND)))
            }
        }
    }

    /// What is there now. The error says why that is no calendar.
    fn fetch(&self, address: &Address, copy: Option<&Copy>, spent: Duration) -> Result<Fetched, String> {
        let Limits { connect, each, together, bytes, .. } = self.limits;
        let whole = each.min(together.saturating_sub(spent));
        if whole.is_zero() {
            return Err(format!("other calendars took {together:?} together"));
        }
        let (holidays, kept) = match (
            fetch(address, copy.map(|copy| &copy.calendar), Bounds { connect, whole, bytes })?,
            copy,
        ) {
            (Came::Same, Some(copy)) => (copy.holidays.clone(), self.copies.confirm(address)),
            (Came::Same, None) => return Err("it says that nothing changed, and nothing was here".into()),
            (Came::Text(calendar), _) => (good(&calendar.text)?, self.copies.keep(address, &calendar)),
        };
        let remark = kept.err().map(|error| {
            let folder = self.copies.folder().display();
            let what = format!("no copy of {} is kept: {folder} cannot be written: {error}", address.shown());
            Told::new(what, "make it writable for this user: without a copy, each command asks again")
        });
        Ok(fetched(address, holidays, remark))
    }
}

fn fetched(address: &Address, holidays: Holidays, remark: Option<Told>) -> Fetched {
    Fetched { shown: address.shown(), holidays, remark }
}

fn date(at: SystemTime) -> String {
    match Timestamp::try_from(at) {
        Ok(at) => at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => "an unknown day".into(),
    }
}
