//! What is known: providers and how they were looked at, machines as seen, records.

use crate::file::{Provider, is_asset_name};
use crate::kept::{Ask, AskState, AssetRecord};
use crate::pursue::{self, Move};
use crate::record::{leave, note, settle};
use naru_model::{AssetId, AssetName, InProgress, Machine, MachineAct, Pursuit, Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Everything is looked at this often, wanted or not.
const WHOLE_EVERY: Span = Span::secs(60);

/// Between looks that fail: the first wait, and the longest.
const LOOK_AGAIN: (Span, Span) = (Span::secs(2), Span::secs(60));

/// What became of the last want of a machine that is gone is shown for so long.
const FORGET_AFTER: Span = Span::mins(24 * 60);

/// All assets, and all that is known of them.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    pub(crate) providers: BTreeMap<String, Watched>,
    pub(crate) assets: BTreeMap<AssetId, Asset>,
    /// The machine that this judgement is made on, by the cloud's name.
    pub(crate) own: Option<String>,
    /// Work in progress on that machine.
    pub(crate) work: InProgress,
}

/// A provider, and how it was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) provider: Provider,
    /// When the last whole look that succeeded ended.
    pub(crate) looked: Option<Time>,
    /// Why the last look failed.
    pub(crate) fault: Option<String>,
    failures: u32,
    not_before: Time,
    looking: Looking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looking {
    No,
    Yes,
}

/// One machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asset {
    pub(crate) record: Option<AssetRecord>,
    pub(crate) seen: Option<Seen>,
    /// When the last look at it ended, whether it was there or not.
    pub(crate) looked: Option<Time>,
    /// Since when looks do not find it.
    pub(crate) absent: Option<Time>,
    /// Since when its state is the opposite of what was asked for and seen.
    pub(crate) against: Option<Time>,
}

/// A machine, and when that was.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) machine: Machine,
    /// When the look began: it shows nothing older.
    pub(crate) began: Time,
    pub(crate) at: Time,
    /// Since when it was seen in this state.
    pub(crate) since: Time,
}

/// A look at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its name.
    pub provider: String,
    /// Only these machines. Empty: all.
    pub only: Vec<String>,
}

/// Something to ask a cloud for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of which asset.
    pub id: AssetId,
    /// What.
    pub act: MachineAct,
    /// Which request of this asset's it is.
    pub number: u64,
}

/// What is to be done: first store the records, then the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Records that change.
    pub records: Vec<AssetRecord>,
    /// What to ask for.
    pub requests: Vec<Request>,
    /// Where to look.
    pub looks: Vec<Look>,
    /// Records of what is long gone.
    pub forgotten: Vec<AssetId>,
    /// When to decide again, whatever happens.
    pub wake: Option<Time>,
}

impl Fleet {
    /// Takes records as an earlier life left them. A request that was open is one whose answer was lost.
    pub fn load(&mut self, records: impl IntoIterator<Item = AssetRecord>, now: Time) {
        for mut record in records {
            if let Some(ask) = record.ask.as_mut().filter(|ask| ask.state == AskState::Open) {
                (ask.state, ask.ended) = (AskState::Lost, Some(now));
            }
            let act = record.want.wanted.act();
            if record.ask.as_ref().is_some_and(|ask| ask.act.starts() != act.starts()) {
                // Asked for by an earlier want, and nothing to wait for in this one.
                leave(&mut record);
            }
            self.apply(record);
        }
    }

    /// Whether any want is open.
    pub fn is_pursuing(&self) -> bool {
        let is_open =
            |asset: &Asset| asset.record.as_ref().is_some_and(|record| record.pursuit == Pursuit::Open);
        self.assets.values().any(is_open)
    }

    /// Believes a record that was stored.
    pub fn apply(&mut self, record: AssetRecord) {
        let asset = self.assets.entry(record.id.clone()).or_default();
        asset.record = Some(record);
    }

    /// Believes that a record is gone.
    pub fn forget(&mut self, id: &AssetId) {
        self.assets.remove(id);
    }

    /// Takes a file's providers instead of those before. What was seen of a provider that changed is forgotten.
    pub fn set_providers(&mut self, providers: Vec<Provider>) {
        let mut before = std::mem::take(&mut self.providers);
        for provider in providers {
            let kept = before.remove(&provider.name);
            let kept = kept.filter(|kept| same_machines(&kept.provider, &provider));
            if kept.is_none() {
                self.forget_seen(&provider.name);
            }
            let watched = match kept {
                Some(kept) => Watched { provider, ..kept },
                None => Watched::new(provider),
            };
            self.providers.insert(watched.provider.name.clone(), watched);
        }
        let providers = &self.providers;
        self.assets.retain(|id, asset| asset.record.is_some() || providers.contains_key(id.provider()));
    }

