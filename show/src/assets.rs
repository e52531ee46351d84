//! Assets, in columns and sentences.

use crate::paint::{self, Tone};
use crate::power::Clock;
use crate::table::{Table, foreign};
use naru_model::{AssetView, AssetsView, Machine, MachineState, Pursuit, Span, Time, Wanted};

/// All assets.
pub fn assets_table(assets: &[AssetView], now: Time, clock: &dyn Clock) -> String {
    let mut table =
        Table::new(&["NAME", "STATE", "TYPE", "ZONE", "SINCE", "WANTED", "WHY", "NEXT", "HEALTH", "MACHINE"]);
    for asset in assets {
        let machine = asset.machine.as_ref();
        let text =
            |part: fn(&Machine) -> &String| machine.map(|machine| foreign(part(machine))).unwrap_or_default();
        let id = asset.id.machine();
        table.row([
            foreign(asset.name.as_str()),
            machine.map_or_else(|| paint::dim("not seen"), |machine| state(machine.state)),
            text(|machine| &machine.kind),
            text(|machine| &machine.zone),
            asset.since.map(|since| age(now.since(since))).unwrap_or_default(),
            wanted(asset),
            why(asset),
            next(asset, now, clock),
            machine
                .and_then(|machine| machine.health.clone())
                .filter(|word| word != "ok")
                .unwrap_or_default(),
            if id == asset.name.as_str() { String::new() } else { id.into() },
        ]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}

/// What stands in the way of seeing all that is there.
pub fn asset_faults(view: &AssetsView) -> Vec<String> {
    let file = view.fault.iter().map(|fault| format!("assets.yaml cannot be used:\n{fault}"));
    let clouds = view.providers.iter().filter_map(|provider| {
        let last = provider.looked.map(|at| format!(" (looked at last {})", at.utc())).unwrap_or_default();
        Some(format!("{} cannot be looked at{last}: {}", provider.name, provider.fault.as_ref()?))
    });
    file.chain(clouds).collect()
}

/// Why no asset is listed, where that is no fault. `no_file` says how to name a cloud.
pub fn no_assets(view: &AssetsView, no_file: &str) -> Option<String> {
    if !view.assets.is_empty() || !asset_faults(view).is_empty() {
        return None;
    }
    if view.providers.is_empty() {
        return Some(format!("no cloud is named: {no_file}"));
    }
    Some("no machine has the tags that assets.yaml names; `naru assets discover` asks the clouds".into())
}

/// What a cloud shows, to whoever checks what a file names.
pub fn machines_table(machines: &[Machine], group: Option<&str>) -> String {
    let mut table = Table::new(&["MACHINE", "NAME", "STATE", "TYPE", "ZONE", "GROUP"]);
    for machine in machines {
        let tag = |key: &str| machine.tags.get(key).map(|value| foreign(value)).unwrap_or_default();
        table.row([
            foreign(&machine.id),
            tag("Name"),
            state(machine.state),
            foreign(&machine.kind),
            foreign(&machine.zone),
            group.map(tag).unwrap_or_default(),
        ]);
    }
    table.render()
}

/// What a stop would end, as far as that is known, for the question that is asked before it.
pub fn stop_ends(asset: &AssetView, now: Time) -> String {
    let machine = asset.machine.as_ref();
    let kind = machine.map(|machine| format!(" ({}, {})", machine.id, machine.kind)).unwrap_or_default();
    let running = machine.is_some_and(|machine| machine.state == MachineState::Running);
    let since = asset
        .since
        .filter(|_| running)
        .map(|since| format!(" has been running for {}", age(now.since(since))));
    let what = match asset.work {
        Some(_) => "it is the machine that Naru runs on: all its instances end with it",
        None => "no agent of Naru runs there: whether work is in progress on it is not known",
    };
    format!(
        "{}{kind}{}; {what}",
        foreign(asset.name.as_str()),
        since.unwrap_or_else(|| " is to be stopped".into())
    )
}

fn state(state: MachineState) -> String {
    let tone = match state {
        MachineState::Running => Tone::Good,
        MachineState::Pending | MachineState::Stopping => Tone::Busy,
        MachineState::Stopped => Tone::Quiet,
        MachineState::ShuttingDown | MachineState::Terminated => Tone::Bad,
    };
    paint::tone(tone, state)
}

fn wanted(asset: &AssetView) -> String {
    let (Some(want), Some(pursuit)) = (&asset.want, &asset.pursuit) else { return String::new() };
    let by = format!("{} by {}", want.wanted, foreign(&want.actor));
    match pursuit {
        Pursuit::Open => paint::tone(Tone::Busy, by),
        Pursuit::Reached { .. } => by,
        Pursuit::Failed { .. } => paint::tone(Tone::Bad, format!("{by}, failed")),
        Pursuit::Overtaken { .. } => paint::dim(format!("{by}, overtaken")),
        Pursuit::Elsewhere { by: other, .. } => {
            paint::dim(format!("{by}, {} stands in", foreign(other.as_str())))
        }
    }
}

/// Where a want stands; once it is reached, the words of whoever wanted it.
fn why(asset: &AssetView) -> String {
    let last = asset.log.last().map(|entry| foreign(&entry.text));
    let said = asset.want.as_ref().and_then(|want| want.message.as_deref()).map(foreign);
    match &asset.pursuit {
        None | Some(Pursuit::Elsewhere { .. }) => String::new(),
        Some(Pursuit::Reached { .. }) => said.unwrap_or_default(),
        Some(_) => last.unwrap_or_default(),
    }
}

/// What becomes of it by itself, and when.
fn next(asset: &AssetView, now: Time, clock: &dyn Clock) -> String {
    let hours = asset.hours.as_ref();
    if hours.is_some_and(|hours| !hours.kept) {
        return paint::dim("its hours are not kept: Naru itself runs on it");
    }
    let stands = matches!(asset.pursuit, Some(Pursuit::Open | Pursuit::Reached { .. }));
    let end = asset.want.as_ref().and_then(|want| want.until).filter(|end| stands && *end > now);
    let other = |now: Wanted| if now == Wanted::On { Wanted::Off } else { Wanted::On };
    let change = hours.and_then(|hours| Some((hours.next?, other(hours.now))));
    let at_end = end.map(|end| match change {
        Some((at, to)) if at <= end => to,
        _ => hours.map_or(Wanted::Off, |hours| hours.now),
    });
    let then = match (end.zip(at_end), change) {
        (Some((end, Wanted::Off)), _) => Some((end, Wanted::Off)),
        // It is on then by its hours.
        (Some((end, _)), change) => change.filter(|(at, _)| *at > end),
        (None, change) => change,
    };
    then.map(|(at, to)| format!("{to} at {}", clock.moment(at))).unwrap_or_default()
}

fn age(span: Span) -> String {
    if span < Span::secs(1) { "now".into() } else { Span(span.0 / 1000 * 1000).to_string() }
}

#[cfg(test)]
mod tests {
    use super::{assets_table, stop_ends};
    use crate::power::Clock;
    use anstream::adapter::strip_str;
    use naru_model::{
        AssetEntry, AssetHours, AssetReason, AssetView, AssetWant, InProgress, Machine, MachineState,
        OffHours, Pursuit, Time, Wanted,
    };

    /// Seconds.
    struct Seconds;

    impl Clock for Seconds {
        fn moment(&self, at: Time) -> String {
            format!("{} s", at.0 / 1_000)
        }

        fn day(&self, _: Time) -> (String, u32) {
            unreachable!("a table has no days")
        }
    }

    fn asset(name: &str, state: MachineState) -> AssetView {
        let machine = Machine {
            id: format!("i-{name}"),
            state,
            kind: "m7i.large".into(),
            zone: "a".into(),
            tags: Default::default(),
            launched: None,
            changed: None,
            reason: None,
            health: Some("ok".into()),
        };
        AssetView {
            id: naru_model::AssetId::new("c", &machine.id),
            name: name.into(),
            machine: Some(machine),
            since: Some(Time(1_000)),
            group: None,
            hours: None,
            work: None,
            want: None,
            pursuit: None,
            log: vec![],
        }
    }

    #[test]
    fn assets_tell_where_they_are_and_what_is_wanted() {
        let mut gpu = asset("gpu", MachineState::Stopping);
        let (wanted, actor) = (Wanted::On, "kim".to_string());
        gpu.want = Some(AssetWant {
            wanted,
            actor,
            message: None,
            at: Time(0),
            until: None,
            kept_since: None,
            instead_of: None,
        });
        gpu.pursuit = Some(Pursuit::Open);
        let reason = AssetReason::WaitsForState { act: Wanted::On.act(), state: MachineState::Stopping };
        gpu.log = vec![AssetEntry { at: Time(0), text: reason.to_string(), reason }];
        let shown = assets_table(&[gpu, asset("web", MachineState::Running)], Time(61_000), &Seconds);
        let want = "\
NAME  STATE     TYPE       ZONE  SINCE  WANTED     WHY                                                             MACHINE
gpu   stopping  m7i.large  a     60 s   on by kim  it is stopping, and cannot be asked to start before that is over  i-gpu
web   running   m7i.large  a     60 s                                                                              i-web
";
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(words(&strip_str(&shown).to_string()), words(want));
    }

    #[test]
    fn what_comes_next_is_told() {
        let next = |now: Wanted, change: Option<u64>, until: Option<u64>, kept: bool| {
            let mut web = asset("web", MachineState::Running);
            let off = OffHours { windows: "Sat".into(), timezone: "UTC".into(), holidays: vec![] };
            let next = change.map(|at| Time(at * 1_000));
            web.hours = next.map(|next| AssetHours { off, now, next: Some(next), kept });
            web.want = Some(AssetWant {
                wanted: Wanted::On,
                actor: "kim".into(),
                message: None,
                at: Time(0),
                until: until.map(|at| Time(at * 1_000)),
                kept_since: None,
                instead_of: None,
            });
            web.pursuit = Some(Pursuit::Reached { at: Time(0) });
            super::next(&web, Time(1_000), &Seconds)
        };
        assert_eq!(next(Wanted::On, Some(9), None, true), "off at 9 s");
        assert_eq!(next(Wanted::Off, Some(9), None, true), "on at 9 s");
        assert_eq!(next(Wanted::Off, Some(9), Some(5), true), "off at 5 s");
        assert_eq!(next(Wanted::On, Some(9), Some(5), true), "off at 9 s");
        assert_eq!(next(Wanted::On, Some(9), Some(12), true), "off at 12 s");
        assert_eq!(next(Wanted::Off, Some(9), Some(12), true), "", "on by its hours when the wake ends");
        assert_eq!(next(Wanted::Off, None, Some(5), true), "off at 5 s");
        assert!(next(Wanted::Off, Some(9), None, false).contains("not kept"));
    }

    #[test]
    fn a_stop_says_what_it_ends() {
        let mut web = asset("web", MachineState::Running);
        let said = stop_ends(&web, Time(61_000));
        assert!(
            said.starts_with("web (i-web, m7i.large) has been running for 60 s; no agent of Naru runs there"),
            "{said}"
        );
        web.work = Some(InProgress::default());
        assert!(
            stop_ends(&web, Time(61_000))
                .ends_with("it is the machine that Naru runs on: all its instances end with it")
        );
    }
}
