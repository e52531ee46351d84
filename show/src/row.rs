//! How far each service has come, as one row of words.

use crate::paint::{self, Tone};
use crate::state::State;
use crate::table::foreign;
use naru_model::{
    InProgress, InstanceView, Operation, OperationKind, OperationPhase, Phase, Reason, ServiceName,
    ServiceProgress, Span, Stage, Time, plural, quantity,
};
use std::collections::BTreeSet;
use std::mem::{Discriminant, discriminant};

/// One service in an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The service.
    pub service: ServiceName,
    /// How it is going.
    pub tone: Tone,
    /// Where it is, in a word or two.
    pub stage: String,
    /// How many of how many are ready, or are still to go.
    pub count: String,
    /// What it waits for.
    pub detail: String,
    /// How long it has been there.
    pub elapsed: Span,
    /// What kind of wait the detail tells of.
    kind: Option<Discriminant<Reason>>,
}

impl Row {
    /// Whether this tells more than `before`: a count or a wait changed, not merely a time.
    pub fn is_news(&self, before: Option<&Row>) -> bool {
        before.is_none_or(|before| {
            (&self.stage, &self.count, self.kind) != (&before.stage, &before.count, before.kind)
        })
    }

    /// `✓`, `•` or `✗`.
    pub fn mark(&self) -> String {
        paint::tone(
            self.tone,
            match self.tone {
                Tone::Good => "✓",
                Tone::Bad => "✗",
                Tone::Busy | Tone::Quiet | Tone::Plain => "•",
            },
        )
    }
}

/// All services that the operation is about, by name.
pub fn rows(state: &State, now: Time) -> Vec<Row> {
    let Some(one) = &state.operation else { return vec![] };
    let retired = state.instances.iter().filter(|view| view.retired_by == Some(one.id));
    let mut names: BTreeSet<&ServiceName> = one.services.keys().filter(|name| concerns(one, name)).collect();
    names.extend(retired.map(|view| &view.service));
    names.extend(one.receipt.instances.values().map(|instance| &instance.service));
    names.into_iter().map(|name| row(state, one, name, now)).collect()
}

/// An order about some services brings the others to a halt for moments at most: they are not shown.
fn concerns(one: &Operation, name: &ServiceName) -> bool {
    match &one.kind {
        OperationKind::Scale { replicas } => replicas.contains_key(name),
        OperationKind::Stop { services }
        | OperationKind::Start { services }
        | OperationKind::Restart { services }
        | OperationKind::Sleep { services }
        | OperationKind::Wake { services } => services.contains(name),
        OperationKind::Deploy
        | OperationKind::Rollback { .. }
        | OperationKind::Down
        | OperationKind::Cancel { .. }
        | OperationKind::Incident => true,
    }
}

fn row(state: &State, one: &Operation, name: &ServiceName, now: Time) -> Row {
    match one.services.get(name) {
        Some(progress) if !state.only_retires() => advancing(state, one, name, progress, now),
        _ => retiring(state, one, name, now),
    }
}

fn advancing(
    state: &State,
    one: &Operation,
    name: &ServiceName,
    progress: &ServiceProgress,
    now: Time,
) -> Row {
    let wait = progress.waits_for.as_ref();
    let (ready, wanted) = match wait {
        Some(Reason::WaitsForReady { ready, wanted, .. }) => (*ready, *wanted),
        _ => ready(state, name),
    };
    // The count says it already.
    let wait = wait.filter(|reason| !matches!(reason, Reason::WaitsForReady { .. }));
    let arrived = progress.stage == Stage::CutOver;
    let tone = match (progress.failed.is_empty(), one.phase) {
        (false, _) | (_, OperationPhase::RollingBack) => Tone::Bad,
        _ if arrived => Tone::Good,
        _ => Tone::Busy,
    };
    Row {
        service: name.clone(),
        tone,
        stage: stage(progress.stage, one),
        // Instances are heard of after their operation: a service that serves is not shown with an old count.
        count: match (wanted, arrived) {
            (0, _) => String::new(),
            (_, true) if ready < wanted => String::new(),
            _ => format!("{ready} of {wanted} ready"),
        },
        detail: wait.map(|reason| sentence(reason, name)).unwrap_or_default(),
        elapsed: now.since(one.began),
        kind: wait.map(discriminant),
    }
}

/// How many instances are ready, of how many that are wanted.
fn ready(state: &State, name: &ServiceName) -> (u32, u32) {
    let ready = state.instances.iter().filter(|view| view.service == *name && serves(view)).count();
    (ready as u32, state.wanted.get(name).copied().unwrap_or(0))
}

/// Ready, and of what is wanted now.
fn serves(view: &InstanceView) -> bool {
    let ready = view.status.as_ref().is_some_and(|status| status.phase == Phase::Ready);
    view.current && view.retired_by.is_none() && ready
}

fn retiring(state: &State, one: &Operation, name: &ServiceName, now: Time) -> Row {
    let mine = state.instances.iter().filter(|view| view.service == *name && view.retired_by == Some(one.id));
    let over = |view: &InstanceView| view.status.as_ref().is_some_and(|status| status.phase.is_over());
    let left: Vec<&InstanceView> = mine.filter(|view| !over(view)).collect();
    let longest = left.iter().max_by_key(|view| (view.estimate, view.waits_for.is_some()));
    let detail = longest.and_then(|view| waits(view)).unwrap_or_default();
    Row {
        service: name.clone(),
        tone: if left.is_empty() { Tone::Good } else { Tone::Busy },
        stage: if left.is_empty() { "gone".into() } else { "retiring".into() },
        count: if left.is_empty() { String::new() } else { format!("{} to go", left.len()) },
        elapsed: now.since(one.began),
        kind: None,
        detail,
    }
}

