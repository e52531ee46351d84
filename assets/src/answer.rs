//! What an answer to a request means, and what is done where a cloud has no room.

use crate::fleet::{Fleet, Seen};
use crate::kept::{Ask, AskState, AssetRecord};
use crate::pursue::fail;
use crate::record::{LATE, may_act_until, note, settle, try_later, wanted};
use naru_model::{
    AssetId, AssetReason, AssetWant, CloudRefusal, MachineState, Pursuit, RefusalKind, Span, Time,
};

/// Between tries where a cloud has no room: the first wait, and the longest.
const ROOM_WAIT: (Span, Span) = (Span::secs(30), Span::mins(10));

/// Between tries of a request that was not made, or refused for their number.
const BUSY_WAIT: (Span, Span) = (Span::secs(5), Span::mins(2));

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The cloud said yes.
    Taken,
    /// The cloud said no.
    Refused(CloudRefusal),
    /// Nobody knows.
    Lost(String),
    /// It never left.
    NotSent(String),
}

impl Fleet {
    /// The records that change with an answer. One that no record waits for changes nothing.
    pub fn answered(&self, id: &AssetId, number: u64, outcome: Outcome, now: Time) -> Vec<AssetRecord> {
        let Some(record) = self.assets.get(id).and_then(|asset| asset.record.as_ref()) else { return vec![] };
        let mut record = record.clone();
        let Some(ask) = record.ask.as_mut().filter(|ask| ask.number == number && ask.state == AskState::Open)
        else {
            return vec![];
        };
        ask.ended = Some(now);
        let ask = ask.clone();
        let turned = ask.act.starts() != record.want.wanted.act().starts() || record.pursuit != Pursuit::Open;
        match outcome {
            Outcome::Taken | Outcome::Lost(_) if turned => {
                record.ask = None;
                may_act_until(&mut record, ask.act, now + LATE);
            }
            Outcome::Refused(_) | Outcome::NotSent(_) if turned => record.ask = None,
            Outcome::Taken => {
                set(&mut record, AskState::Taken);
                note(&mut record, now, AssetReason::Taken { act: ask.act });
            }
            Outcome::Lost(detail) => {
                set(&mut record, AskState::Lost);
                note(&mut record, now, AssetReason::AnswerLost { act: ask.act, detail });
            }
            Outcome::NotSent(cause) => {
                record.ask = None;
                let after = try_later(&mut record, now, BUSY_WAIT.0, BUSY_WAIT.1);
                note(&mut record, now, AssetReason::AsksLater { act: ask.act, after, cause });
            }
            Outcome::Refused(refusal) => return refused(self, record, &ask, refusal, now),
        }
        vec![record]
    }
}

fn set(record: &mut AssetRecord, state: AskState) {
    if let Some(ask) = &mut record.ask {
        ask.state = state;
    }
}

fn refused(
    fleet: &Fleet,
    mut record: AssetRecord,
    ask: &Ask,
    refusal: CloudRefusal,
    now: Time,
) -> Vec<AssetRecord> {
    record.ask = None;
    let act = ask.act;
    match refusal.kind {
        RefusalKind::Capacity if act.starts() => return no_capacity(fleet, record, refusal, now),
        RefusalKind::Throttled => {
            let after = try_later(&mut record, now, BUSY_WAIT.0, BUSY_WAIT.1);
            note(&mut record, now, AssetReason::AsksLater { act, after, cause: refusal.text });
        }
        RefusalKind::State => {
            try_later(&mut record, now, BUSY_WAIT.0, BUSY_WAIT.1);
            note(&mut record, now, AssetReason::OtherState { act, refusal });
        }
        RefusalKind::Capacity
        | RefusalKind::Quota
        | RefusalKind::NotFound
        | RefusalKind::Denied
        | RefusalKind::Clock
        | RefusalKind::Unsupported
        | RefusalKind::Other => fail(&mut record, now, AssetReason::Refused { act, refusal }),
    }
    vec![record]
}

/// Another one of the group that is stopped, or the same one later.
pub fn no_capacity(
    fleet: &Fleet,
    mut record: AssetRecord,
    refusal: CloudRefusal,
    now: Time,
) -> Vec<AssetRecord> {
    if let Some(other) = stand_in(fleet, &record) {
        return hand_over(fleet, record, &other, refusal, now);
    }
    record.tried.clear();
    let after = try_later(&mut record, now, ROOM_WAIT.0, ROOM_WAIT.1);
    note(&mut record, now, AssetReason::NoCapacity { after, refusal });
    vec![record]
}

/// The want goes on with another asset.
fn hand_over(
    fleet: &Fleet,
    mut record: AssetRecord,
    other: &AssetId,
    refusal: CloudRefusal,
    now: Time,
) -> Vec<AssetRecord> {
    let names = fleet.names();
    let name = names.get(other).cloned().unwrap_or_else(|| other.machine().into());
    let first = record.want.instead_of.clone().unwrap_or_else(|| record.name.clone());
    let want = AssetWant { instead_of: Some(first.clone()), ..record.want.clone() };
    let earlier = fleet.assets.get(other).and_then(|asset| asset.record.as_ref());
    let mut next = wanted(earlier, other, name.clone(), want);
    next.tried = record.tried.iter().chain([&record.id]).cloned().collect();
    next.tries = record.tries;
    note(&mut next, now, AssetReason::InsteadOf { name: first, actor: record.want.actor.clone() });
    let pursuit = Pursuit::Elsewhere { at: now, by: name.clone() };
    settle(&mut record, now, pursuit, AssetReason::Elsewhere { by: name, refusal });
    vec![record, next]
}

/// One of the same group that is stopped, that nobody wants anything of, and that has not been tried in this round; rather in
/// another zone or of another kind, since room is a matter of these.
fn stand_in(fleet: &Fleet, record: &AssetRecord) -> Option<AssetId> {
    let group = fleet.group(&record.id)?;
    let mine = fleet.assets.get(&record.id)?.seen.as_ref()?;
    let place = |seen: &Seen| (seen.machine.zone.clone(), seen.machine.kind.clone());
    let candidates = fleet.assets.iter().filter_map(|(id, asset)| {
        let seen = asset.seen.as_ref().filter(|seen| seen.machine.state == MachineState::Stopped)?;
        let is_free = asset.record.as_ref().is_none_or(|record| record.pursuit != Pursuit::Open);
        let fits = id.provider() == record.id.provider()
            && *id != record.id
            && is_free
            && !record.tried.contains(id)
            && fleet.group(id) == Some(group);
        fits.then(|| (place(seen) == place(mine), id))
    });
    candidates.min().map(|(_, id)| id.clone())
}
