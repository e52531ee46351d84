//! A want, one step further: what its machine's state means, what may be asked for in it, when to look again.

use crate::answer;
use crate::fleet::{Asset, Fleet, Seen};
use crate::kept::{Ask, AskState, AssetRecord};
use crate::record::{SURE_AFTER, leave, note, opposite_until, settle, try_later};
use naru_model::{AssetReason, CloudRefusal, MachineAct, MachineState, Pursuit, RefusalKind, Span, Time};

/// A look at most so old is the ground for a request.
const FRESH: Span = Span::secs(4);

/// Work in progress on the machine is looked at this often.
const WORK_AGAIN: Span = Span::secs(10);

/// A start that is not there after so long is given up: by then nobody waits for it, and it would cost.
const START_WITHIN: Span = Span::mins(120);

/// So long a request that was taken, or lost, is given for its effect to show, before it is made again. It doubles.
const EFFECT_WITHIN: (Span, Span) = (Span::secs(15), Span::mins(2));

/// A machine that is not listed for so long is not there.
const ABSENT_FOR: Span = Span::secs(60);

/// A machine that is on its way for so long is told of.
const SLOW_AFTER: Span = Span::mins(10);

/// So often a machine may fall back while it starts.
const FALLS_MAX: u32 = 5;

/// Between tries after a machine fell back.
pub const FALL_WAIT: (Span, Span) = (Span::secs(30), Span::mins(10));

/// What comes next.
pub enum Move {
    /// Something else will cause a round.
    Rest,
    /// Look at the machine then.
    LookAt(Time),
    /// Decide again then.
    WaitUntil(Time),
    /// Ask for it.
    Ask { act: MachineAct, why: AssetReason },
    /// The want ends.
    Settle { pursuit: Pursuit, why: AssetReason },
    /// These records instead.
    Both(Vec<AssetRecord>),
}

/// The next move for a want that is open, and the record with what was seen and told on the way there.
pub fn step(fleet: &Fleet, asset: &Asset, before: &AssetRecord, now: Time) -> (AssetRecord, Move) {
    let mut record = before.clone();
    let step = judge(fleet, asset, &mut record, now);
    (record, step)
}

fn judge(fleet: &Fleet, asset: &Asset, record: &mut AssetRecord, now: Time) -> Move {
    if record.ask.as_ref().is_some_and(|ask| ask.state == AskState::Open) {
        return Move::Rest;
    }
    if fleet.provider(record.id.provider()).is_none() {
        return Move::Settle { pursuit: Pursuit::Failed { at: now }, why: AssetReason::NotListed };
    }
    let since = record.ask.as_ref().and_then(|ask| ask.ended).max(Some(record.want.at));
    let Some(seen) = asset.seen.as_ref().filter(|seen| Some(seen.began) >= since) else {
        return match asset.absent {
            Some(absent) if now.since(absent) >= ABSENT_FOR => {
                Move::Settle { pursuit: Pursuit::Failed { at: now }, why: AssetReason::NotListed }
            }
            Some(_) => Move::LookAt(paced(asset, record, now)),
            None => Move::LookAt(now),
        };
    };
    let state = seen.machine.state;
    if let Some(ask) = &mut record.ask
        && ask.act.leads_to(state)
    {
        ask.state = AskState::Seen;
        ask.seen.get_or_insert(now);
    }
    let act = record.want.wanted.act();
    match state {
        MachineState::Terminated | MachineState::ShuttingDown => {
            Move::Settle { pursuit: Pursuit::Failed { at: now }, why: AssetReason::Gone { state } }
        }
        MachineState::Running if act.starts() => arrive(asset, seen, record, now),
        MachineState::Stopped if !act.starts() => arrive(asset, seen, record, now),
        MachineState::Pending | MachineState::Stopping => under_way(asset, seen, record, now),
        MachineState::Running | MachineState::Stopped => turn(fleet, asset, seen, record, now),
    }
}

/// It is as wanted, unless an earlier request may still change that.
fn arrive(asset: &Asset, seen: &Seen, record: &mut AssetRecord, now: Time) -> Move {
    let (act, state) = (record.want.wanted.act(), seen.machine.state);
    if let Some(until) = opposite_until(record, act).filter(|until| seen.began < *until) {
        let opposite = if act.starts() { MachineAct::Stop } else { MachineAct::Start };
        note(record, now, AssetReason::WaitsForEarlier { act: opposite });
        return Move::LookAt(paced(asset, record, now).max(until));
    }
    let asked = record.ask.as_ref().is_some_and(|ask| ask.began >= record.want.at);
    let why = if asked {
        AssetReason::Reached { state, took: now.since(record.want.at) }
    } else {
        AssetReason::IsSo { state }
    };
    Move::Settle { pursuit: Pursuit::Reached { at: now }, why }
}

/// It is on its way, to what is wanted or to where that can be asked for.
fn under_way(asset: &Asset, seen: &Seen, record: &mut AssetRecord, now: Time) -> Move {
    let (act, state) = (record.want.wanted.act(), seen.machine.state);
    let why = if now.since(seen.since) >= SLOW_AFTER {
        AssetReason::Slow { state, since: SLOW_AFTER }
    } else if act.leads_to(state) {
        AssetReason::WaitsForMachine { state, wanted: record.want.wanted }
    } else {
        AssetReason::WaitsForState { act, state }
    };
    note(record, now, why);
    Move::LookAt(paced(asset, record, now))
}

