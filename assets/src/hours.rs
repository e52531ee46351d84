//! What is wanted of machines by themselves: by their hours, and when a start ends that was for a time.
//!
//! A function of the clock, the hours, the newest want and what is seen, and of nothing that was decided before: a server that was
//! off for a day, or a clock that is set, changes nothing. Each moment at which it changes what is due acts once, on a machine that has been
//! otherwise since before that. So whoever starts or stops one afterwards, here or at the cloud, is not worked against until
//! the next such moment.

use crate::fleet::{Asset, Fleet, Watched};
use crate::kept::AssetRecord;
use crate::record::{note, wanted};
use naru_model::{
    AssetHours, AssetId, AssetName, AssetReason, AssetWant, Machine, MachineState, Pursuit, Time, Wanted,
};
use naru_schedule::Weekly;
use std::collections::BTreeMap;

/// Whose want it is, where it is nobody's.
const HOURS: &str = "its hours";

/// The hours of each provider that has some.
pub(crate) type AllHours<'a> = BTreeMap<&'a str, Weekly>;

/// What is to be, since when, and why.
#[derive(Clone, Debug)]
struct Due {
    wanted: Wanted,
    since: Time,
    why: AssetReason,
}

impl Fleet {
    pub(crate) fn all_hours(&self) -> AllHours<'_> {
        let hours = |watched: &Watched| Weekly::read(watched.provider.power.off.as_ref()?).ok();
        self.providers.iter().filter_map(|(name, watched)| Some((name.as_str(), hours(watched)?))).collect()
    }

    /// Wants that begin now by themselves.
    pub(crate) fn due(&self, hours: &AllHours<'_>, now: Time) -> Vec<AssetRecord> {
        let names = self.names();
        let one = |(id, asset): (&AssetId, &Asset)| {
            let own = self.hours_of(hours, id, &names[id]);
            self.due_of((id, asset), own, now).map(|due| begin(id, asset, names[id].clone(), due, now))
        };
        self.assets.iter().filter_map(one).collect()
    }

    /// When something may be due next.
    pub(crate) fn next_due(&self, hours: &AllHours<'_>, now: Time) -> Option<Time> {
        let changes = hours.values().filter_map(|weekly| weekly.next_change(now));
        let ends = self.assets.values().filter_map(|asset| asset.kept_on(now));
        changes.chain(ends).min()
    }

    /// The hours of a machine, for people.
    pub(crate) fn hours_view(
        &self,
        hours: &AllHours<'_>,
        (id, name): (&AssetId, &AssetName),
        now: Time,
    ) -> Option<AssetHours> {
        let weekly = self.hours_of(hours, id, name)?;
        let off = self.provider(id.provider())?.power.off.clone()?;
        Some(AssetHours { off, now: by(weekly, now), next: weekly.next_change(now), kept: !self.is_own(id) })
    }

    /// Those of its provider, unless it is excepted. What stands in for a machine has that one's hours.
    pub(crate) fn hours_of<'h>(
        &self,
        hours: &'h AllHours<'_>,
        id: &AssetId,
        name: &AssetName,
    ) -> Option<&'h Weekly> {
        let weekly = hours.get(id.provider())?;
        let except = &self.provider(id.provider())?.power.except;
        let want = self.assets.get(id)?.record.as_ref().map(|record| &record.want);
        let first = want.and_then(|want| want.instead_of.as_ref());
        (!except.contains(name) || first.is_some_and(|first| !except.contains(first))).then_some(weekly)
    }

    fn due_of(&self, (id, asset): (&AssetId, &Asset), hours: Option<&Weekly>, now: Time) -> Option<Due> {
        if asset.kept_on(now).is_some() {
            return None;
        }
        let record = asset.record.as_ref();
        let machine = &asset.seen.as_ref()?.machine;
        let changed = hours.and_then(|weekly| {
            let (wanted, since) = (by(weekly, now), weekly.since(now)?);
            Some(Due { wanted, since, why: AssetReason::Hours { wanted, since } })
        });
        let ended = record.and_then(|record| {
            let (actor, at) = (record.want.actor.clone(), record.want.until?);
            let wanted = hours.map_or(Wanted::Off, |weekly| by(weekly, now));
            Some(Due { wanted, since: at, why: AssetReason::Ended { actor, at } })
        });
        let due = changed.into_iter().chain(ended).max_by_key(|due| due.since)?;
        let is_newer = record.is_none_or(|record| record.want.at < due.since);
        let is_otherwise = match record.filter(|record| record.pursuit == Pursuit::Open) {
            Some(open) => open.want.wanted.act().starts() != due.wanted.act().starts(),
            None => has_been_otherwise(machine, &due),
        };
        let would_end_this = due.wanted != Wanted::On && self.is_own(id);
        (is_newer && is_otherwise && !would_end_this).then_some(due)
    }
}

impl Asset {
    /// Until when somebody keeps it on.
    pub(crate) fn kept_on(&self, now: Time) -> Option<Time> {
        let record = self.record.as_ref()?;
        let stands = matches!(record.pursuit, Pursuit::Open | Pursuit::Reached { .. });
        record.want.until.filter(|until| stands && *until > now)
    }
}

pub(crate) fn by(hours: &Weekly, now: Time) -> Wanted {
    if hours.has(now) { Wanted::Off } else { Wanted::On }
}

/// Whether a machine at rest has been the opposite of what is due since before it was due, as far as its cloud says.
fn has_been_otherwise(machine: &Machine, due: &Due) -> bool {
    let since = match (machine.state, due.wanted) {
        (MachineState::Running, Wanted::Off | Wanted::Hibernated) => machine.launched,
        (MachineState::Stopped, Wanted::On) => machine.changed,
        _ => return false,
    };
    since.is_none_or(|since| since < due.since)
}

fn begin(id: &AssetId, asset: &Asset, name: AssetName, due: Due, now: Time) -> AssetRecord {
    let want = AssetWant {
        wanted: due.wanted,
        actor: HOURS.into(),
        message: None,
        at: now,
        until: None,
        kept_since: None,
        instead_of: None,
    };
    let mut record = wanted(asset.record.as_ref(), id, name, want);
    note(&mut record, now, due.why);
    record
}
