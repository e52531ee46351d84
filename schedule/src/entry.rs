//! One entry of `holidays`: a day, a calendar's file, or a calendar's address.

use crate::{Holidays, Weekly, holidays};
use naru_model::OffHours;
use std::fmt;
use std::sync::Arc;

/// What the name of a calendar's file ends with.
const FILE: &str = ".ics";

/// What to do about a calendar that is at an address, and not to be had from there.
pub const BY_HAND: &str =
    "fetch it another way, as by `curl -o holidays.ics ADDRESS`, and write holidays.ics instead";

/// A sentence about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

impl Told {
    /// Both.
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Told {
        Told { what: what.into(), advice: advice.into() }
    }
}

/// Why an entry names no days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not right.
    Wrong(Told),
    /// It may be right, and what is at its address cannot be had now.
    Away(Told),
}

/// The days that an entry names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// As 2026-12-25.
    pub days: Vec<String>,
    /// What may surprise.
    pub remarks: Vec<Told>,
}

/// A calendar that was at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The address, without what may be a secret in it.
    pub shown: String,
    /// Its days.
    pub holidays: Holidays,
    /// What may surprise, as that this is an older copy.
    pub remark: Option<Told>,
}

/// Where calendars are read.
pub trait Sources {
    /// The text of a file.
    ///
    /// # Errors
    /// It cannot be read.
    fn file(&self, path: &str) -> Result<String, Told>;

    /// The calendar at an address.
    ///
    /// # Errors
    /// The address is not right, or its calendar cannot be had.
    fn address(&self, address: &str) -> Result<Fetched, Fault>;
}

/// What reads the calendars at addresses. Clones are the same; by default, no address is asked.
#[derive(Clone, Default)]
pub struct Addresses(Option<Arc<Read>>);

type Read = dyn Fn(&str) -> Result<Fetched, Fault> + Send + Sync;

impl Addresses {
    /// Read by this.
    pub fn read_by(read: impl Fn(&str) -> Result<Fetched, Fault> + Send + Sync + 'static) -> Addresses {
        Addresses(Some(Arc::new(read)))
    }

    /// Passed over, as if nothing were there: for who does not ask for the days.
    pub fn passed_over() -> Addresses {
        Addresses::read_by(|_| Ok(Fetched::default()))
    }

    /// The calendar at an address.
    ///
    /// # Errors
    /// The address is not right, or its calendar cannot be had.
    pub fn get(&self, address: &str) -> Result<Fetched, Fault> {
        match &self.0 {
            Some(read) => read(address),
            None => Err(Fault::Away(Told::new("no calendar is fetched from its address here", BY_HAND))),
        }
    }
}

/// Where there are no files.
impl Sources for Addresses {
    fn file(&self, path: &str) -> Result<String, Told> {
        Err(Told::new(format!("{path}: no calendar is read from a file here"), "write its days"))
    }

    fn address(&self, address: &str) -> Result<Fetched, Fault> {
        self.get(address)
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Addresses are read" } else { "No address is read" })
    }
}

/// Whether an entry is an address, which may be a secret.
pub fn is_address(entry: &str) -> bool {
    entry.contains("://")
}

/// The days that one entry names.
///
/// # Errors
/// It is no day, or its calendar cannot be had or read.
pub fn named(entry: &str, sources: &dyn Sources) -> Result<Named, Fault> {
    if is_address(entry) {
        let Fetched { shown, holidays, remark } = sources.address(entry)?;
        return Ok(Named {
            remarks: remark.into_iter().chain(timed(&shown, &holidays)).collect(),
            days: holidays.days,
        });
    }
    if entry.ends_with(FILE) {
        let text = sources.file(entry).map_err(Fault::Wrong)?;
        let advice = "write an iCalendar file, as calendars export it";
        let holidays =
            holidays(&text).map_err(|why| Fault::Wrong(Told::new(format!("{entry}: {why}"), advice)))?;
        return Ok(Named { remarks: timed(entry, &holidays).into_iter().collect(), days: holidays.days });
    }
    let day = OffHours { windows: "Mon".into(), timezone: "UTC".into(), holidays: vec![entry.into()] };
    match Weekly::read(&day) {
        Ok(_) => Ok(Named { days: day.holidays, remarks: vec![] }),
        Err(unreadable) => {
            let advice =
                "write a day, as \"2026-12-25\", a calendar's file, as kr.ics, or its address, as https://…";
            Err(Fault::Wrong(Told::new(unreadable.to_string(), advice)))
        }
    }
}

fn timed(name: &str, holidays: &Holidays) -> Option<Told> {
    let what = format!("{name} has events at a time of the day ({}), ignored", holidays.timed);
    (holidays.timed > 0).then(|| Told::new(what, "only all-day events are holidays"))
}

#[cfg(test)]
mod tests {
    use super::{Addresses, Fault, Fetched, Named, Sources, Told, named};
    use crate::Holidays;

    struct One(&'static str);

    impl Sources for One {
        fn file(&self, path: &str) -> Result<String, Told> {
            if path == "kr.ics" { Ok(self.0.into()) } else { Err(Told::new("is not there", "create it")) }
        }

        fn address(&self, address: &str) -> Result<Fetched, Fault> {
            let holidays = Holidays { days: vec!["2027-01-01".into()], timed: 1 };
            let of = Addresses::read_by(move |address| {
                let remark = Some(Told::new("it is old", "wait"));
                Ok(Fetched { shown: address.replace("secret", "…"), holidays: holidays.clone(), remark })
            });
            of.get(address)
        }
    }

    #[test]
    fn an_entry_is_a_day_a_file_or_an_address() {
        let calendar = One(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n",
        );
        let days =
            |days: &[&str]| Named { days: days.iter().map(|day| day.to_string()).collect(), remarks: vec![] };
        assert_eq!(named("2026-12-24", &calendar), Ok(days(&["2026-12-24"])));
        assert_eq!(named("kr.ics", &calendar), Ok(days(&["2026-12-25"])));
        let at_address = named("https://example.com/secret.ics", &calendar).unwrap();
        assert_eq!(at_address.days, ["2027-01-01"]);
        let told: Vec<&str> = at_address.remarks.iter().map(|told| told.what.as_str()).collect();
        assert_eq!(
            told,
            ["it is old", "https://example.com/….ics has events at a time of the day (1), ignored"]
        );
        for entry in ["us.ics", "24.12.2026"] {
            assert!(matches!(named(entry, &calendar), Err(Fault::Wrong(_))), "{entry}");
        }
    }

    #[test]
    fn by_default_no_address_is_asked() {
        assert!(matches!(Addresses::default().get("https://example.com"), Err(Fault::Away(_))));
        assert_eq!(Addresses::passed_over().get("https://example.com"), Ok(Fetched::default()));
    }
}