/// It is at rest on the other side: the request is made, if nothing speaks against it now.
fn turn(fleet: &Fleet, asset: &Asset, seen: &Seen, record: &mut AssetRecord, now: Time) -> Move {
    let (act, state) = (record.want.wanted.act(), seen.machine.state);
    if let Some(ask) = record.ask.clone().filter(|ask| ask.act.starts() == act.starts())
        && let Some(step) = after_request(fleet, asset, seen, record, &ask, now)
    {
        return step;
    }
    if act.starts() && now.since(record.want.at) >= START_WITHIN {
        let cause = record.log.last().map(|last| last.text.clone()).unwrap_or_default();
        let why = AssetReason::GivesUp { after: START_WITHIN, cause };
        return Move::Settle { pursuit: Pursuit::Failed { at: now }, why };
    }
    if let Some(until) = record.not_before.filter(|until| *until > now) {
        return Move::WaitUntil(until);
    }
    if now.since(seen.at) > FRESH {
        return Move::LookAt(now);
    }
    if let Some(work) = fleet.work_on(&record.id).filter(|work| !act.starts() && !work.is_idle()) {
        note(record, now, AssetReason::WaitsForWork { work });
        return Move::LookAt(now + WORK_AGAIN);
    }
    if record.ask.is_some() {
        // Made before, and without effect so far: that one may still come.
        record.tries += 1;
        leave(record);
    }
    Move::Ask { act, why: AssetReason::Asks { act, state } }
}

/// What the request that was made already calls for; `None`: that it is made again.
fn after_request(
    fleet: &Fleet,
    asset: &Asset,
    seen: &Seen,
    record: &mut AssetRecord,
    ask: &Ask,
    now: Time,
) -> Option<Move> {
    if ask.state == AskState::Seen {
        let is_sure = now.since(asset.against.unwrap_or(seen.at)) >= SURE_AFTER;
        return Some(match is_sure {
            true => fell_back(fleet, seen, record, now),
            false => Move::LookAt(paced(asset, record, now)),
        });
    }
    if is_started_anew(ask, seen) {
        return Some(overtaken(seen.machine.state, now));
    }
    let within = EFFECT_WITHIN.0.times(1 << record.tries.min(8)).min(EFFECT_WITHIN.1);
    let since = ask.ended.unwrap_or(ask.began);
    let waits = now.since(since) < within;
    waits.then(|| Move::LookAt(paced(asset, record, now).min((since + within).max(now))))
}

/// A machine that was asked to stop and has been started since has been stopped and started.
fn is_started_anew(ask: &Ask, seen: &Seen) -> bool {
    let both = ask.launched.zip(seen.machine.launched);
    !ask.act.starts() && seen.machine.state == MachineState::Running && both.is_some_and(|(was, is)| is > was)
}

fn overtaken(state: MachineState, now: Time) -> Move {
    Move::Settle { pursuit: Pursuit::Overtaken { at: now }, why: AssetReason::Overtaken { state } }
}

/// What was asked for was seen to begin, and is undone: by somebody, or by the cloud itself.
fn fell_back(fleet: &Fleet, seen: &Seen, record: &mut AssetRecord, now: Time) -> Move {
    let (act, state) = (record.want.wanted.act(), seen.machine.state);
    let cause = seen.machine.reason.clone().unwrap_or_default();
    if !act.starts() || cause.starts_with("Client.") || cause.is_empty() {
        return overtaken(state, now);
    }
    record.ask = None;
    if cause.contains("InsufficientInstanceCapacity") {
        let code = "InsufficientInstanceCapacity".to_string();
        let refusal = CloudRefusal { kind: RefusalKind::Capacity, code, text: cause };
        return Move::Both(answer::no_capacity(fleet, record.clone(), refusal, now));
    }
    if record.tries >= FALLS_MAX {
        let after = now.since(record.want.at);
        let why = AssetReason::GivesUp { after, cause };
        return Move::Settle { pursuit: Pursuit::Failed { at: now }, why };
    }
    let after = try_later(record, now, FALL_WAIT.0, FALL_WAIT.1);
    note(record, now, AssetReason::FellBack { after, cause });
    Move::WaitUntil(now + after)
}

/// When to look again: often at first, then at the pace at which machines start and stop.
fn paced(asset: &Asset, record: &AssetRecord, now: Time) -> Time {
    let begun = record.ask.as_ref().map_or(record.want.at, |ask| ask.began);
    let pace = match now.since(begun) {
        young if young < Span::secs(30) => Span::secs(2),
        young if young < Span::mins(5) => Span::secs(5),
        _ => Span::secs(15),
    };
    asset.looked.map_or(now, |looked| looked + pace)
}

/// The want ends without any request.
pub fn fail(record: &mut AssetRecord, now: Time, why: AssetReason) {
    settle(record, now, Pursuit::Failed { at: now }, why);
}