    fn forget_seen(&mut self, provider: &str) {
        for (_, asset) in self.assets.iter_mut().filter(|(id, _)| id.provider() == provider) {
            *asset = Asset { record: asset.record.take(), ..Asset::default() };
        }
    }

    /// The machine that this runs on, by the cloud's name.
    pub fn set_own(&mut self, machine: Option<String>) {
        self.own = machine;
    }

    /// Work in progress on the machine that this runs on.
    pub fn set_work(&mut self, work: InProgress) {
        self.work = work;
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.get(name).map(|watched| &watched.provider)
    }

    /// Has everything looked at by the next decision.
    pub fn look_soon(&mut self) {
        self.providers
            .values_mut()
            .for_each(|watched| (watched.looked, watched.not_before) = (None, Time(0)));
    }

    /// Whether everything was looked at since, or cannot be.
    pub fn has_looked_since(&self, since: Time) -> bool {
        self.providers.values().all(|watched| {
            watched.fault.is_some() && watched.not_before > since || watched.looked >= Some(since)
        })
    }

    /// A look that a decision wanted has begun; there is no other at this provider until it ends.
    pub fn look_begins(&mut self, look: &Look) {
        if let Some(watched) = self.providers.get_mut(&look.provider) {
            watched.looking = Looking::Yes;
        }
    }

    /// What a look has shown, or why it failed.
    pub fn looked(&mut self, look: &Look, (began, ended): (Time, Time), found: Result<Vec<Machine>, String>) {
        let Some(watched) = self.providers.get_mut(&look.provider) else { return };
        watched.looking = Looking::No;
        let machines = match found {
            Ok(machines) => machines,
            Err(fault) => return watched.failed(fault, ended),
        };
        (watched.failures, watched.fault, watched.not_before) = (0, None, Time(0));
        if look.only.is_empty() {
            watched.looked = Some(ended);
        }
        let mut missing: BTreeSet<AssetId> = match look.only.as_slice() {
            [] => self.assets.keys().filter(|id| id.provider() == look.provider).cloned().collect(),
            only => only.iter().map(|machine| AssetId::new(&look.provider, machine)).collect(),
        };
        for machine in machines {
            let id = AssetId::new(&look.provider, &machine.id);
            missing.remove(&id);
            self.assets.entry(id).or_default().is_seen(machine, (began, ended));
        }
        for id in missing {
            self.assets.entry(id).or_default().is_missed(ended);
        }
        self.assets.retain(|_, asset| asset.record.is_some() || asset.seen.is_some());
    }

    /// What is to be done now.
    pub fn decide(&self, now: Time) -> Decision {
        let hours = self.all_hours();
        let mut decision = Decision { records: self.due(&hours, now), ..Decision::default() };
        if !decision.records.is_empty() {
            // They are pursued once they are stored.
            decision.wake_at(now);
            return decision;
        }
        self.next_due(&hours, now).into_iter().for_each(|at| decision.wake_at(at));
        let mut due: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (id, asset) in &self.assets {
            let Some(before) = asset.record.as_ref().filter(|record| record.pursuit == Pursuit::Open) else {
                continue;
            };
            let (mut record, step) = pursue::step(self, asset, before, now);
            match step {
                Move::Rest => {}
                Move::LookAt(at) if at > now => decision.wake_at(at),
                Move::LookAt(_) => due.entry(id.provider()).or_default().push(id.machine().into()),
                Move::WaitUntil(at) => decision.wake_at(at),
                Move::Ask { act, why } => {
                    note(&mut record, now, why);
                    decision.requests.push(asset.ask(&mut record, act, now));
                }
                Move::Settle { pursuit, why } => settle(&mut record, now, pursuit, why),
                Move::Both(records) => {
                    // Another decision must not give the same stand-in to somebody else.
                    decision.records.extend(records);
                    decision.wake_at(now);
                    return decision;
                }
            }
            if record != *before {
                decision.records.push(record);
            }
        }
        decision.forgotten = self
            .assets
            .iter()
            .filter(|(_, asset)| asset.is_forgotten(now))
            .map(|(id, _)| id.clone())
            .collect();
        for watched in self.providers.values() {
            watched.look(due.remove(watched.provider.name.as_str()).unwrap_or_default(), now, &mut decision);
        }
        decision
    }