/// What an instance's retirement waits for, and about how long; without the instance's name at its beginning.
pub fn waits(view: &InstanceView) -> Option<String> {
    let said = foreign(view.waits_for.as_ref()?);
    let own = said.strip_prefix(view.id.as_str()).and_then(|rest| rest.strip_prefix(' '));
    let said = own.map_or(said.clone(), str::to_string);
    Some(match view.estimate {
        Some(left) if !said.contains("about ") => format!("{said}, about {left}"),
        _ => said,
    })
}

fn stage(stage: Stage, one: &Operation) -> String {
    match stage {
        Stage::Waiting => "waiting".into(),
        Stage::Replacing if one.phase == OperationPhase::RollingBack => "rolling back".into(),
        Stage::Replacing if one.before.is_none() => "starting".into(),
        Stage::Replacing => "replacing".into(),
        Stage::Soaking => "soaking".into(),
        Stage::AwaitingPromotion => "awaits promotion".into(),
        Stage::Step(step) => format!("canary step {}", step + 1),
        Stage::Switching => "switching".into(),
        Stage::CutOver => "serves".into(),
    }
}

/// The reason without the service's name at its beginning: the row has it already.
fn sentence(reason: &Reason, name: &ServiceName) -> String {
    let said = foreign(&reason.to_string());
    let rest = said.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix([':', ' ']));
    rest.map_or(said.clone(), |rest| rest.trim_start().to_string())
}

/// `2 old instances retire in the background: 3 jobs left, about 4 min`. Those that are idle are gone before
/// one has read it.
pub fn in_background(instances: &[InstanceView]) -> Option<String> {
    let left = instances.iter().filter(|view| view.retired_by.is_some() && !view.work.is_idle());
    let (mut count, mut work, mut longest) = (0, InProgress::default(), None);
    for view in left {
        count += 1;
        work += view.work;
        longest = longest.max(view.estimate);
    }
    let verb = if count == 1 { "retires" } else { "retire" };
    let about = longest.map(|span| format!(", about {span}")).unwrap_or_default();
    let who = plural(count, "old instance");
    (count > 0).then(|| format!("{who} {verb} in the background: {} left{about}", quantity(work)))
}

#[cfg(test)]
mod tests {
    use super::{in_background, rows};
    use crate::sample;
    use crate::state::State;
    use naru_api::WatchEvent;
    use naru_model::{Duty, OperationId, OperationKind, Phase, Reason, ServiceProgress, Span, Stage, Time};

    fn replacing(waits_for: Option<Reason>) -> ServiceProgress {
        ServiceProgress {
            stage: Stage::Replacing,
            since: Time(0),
            failed: vec![],
            last_batch: None,
            waits_for,
        }
    }

    fn following(waits_for: Option<Reason>) -> State {
        let mut state = State::new(OperationId(7), [("api".into(), 2)].into(), Time(0));
        let mut one = sample::deploy("shop");
        one.services.insert("api".into(), replacing(waits_for));
        state.hear(WatchEvent::Operation(Box::new(one)));
        state.hear(WatchEvent::Instances(vec![
            sample::instance("shop", "api", 1, 1, Phase::Quiet, Duty::Retiring),
            sample::instance("shop", "api", 2, 3, Phase::Ready, Duty::Serving),
            sample::instance("shop", "api", 2, 4, Phase::Starting, Duty::Warming),
        ]));
        state
    }

    #[test]
    fn a_row_counts_what_is_ready_and_says_what_it_waits_for() {
        let wait = Reason::WaitsForReady { service: "api".into(), ready: 1, wanted: 2 };
        let row = rows(&following(Some(wait)), Time(62_500)).remove(0);
        assert_eq!((row.stage.as_str(), row.count.as_str()), ("replacing", "1 of 2 ready"));
        assert_eq!(row.detail, "");
        assert_eq!(row.elapsed, Span(2_500));
    }

    #[test]
    fn time_that_passes_is_no_news() {
        let soak = |soak| Reason::WaitsForSoak { service: "api".into(), soak: Span(soak) };
        let before = rows(&following(Some(soak(9_000))), Time(62_500)).remove(0);
        let after = rows(&following(Some(soak(8_000))), Time(63_500)).remove(0);
        assert!(after.is_news(None) && !after.is_news(Some(&before)));
        let delay = Reason::WaitsForDelay { service: "api".into(), delay: Span(8_000) };
        assert!(rows(&following(Some(delay)), Time(63_500)).remove(0).is_news(Some(&before)));
    }

    #[test]
    fn what_goes_down_says_how_many_are_left_and_why() {
        let mut state = following(None);
        state.operation.as_mut().unwrap().kind = OperationKind::Down;
        let row = rows(&state, Time(62_500)).remove(0);
        assert_eq!((row.stage.as_str(), row.count.as_str()), ("retiring", "1 to go"));
        assert_eq!(row.detail, "finishes 1 job, about 2 min");
    }

    #[test]
    fn what_retires_in_the_background_is_summed_up() {
        let said = in_background(&following(None).instances).unwrap();
        assert_eq!(said, "1 old instance retires in the background: 1 job left, about 2 min");
    }
}
