//! What becomes of a record: wants, requests and steps, one function for each change.

use crate::kept::{Ask, AskState, AssetRecord};
use naru_model::{AssetEntry, AssetId, AssetName, AssetReason, AssetWant, MachineAct, Pursuit, Span, Time};

/// A request that got lost on its way, or whose effect was not seen yet, may have its effect for so long: far longer than
/// anything waits for an answer, and than a cloud shows an older state.
pub const LATE: Span = Span::secs(60);

/// Clouds show older states for a moment: one that contradicts what was seen before has to be seen for so long.
pub const SURE_AFTER: Span = Span::secs(15);

/// Steps that are kept of a want. One takes some ten; a cloud without room adds two each time.
const LOG_MAX: usize = 40;

/// A record for a new want. What earlier requests may still do is taken over.
pub fn wanted(before: Option<&AssetRecord>, id: &AssetId, name: AssetName, want: AssetWant) -> AssetRecord {
    let mut record = AssetRecord {
        id: id.clone(),
        name,
        want,
        pursuit: Pursuit::Open,
        asked: 0,
        ask: None,
        may_start_until: None,
        may_stop_until: None,
        not_before: None,
        tries: 0,
        tried: vec![],
        log: vec![],
    };
    if let Some(before) = before {
        record.asked = before.asked;
        record.may_start_until = before.may_start_until;
        record.may_stop_until = before.may_stop_until;
        record.ask = before.ask.clone();
        let starts = record.want.wanted.act().starts();
        let goes_on = |ask: &Ask| {
            let same = before.pursuit == Pursuit::Open && ask.act.starts() == starts;
            ask.state == AskState::Open || same && ask.state != AskState::Seen
        };
        if !record.ask.as_ref().is_some_and(goes_on) {
            leave(&mut record);
        }
    }
    record
}

/// The newest request is nothing to wait for any more; where its effect was not seen, it may come yet.
pub fn leave(record: &mut AssetRecord) {
    let Some(ask) = record.ask.take() else { return };
    match (ask.seen, ask.ended) {
        (Some(seen), _) => may_act_until(record, ask.act, seen + SURE_AFTER),
        (None, Some(ended)) => may_act_until(record, ask.act, ended + LATE),
        (None, None) => {}
    }
}

/// A request of this kind may take effect up to then.
pub fn may_act_until(record: &mut AssetRecord, act: MachineAct, until: Time) {
    let place = if act.starts() { &mut record.may_start_until } else { &mut record.may_stop_until };
    *place = (*place).max(Some(until));
}

/// Until when a request of the opposite of `act` may take effect.
pub fn opposite_until(record: &AssetRecord, act: MachineAct) -> Option<Time> {
    if act.starts() { record.may_stop_until } else { record.may_start_until }
}

/// Tells of a step, if it was not the last one already.
pub fn note(record: &mut AssetRecord, at: Time, reason: AssetReason) {
    if record.log.last().is_some_and(|last| last.reason == reason) {
        return;
    }
    if record.log.len() >= LOG_MAX {
        // The first says who wanted it.
        record.log.remove(1);
    }
    let text = reason.to_string();
    record.log.push(AssetEntry { at, reason, text });
}

/// How a want ends.
pub fn settle(record: &mut AssetRecord, at: Time, pursuit: Pursuit, reason: AssetReason) {
    note(record, at, reason);
    record.pursuit = pursuit;
    record.not_before = None;
    record.tried.clear();
}

/// The next try is after a while that doubles each time.
pub fn try_later(record: &mut AssetRecord, now: Time, first: Span, last: Span) -> Span {
    let doubled = first.times(1 << record.tries.min(16));
    let after = doubled.min(last);
    record.tries += 1;
    record.not_before = Some(now + after);
    after
}
