//! When a service is asleep, and what wakes it: `x-naru.power`.

use crate::contents::Shelf;
use crate::read::Reader;
use crate::service::Setting;
use naru_model::{Ignored, Mode, OffHours, Power, Span};
use naru_schedule::{Fault, Told, Weekly, is_address, named};
use naru_yaml::{Node, Pos};
use std::collections::BTreeSet;

/// A person's wake lasts for so long at most, where the file does not say.
const WAKE_MAX: Span = Span::mins(12 * 60);
/// A request waits for so long for a service that wakes, where the file does not say.
const HOLD: Span = Span::secs(60);
/// It may not wait longer: clients and what lies between give up before.
const LONGEST_HOLD: Span = Span::mins(15);
/// Single days, and things that are passed over. More are a program's doing.
const MOST: usize = 1_000;

/// The power of the service at `node`, as it says itself, or as the file says for all.
pub(crate) fn power(
    reader: &mut Reader<'_>,
    node: &Node,
    setting: &Setting<'_>,
    mode: Mode,
) -> Option<Power> {
    match node.at(&["x-naru", "power"]) {
        Some(own) if mode.is_job() => {
            let what = "x-naru.power is about services, and deploy.mode makes a job of it";
            reader.error(own.key, what, "remove one of them");
            None
        }
        Some(own) => Some(read(reader, own, setting.shelf)),
        None => setting.power.filter(|_| !mode.is_job()).cloned(),
    }
}

/// What a file says for all of its services.
pub(crate) fn of_file(reader: &mut Reader<'_>, root: &Node, shelf: &Shelf<'_>) -> Option<Power> {
    root.at(&["x-naru", "power"]).map(|written| read(reader, written, shelf))
}

fn read(reader: &mut Reader<'_>, written: &Node, shelf: &Shelf<'_>) -> Power {
    let get = |key: &str| written.get(key);
    conceal(reader, get("holidays"));
    let off = off(reader, written, shelf);
    let idle_after = reader.span("x-naru.power.idle_after", get("idle_after"));
    if let (Some(Span(0)), Some(node)) = (idle_after, get("idle_after")) {
        reader.error(
            node.pos,
            "x-naru.power.idle_after of nothing lets it never be on",
            "write a time, as 30m",
        );
    }
    if off.is_none() && idle_after.is_none() && get("off").is_none() {
        let advice = "add off: \"Mon-Fri 20:00-08:00, Sat, Sun\", or idle_after: 30m";
        reader.lack(written.key, "x-naru.power does not say when it is asleep", advice);
    }
    let (by_request, by_person) = wakers(reader, get("wake"));
    if let (false, Some(node)) = (by_request, get("hold").or_else(|| get("ignore"))) {
        reader.error(node.key, "x-naru.power: no request wakes it, and this is about those", "remove it");
    }
    let hold = reader.span("x-naru.power.hold", get("hold")).unwrap_or(HOLD);
    if let Some(node) = get("hold").filter(|_| hold > LONGEST_HOLD) {
        let what = format!("x-naru.power.hold is {hold}, and {LONGEST_HOLD} is the most");
        reader.error(node.pos, what, "clients give up before that; a page tells browsers to come again");
    }
    Power {
        off,
        idle_after,
        by_request,
        by_person,
        wake_max: reader.span("x-naru.power.wake_max", get("wake_max")).unwrap_or(WAKE_MAX),
        hold,
        ignore: ignored(reader, get("ignore")),
    }
}

/// The texts of one text or a list.
fn texts<'a>(reader: &mut Reader<'_>, key: &str, node: Option<&'a Node>) -> Vec<(&'a Node, String)> {
    let Some(node) = node else { return vec![] };
    let all: Vec<&Node> = if node.scalar().is_some() { vec![node] } else { node.items().iter().collect() };
    if all.len() > MOST {
        reader.error(node.pos, format!("{key} has {} entries", all.len()), format!("{MOST} are the most"));
    }
    all.into_iter().take(MOST).filter_map(|node| Some((node, node.scalar()?))).collect()
}

