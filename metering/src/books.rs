//! What was added up, on disk: `usage/2026-11-27.json` in NARU_HOME.

use naru_api::{Ground, Refused};
use naru_cost::{Around, CostView, Day, FILE, Month, Prices, day_of, read_prices, report};
use naru_home::{Home, put_file, take_file};
use naru_model::{Span, Time};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "usage";

/// Days are kept for so long: a year, and a month to look at it.
const KEPT: Span = Span::mins(400 * 24 * 60);

/// Hours that would have spared more are told by so many days before the month, too.
const BEFORE: Span = Span::mins(28 * 24 * 60);

/// Longest file of prices that is read.
const FILE_MAX: u64 = 1 << 20;

/// The days that are added to.
pub(crate) struct Books {
    folder: PathBuf,
    pub(crate) days: BTreeMap<String, Day>,
}

impl Books {
    pub(crate) fn open(home: &Home) -> Books {
        let folder = home.folder(FOLDER).unwrap_or_else(|error| {
            tracing::error!(%error, "what is used is not kept");
            home.path(FOLDER)
        });
        Books { folder, days: BTreeMap::new() }
    }

    /// Makes the day of a moment, and the one before, those that are added to; drops what is too old.
    pub(crate) fn turn_to(&mut self, at: Time) {
        let today = day_of(at);
        if self.days.contains_key(&today) {
            return;
        }
        self.write();
        let yesterday = day_of(Time(at.0.saturating_sub(Span::mins(24 * 60).0)));
        self.days.retain(|day, _| *day == yesterday);
        for day in [yesterday, today] {
            let known = self.days.remove(&day).unwrap_or_else(|| read_day(&self.folder, &day));
            self.days.insert(day, known);
        }
        let oldest = day_of(Time(at.0.saturating_sub(KEPT.0)));
        for day in names(&self.folder).into_iter().filter(|day| *day < oldest) {
            // It is tried again on the next day.
            let _ = fs::remove_file(path(&self.folder, &day));
        }
    }

    pub(crate) fn write(&self) {
        for (day, known) in self.days.iter().filter(|(_, known)| !known.is_empty()) {
            let written = serde_json::to_vec(known).map_err(std::io::Error::from);
            if let Err(error) = written.and_then(|text| put_file(&path(&self.folder, day), &text)) {
                tracing::error!(%error, day, "what was used is not written");
            }
        }
    }
}

fn path(folder: &Path, day: &str) -> PathBuf {
    folder.join(format!("{day}.json"))
}

/// The days that are there.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect()
}

/// A day that cannot be read is one of which nothing is known.
fn read_day(folder: &Path, day: &str) -> Day {
    let read = take_file(&path(folder, day)).map_err(|error| error.to_string());
    let read = read.and_then(|text| match text {
        Some(text) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        None => Ok(Day::new()),
    });
    read.unwrap_or_else(|error| {
        tracing::error!(error, day, "what was used on a day cannot be read");
        Day::new()
    })
}

/// What a month came to; without one, this month.
///
/// # Errors
/// The month is none.
pub async fn answer(
    home: Home,
    month: Option<String>,
    around: Around,
    now: Time,
) -> Result<CostView, Refused> {
    let month = month.map_or_else(|| Month::of(&day_of(now)), |text| text.parse());
    let month = month.map_err(|error| Refused::new(Ground::Invalid, error, "`naru cost --month 2026-11`"))?;
    let looked = tokio::task::spawn_blocking(move || look_up(&home, month, &around, now)).await;
    looked.map_err(|error| Refused::new(Ground::Unavailable, error.to_string(), "try again"))
}

fn look_up(home: &Home, month: Month, around: &Around, now: Time) -> CostView {
    let folder = home.path(FOLDER);
    let end = format!("{month}-99");
    let first = month.begins();
    let first = day_of(Time(first.0.saturating_sub(BEFORE.0)));
    let days =
        names(&folder).into_iter().filter(|day| (first.as_str()..end.as_str()).contains(&day.as_str()));
    let days: BTreeMap<String, Day> = days.map(|day| (day.clone(), read_day(&folder, &day))).collect();
    let (prices, fault) = match prices(&home.path(FILE)) {
        Ok(prices) => (prices, None),
        Err(fault) => (Prices::default(), Some(fault)),
    };
    CostView { fault, ..report(month, &days, &prices, around, now) }
}

fn prices(path: &Path) -> Result<Prices, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Prices::default()),
        Ok(about) if about.len() > FILE_MAX => return Err(format!("{FILE} is longer than 1 MiB")),
        Ok(_) | Err(_) => {}
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{FILE} cannot be read: {error}"))?;
    read_prices(FILE, &text).map_err(|errors| errors.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Books, answer};
    use naru_cost::{Around, Look, Meter, Now};
    use naru_home::Home;
    use naru_model::Time;

    const HOUR: u64 = 3_600_000;
    /// 2026-11-27 00:00 UTC.
    const MIDNIGHT: u64 = 1_795_737_600_000;

    fn walk(home: &Home, from: u64, to: u64) {
        let (mut books, mut meter) = (Books::open(home), Meter::default());
        for at in (from..=to).step_by(30_000) {
            let now = Now { on: true, instances: 1, ..Now::default() };
            let subjects = ["service/shop/api", "node/vm"].map(|what| (what.parse().unwrap(), now.clone()));
            books.turn_to(Time(at));
            meter.take(Look { at: Time(at), subjects: subjects.into() }, &mut books.days);
        }
        books.write();
    }

    #[tokio::test]
    async fn days_are_added_to_by_servers_one_after_the_other_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        std::fs::create_dir(home.path("usage")).unwrap();
        std::fs::write(home.path("usage").join("2025-01-01.json"), "{}").unwrap();
        walk(&home, MIDNIGHT - HOUR, MIDNIGHT + HOUR);
        walk(&home, MIDNIGHT + 2 * HOUR, MIDNIGHT + 3 * HOUR);
        std::fs::write(home.path("prices.yaml"), "machines: { vm: { hour: 1 } }\n").unwrap();
        let view = answer(home.clone(), None, Around::default(), Time(MIDNIGHT + 3 * HOUR)).await.unwrap();
        assert_eq!((view.watched, view.rows[1].what.as_str()), (3 * HOUR, "service/shop/api"));
        assert_eq!(view.rows[1].cost.unwrap().to_string(), "3.00");
        assert!(!home.path("usage").join("2025-01-01.json").exists());
        let october = answer(home.clone(), Some("2026-10".into()), Around::default(), Time(MIDNIGHT)).await;
        assert_eq!(october.unwrap().rows, []);
        std::fs::write(home.path("prices.yaml"), "machine: {}\n").unwrap();
        let view = answer(home.clone(), None, Around::default(), Time(MIDNIGHT + 3 * HOUR)).await.unwrap();
        assert!(view.fault.unwrap().contains("prices.yaml:1:1") && view.rows[1].cost.is_none());
        assert!(answer(home, Some("November".into()), Around::default(), Time(0)).await.is_err());
    }
}