    /// The names of all assets: as the file says, or by the tag `Name` where that is one asset's alone, or the cloud's own.
    pub fn names(&self) -> BTreeMap<&AssetId, AssetName> {
        let mut names: BTreeMap<&AssetId, AssetName> = BTreeMap::new();
        let mut claimed: BTreeMap<AssetName, Vec<&AssetId>> = BTreeMap::new();
        for (id, asset) in &self.assets {
            let stated = self.provider(id.provider()).and_then(|provider| provider.names.get(id.machine()));
            match (stated, asset.own_name()) {
                (Some(name), _) => drop(names.insert(id, name.clone())),
                (None, Some(name)) => claimed.entry(name).or_default().push(id),
                (None, None) => {}
            }
        }
        let stated: BTreeSet<AssetName> = names.values().cloned().collect();
        for (name, ids) in claimed {
            if let [id] = ids.as_slice()
                && !stated.contains(&name)
            {
                names.insert(id, name);
            }
        }
        for id in self.assets.keys() {
            names.entry(id).or_insert_with(|| id.machine().into());
        }
        names
    }

    /// Those with the same stand in for one another.
    pub(crate) fn group(&self, id: &AssetId) -> Option<&String> {
        let tag = self.provider(id.provider())?.group.as_ref()?;
        self.assets.get(id)?.seen.as_ref()?.machine.tags.get(tag)
    }

    /// Work in progress on an asset's machine, if this is told there.
    pub(crate) fn work_on(&self, id: &AssetId) -> Option<InProgress> {
        self.is_own(id).then_some(self.work)
    }

    /// Whether it is the machine that this judgement is made on.
    pub(crate) fn is_own(&self, id: &AssetId) -> bool {
        self.own.as_deref() == Some(id.machine())
    }
}

/// Whether what was seen by one is what the other would show.
fn same_machines(one: &Provider, other: &Provider) -> bool {
    let parts =
        |p: &Provider| (p.kind, p.region.clone(), p.endpoint.clone(), p.profile.clone(), p.tags.clone());
    parts(one) == parts(other)
}

impl Watched {
    fn new(provider: Provider) -> Watched {
        Watched {
            provider,
            looked: None,
            fault: None,
            failures: 0,
            not_before: Time(0),
            looking: Looking::No,
        }
    }

    fn failed(&mut self, fault: String, at: Time) {
        let wait = LOOK_AGAIN.0.times(1 << self.failures.min(16)).min(LOOK_AGAIN.1);
        self.failures += 1;
        self.not_before = at + wait;
        self.fault = Some(fault);
    }

    /// A whole look where it is time, or one at those that are due.
    fn look(&self, due: Vec<String>, now: Time, decision: &mut Decision) {
        if self.looking == Looking::Yes {
            return;
        }
        let whole = self.looked.map_or(Time(0), |looked| looked + WHOLE_EVERY).max(self.not_before);
        let only = match due {
            _ if whole <= now => vec![],
            due if !due.is_empty() && self.not_before <= now => due,
            due if !due.is_empty() => return decision.wake_at(self.not_before),
            _ => return decision.wake_at(whole),
        };
        decision.looks.push(Look { provider: self.provider.name.clone(), only });
    }
}

impl Asset {
    fn is_seen(&mut self, machine: Machine, (began, at): (Time, Time)) {
        let same = self.seen.as_ref().filter(|seen| seen.machine.state == machine.state);
        let since = same.map_or(at, |seen| seen.since);
        let ask = self.record.as_ref().and_then(|record| record.ask.as_ref());
        let is_against =
            ask.is_some_and(|ask| ask.state == AskState::Seen && !ask.act.leads_to(machine.state));
        self.against = is_against.then(|| self.against.unwrap_or(at));
        (self.looked, self.absent) = (Some(at), None);
        self.seen = Some(Seen { machine, began, at, since });
    }

    /// As its tag has it, or as it was called when it was there.
    fn own_name(&self) -> Option<AssetName> {
        let Some(seen) = &self.seen else { return self.record.as_ref().map(|record| record.name.clone()) };
        let name = seen.machine.tags.get("Name").filter(|name| is_asset_name(name))?;
        Some(name.as_str().into())
    }

    /// Writes a new request down.
    fn ask(&self, record: &mut AssetRecord, act: MachineAct, began: Time) -> Request {
        record.asked += 1;
        let launched = self.seen.as_ref().and_then(|seen| seen.machine.launched);
        let (number, state) = (record.asked, AskState::Open);
        record.ask = Some(Ask { act, number, began, ended: None, state, seen: None, launched });
        Request { id: record.id.clone(), act, number }
    }

    /// Whether nothing is wanted of it, and it has not been there for long.
    fn is_forgotten(&self, now: Time) -> bool {
        let is_open = self.record.as_ref().is_none_or(|record| record.pursuit == Pursuit::Open);
        !is_open && self.seen.is_none() && self.absent.is_some_and(|absent| now.since(absent) >= FORGET_AFTER)
    }

    fn is_missed(&mut self, at: Time) {
        self.seen = None;
        self.looked = Some(at);
        self.absent.get_or_insert(at);
    }
}

impl Decision {
    fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}
