//! Services' power, as `naru power` shows it.

use crate::moment;
use crate::paint::{self, Tone};
use crate::table::Table;
use naru_model::{PowerState, PowerView, StackView, Time, Want};

/// How points in time are written, in the reader's own zone.
pub trait Clock {
    /// `Fri 20:00`, or with the date where it is further away than a week.
    fn moment(&self, at: Time) -> String;
    /// The day that something falls on, `Fri 27 Nov`, and the minute of it.
    fn day(&self, at: Time) -> (String, u32);
}

/// The reader's own zone, and now.
pub struct Local(pub Time);

impl Clock for Local {
    fn moment(&self, at: Time) -> String {
        moment::near(at, self.0)
    }

    fn day(&self, at: Time) -> (String, u32) {
        moment::day(at)
    }
}

/// One row for each service of these stacks that may be asleep. A stack's name is shown where there are several.
pub fn power(stacks: &[StackView], clock: &dyn Clock) -> String {
    let mut table = Table::new(&["STACK", "SERVICE", "POWER", "WHY", "UNTIL", "NEXT"]);
    let many = stacks.iter().filter(|stack| stack.services.iter().any(|one| one.power.is_some())).count() > 1;
    for stack in stacks {
        for service in &stack.services {
            let Some(view) = &service.power else { continue };
            let first = view.wants.first();
            let more = view.wants.len().saturating_sub(1);
            let why = first.map(|want| format!("{want}{}", others(more))).unwrap_or_default();
            let until = first.and_then(Want::until).map(|at| clock.moment(at)).unwrap_or_default();
            table.row([
                if many { stack.name.to_string() } else { String::new() },
                service.name.to_string(),
                state(view.state),
                why,
                until,
                next(view, clock),
            ]);
        }
    }
    table.render()
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => ", and one reason more".into(),
        more => format!(", and {more} reasons more"),
    }
}

fn state(state: PowerState) -> String {
    let tone = match state {
        PowerState::On => Tone::Good,
        PowerState::Waking | PowerState::FallingAsleep => Tone::Busy,
        PowerState::Asleep => Tone::Quiet,
    };
    paint::tone(tone, state)
}

fn next(view: &PowerView, clock: &dyn Clock) -> String {
    view.next.map(|(at, to)| format!("{to} at {}", clock.moment(at))).unwrap_or_default()
}

/// All that is wanted of each service, and its week.
pub fn power_whole(stacks: &[StackView], clock: &dyn Clock) -> String {
    let mut out = String::new();
    for stack in stacks {
        for service in &stack.services {
            let Some(view) = &service.power else { continue };
            if !out.is_empty() {
                out.push('\n');
            }
            out += &format!(
                "{}: {}\n",
                paint::bold(format!("{}/{}", stack.name, service.name)),
                state(view.state)
            );
            for want in &view.wants {
                let until = want.until().map(|at| format!(", until {}", clock.moment(at)));
                out += &format!("  {want}{}\n", until.unwrap_or_default());
            }
            if view.next.is_some() {
                out += &format!("  next: {}\n", next(view, clock));
            }
            out += &week(view, clock);
        }
    }
    out
}

/// Columns of a day: one for each half hour.
const HALF_HOURS: usize = 48;

/// A line for each of the next days, with a mark for each half hour in which it is on by its hours.
fn week(view: &PowerView, clock: &dyn Clock) -> String {
    if view.off.is_empty() {
        return String::new();
    }
    let half_hour = 30 * 60_000;
    let end = view.off.iter().map(|(_, until)| until.0).max().unwrap_or_default();
    let start = view.off.iter().map(|(from, _)| from.0).min().unwrap_or_default();
    let start = view.next.map_or(start, |(at, _)| start.min(at.0)) / half_hour * half_hour;
    let mut days: Vec<(String, [Option<bool>; HALF_HOURS])> = Vec::new();
    let mut at = start;
    while at < end {
        let (day, minute) = clock.day(Time(at));
        if days.last().is_none_or(|(last, _)| *last != day) {
            days.push((day, [None; HALF_HOURS]));
        }
        let is_off = view.off.iter().any(|(from, until)| (from.0..until.0).contains(&at));
        if let Some((_, marks)) = days.last_mut() {
            marks[(minute / 30) as usize % HALF_HOURS] = Some(!is_off);
        }
        at += half_hour;
    }
    let mut out = String::from("              0     3     6     9     12    15    18    21\n");
    for (day, marks) in days {
        let marks: String =
            marks.iter().map(|mark| mark.map_or(' ', |on| if on { '█' } else { '·' })).collect();
        out += &format!("  {day:<11} {}\n", marks.trim_end());
    }
    out + "              █ on by its hours, · off\n"
}

#[cfg(test)]
mod tests {
    use super::{Clock, power, power_whole};
    use anstream::adapter::strip_str;
    use naru_model::{Power, PowerState, PowerView, ServiceView, Span, StackView, Time, Wake, Want};

    /// Hours since the first of January 1970.
    struct Hours;

    impl Clock for Hours {
        fn moment(&self, at: Time) -> String {
            format!("{} h", at.0 / 3_600_000)
        }

        fn day(&self, at: Time) -> (String, u32) {
            let minutes = at.0 / 60_000;
            (format!("day {}", minutes / 1440), (minutes % 1440) as u32)
        }
    }

    fn stack() -> StackView {
        let hour = |n: u64| Time(n * 3_600_000);
        let power = Power {
            off: None,
            idle_after: None,
            by_request: true,
            by_person: true,
            wake_max: Span::mins(60),
            hold: Span::secs(60),
            ignore: Default::default(),
        };
        let wake = Wake { owner: "mina".into(), reason: Some("demo".into()), since: hour(1), until: hour(3) };
        let view = PowerView {
            state: PowerState::On,
            wants: vec![Want::Wake(wake), Want::Requests { waiting: 2 }],
            next: Some((hour(8), PowerState::On)),
            power,
            off: vec![(hour(0), hour(8)), (hour(20), hour(30))],
        };
        let service = ServiceView {
            name: "engine".into(),
            wanted: 1,
            ready: 1,
            retiring: 0,
            addresses: vec![],
            power: Some(view),
        };
        StackView {
            name: "ocr".into(),
            serving: None,
            target: None,
            steering: None,
            services: vec![service],
            addresses: vec![],
        }
    }

    #[test]
    fn the_first_want_is_shown_and_how_many_there_are_beside() {
        let want = "\
SERVICE  POWER  WHY                                        UNTIL  NEXT
engine   on     mina woke it: demo, and one reason more  3 h    on at 8 h
";
        let shown = strip_str(&power(&[stack()], &Hours)).to_string();
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(want));
    }

    #[test]
    fn the_week_has_a_mark_for_each_half_hour() {
        let shown = strip_str(&power_whole(&[stack()], &Hours)).to_string();
        let night = "·".repeat(16);
        let day = format!("{night}{}{}", "█".repeat(24), "·".repeat(8));
        assert!(shown.contains(&format!("  day 0       {day}\n")), "{shown}");
        assert!(shown.contains(&format!("  day 1       {}\n", "·".repeat(12))), "{shown}");
        assert!(shown.contains("  2 requests wait for it\n"), "{shown}");
    }
}