fn off(reader: &mut Reader<'_>, written: &Node, shelf: &Shelf<'_>) -> Option<OffHours> {
    let windows = texts(reader, "x-naru.power.off", written.get("off"));
    let holidays = texts(reader, "x-naru.power.holidays", written.get("holidays"));
    if windows.is_empty() {
        stray(reader, written);
        return None;
    }
    let timezone = written.get("timezone").and_then(Node::scalar).unwrap_or_else(|| "UTC".into());
    let texts: Vec<&str> = windows.iter().map(|(_, text)| text.trim()).collect();
    let hours = OffHours { windows: texts.join(", "), timezone, holidays: vec![] };
    let before = reader.report.error_count();
    for (node, text) in &windows {
        let one = OffHours { windows: text.clone(), timezone: "UTC".into(), holidays: vec![] };
        let advice = "write days, and times where it is not the whole day: Mon-Fri 20:00-08:00, Sat, Sun";
        check(reader, &one, (node.pos, "off", advice));
    }
    let zone = OffHours { windows: "Mon".into(), ..hours.clone() };
    let pos = written.get("timezone").map_or(written.pos, |node| node.pos);
    check(reader, &zone, (pos, "timezone", "write its name, as Asia/Seoul, or UTC"));
    let days = days(reader, holidays, shelf);
    let hours = OffHours { holidays: days.into_iter().collect(), ..hours };
    (reader.report.error_count() == before).then_some(hours)
}

/// Days, and those of calendars, each once and in order.
fn days(reader: &mut Reader<'_>, holidays: Vec<(&Node, String)>, shelf: &Shelf<'_>) -> BTreeSet<String> {
    let said = |told: &Told| format!("x-naru.power.holidays: {}", told.what);
    let mut days = BTreeSet::new();
    for (node, entry) in holidays {
        match named(&entry, shelf) {
            Ok(named) => {
                named.remarks.iter().for_each(|told| reader.warn(node.pos, said(told), &told.advice));
                days.extend(named.days);
            }
            Err(Fault::Wrong(told)) => reader.error(node.pos, said(&told), told.advice),
            Err(Fault::Away(told)) => reader.unfit(node.pos, said(&told), told.advice),
        }
    }
    days
}

/// Addresses may be secrets: nothing is said of the line that they stand in before they are hidden.
fn conceal(reader: &mut Reader<'_>, holidays: Option<&Node>) {
    let Some(node) = holidays else { return };
    let all = if node.scalar().is_some() { std::slice::from_ref(node) } else { node.items() };
    for node in all.iter().filter(|node| node.scalar().is_some_and(|entry| is_address(&entry))) {
        reader.report.conceal(node.pos, "://");
    }
}

/// What is about hours that are not there.
fn stray(reader: &mut Reader<'_>, written: &Node) {
    for key in ["timezone", "holidays"] {
        if let Some(node) = written.get(key) {
            let what = format!("x-naru.power.{key} is about off, which is not there");
            reader.lack(node.key, what, "add off: \"Mon-Fri 20:00-08:00, Sat, Sun\", or remove it");
        }
    }
}

fn check(reader: &mut Reader<'_>, hours: &OffHours, (pos, key, advice): (Pos, &str, &str)) {
    if let Err(unreadable) = Weekly::read(hours) {
        reader.error(pos, format!("x-naru.power.{key}: {unreadable}"), advice);
    }
}

/// Whether requests, and whether people.
fn wakers(reader: &mut Reader<'_>, node: Option<&Node>) -> (bool, bool) {
    let Some(node) = node else { return (true, true) };
    let (mut by_request, mut by_person) = (false, false);
    let all: Vec<&Node> = if node.scalar().is_some() { vec![node] } else { node.items().iter().collect() };
    for item in all {
        match reader.word("x-naru.power.wake", Some(item), &[("request", true), ("person", false)]) {
            Some(true) => by_request = true,
            Some(false) => by_person = true,
            None => {}
        }
    }
    (by_request, by_person)
}

fn ignored(reader: &mut Reader<'_>, node: Option<&Node>) -> Ignored {
    let get = |key: &str| node.and_then(|node| node.get(key));
    let key = "x-naru.power.ignore.paths";
    let mut paths = Vec::new();
    for (node, path) in texts(reader, key, get("paths")) {
        if path.starts_with('/') {
            paths.push(path);
        } else {
            reader.error(
                node.pos,
                format!("{key}: {path:?} does not begin with /"),
                "write it as /healthz or /status/*",
            );
        }
    }
    let agents = get("user_agents").map(|node| texts(reader, "x-naru.power.ignore.user_agents", Some(node)));
    let user_agents = match agents {
        Some(agents) => agents.into_iter().map(|(_, text)| text).filter(|text| !text.is_empty()).collect(),
        None => Ignored::PROBES.iter().map(|text| text.to_string()).collect(),
    };
    Ignored { paths, user_agents }
}
