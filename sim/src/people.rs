//! The people of a stack: they edit their file, give orders, change their minds, and in the end see to it that
//! nothing waits for them.

use crate::event::{Event, OutsideEvent};
use crate::jobs::Sketches;
use crate::scenario::OrderKind;
use crate::sim::Sim;
use naru_model::{
    Change, Demand, Ending, FailureAction, Operation, OperationKind, OperationOutcome, OperationPhase,
    Service, ServiceName, Span, Stack, StackName, Stage,
};
use naru_sim_stacks::{Behaviour, Dice, Draft, Kind};
use std::collections::BTreeMap;

/// An order that the server did not take is given again after this.
const ASK_AGAIN: Span = Span::secs(2);
/// How often people look whether something waits for them, once all is calm.
const LOOK_AGAIN: Span = Span::secs(30);

/// People look on for so long before they set right what does not work and goes on.
const PATIENCE: Span = Span::mins(20);
/// After so many failures in a calm world something else is wrong.
const MOST_MENDS: u32 = 4;

/// The people of one stack.
pub(crate) struct People {
    draft: Draft,
    jobs: Sketches,
    /// The place of the next order in their script.
    next: usize,
    /// What they wait for the server to take.
    pub(crate) pending: Option<Demand>,
    /// Whether the server has it.
    asked: Asked,
    /// How often they set right what cannot work.
    pub(crate) mended: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Not,
    Yes,
}

impl People {
    pub(crate) fn new(draft: Draft) -> People {
        People { draft, jobs: Sketches::default(), next: 0, pending: None, asked: Asked::Not, mended: 0 }
    }

    pub(crate) fn stack(&self) -> &StackName {
        self.draft.name()
    }

    /// Their file.
    fn contents(&self) -> Box<Stack> {
        Box::new(Stack { jobs: self.jobs.all(), ..self.draft.stack() })
    }

    /// The server has said what becomes of their order.
    pub(crate) fn answered(&mut self) {
        self.pending = None;
        self.asked = Asked::Not;
    }

    /// The server's answer will not come, or was that it could not: they ask again.
    pub(crate) fn forget_answer(&mut self) {
        self.asked = Asked::Not;
    }
}

impl Sim {
    /// The next order of a stack's people, or another try with the last.
    pub(crate) fn order(&mut self, stack: usize) {
        if self.people[stack].pending.is_none() {
            let script = &self.scenario.stacks[stack].orders;
            let at = self.people[stack].next;
            if let Some((_, kind)) = script.get(at).copied()
                && script[at].0 <= self.ground.now
            {
                self.people[stack].next += 1;
                let demand = self.demand(stack, kind);
                self.ground.proclaim(at as u64, || format!("ORDER: {}", said(&demand)));
                self.people[stack].pending = Some(demand);
            }
        }
        self.ask(stack);
    }

    /// Gives the pending order to the server, if it can take it; else tries again later.
    fn ask(&mut self, stack: usize) {
        let Some(demand) = self.people[stack].pending.clone() else { return };
        if self.people[stack].asked == Asked::Yes {
            return;
        }
        if self.server.is_free() {
            self.people[stack].asked = Asked::Yes;
            self.server_hears_order(stack, &demand);
        }
        if self.people[stack].pending.is_some() {
            self.ground.after(ASK_AGAIN, Event::Outside(OutsideEvent::Order(stack)));
        }
    }

    fn demand(&mut self, stack: usize, kind: OrderKind) -> Demand {
        let people = &mut self.people[stack];
        let dice = &mut self.ground.people;
        let change = match kind {
            OrderKind::Deploy => {
                if people.next > 1 {
                    people.draft.edit(dice);
                }
                people.jobs.edit(&mut self.ground.jobs);
                let only = if dice.hits(80) { vec![Kind::Web.name()] } else { vec![] };
                Change::Deploy { stack: people.contents(), only, images: BTreeMap::new(), idle: vec![] }
            }
            OrderKind::Rollback => Change::Rollback { to: None },
            OrderKind::Scale => {
                let service = some_service(dice);
                Change::Scale { replicas: BTreeMap::from([(service, dice.below(6) as u32)]) }
            }
            OrderKind::Wake => {
                let within = dice.span(Span::secs(5), Span::mins(60));
                Change::Wake { services: some_services(dice), within }
            }
            OrderKind::Extend => {
                Change::Extend { services: vec![], by: dice.span(Span::secs(5), Span::mins(20)) }
            }
            OrderKind::Sleep => Change::Sleep { services: some_services(dice) },
            OrderKind::Stop => Change::Stop { services: some_services(dice) },
            OrderKind::Start => Change::Start { services: some_services(dice) },
            OrderKind::Restart => Change::Restart { services: some_services(dice) },
            OrderKind::Down => Change::Down,
            OrderKind::Pause => Change::Pause,
            OrderKind::Resume => Change::Resume,
            OrderKind::Promote => Change::Promote,
            OrderKind::Abort => Change::Abort,
        };
        let ending = if self.ground.people.hits(70) { Ending::Cut } else { Ending::Finish };
        self.wrap(stack, change, ending)
    }

    fn wrap(&self, stack: usize, change: Change, ending: Ending) -> Demand {
        let stack = self.people[stack].stack().clone();
        Demand { stack, change, ending, actor: "ann".into(), message: None }
    }

    /// All is calm: people see to it that nothing waits for them, and that what they want can work.
    pub(crate) fn settle(&mut self, stack: usize) {
        self.ground.after(LOOK_AGAIN, Event::Outside(OutsideEvent::Settle(stack)));
        if self.people[stack].pending.is_some() {
            return self.ask(stack);
        }
        let first = self.people[stack].mended == 0;
        if first || self.people[stack].mended < MOST_MENDS && self.rests_broken(stack) {
            self.people[stack].mended += 1;
            if !first || self.is_broken(stack) || self.ground.people.hits(300) {
                let demand = self.mended(stack);
                return self.gives(stack, demand);
            }
        }
        if self.people[stack].mended < MOST_MENDS && self.goes_on_for_ever(stack) {
            self.people[stack].mended += 1;
            let demand = self.mended(stack);
            return self.gives(stack, demand);
        }
        if let Some(change) = self.awaited(stack) {
            let demand = self.wrap(stack, change, Ending::Finish);
            self.gives(stack, demand);
        }
    }

    /// A deploy of what works.
    fn mended(&mut self, stack: usize) -> Demand {
        self.people[stack].draft.mend();
        let contents = self.people[stack].contents();
        self.wrap(
            stack,
            Change::Deploy { stack: contents, only: vec![], images: BTreeMap::new(), idle: vec![] },
            Ending::Finish,
        )
    }

    /// Whether what is wanted cannot work, and its file says to go on all the same: only people end that.
    fn goes_on_for_ever(&self, stack: usize) -> bool {
        let records = &self.store.records;
        let Some(record) = records.stacks.get(self.people[stack].stack()) else { return false };
        let release = record.target.as_ref().and_then(|target| records.release(&record.name, target.release));
        let Some(release) = release else { return false };
        let goes_on = |service: &Service| {
            let configs = [&service.rollout.update, &service.rollout.rollback];
            let works = Behaviour::of(&service.template.environment).works();
            !works && configs.iter().any(|config| config.failure_action == FailureAction::Continue)
        };
        let began = record.steering.and_then(|id| records.operations.get(&id)).map(|one| one.began);
        began.is_some_and(|at| at + PATIENCE < self.clock()) && release.stack.services.values().any(goes_on)
    }

    fn gives(&mut self, stack: usize, demand: Demand) {
        self.ground.proclaim(stack as u64, || format!("ORDER: {}", said(&demand)));
        self.people[stack].pending = Some(demand);
        self.ask(stack);
    }

    /// Whether what is wanted of the stack can never work, or is not known to.
    fn is_broken(&self, stack: usize) -> bool {
        let records = &self.store.records;
        let Some(record) = records.stacks.get(self.people[stack].stack()) else { return true };
        if self.has_failed(stack) {
            return true;
        }
        let steers = record.steering.is_some();
        let Some(target) = &record.target else { return steers };
        let Some(release) = records.release(&record.name, target.release) else { return true };
        let works = |service: &naru_model::Service| Behaviour::of(&service.template.environment).works();
        !release.stack.services.values().all(works)
    }

    /// Whether nothing is under way, and what is wanted cannot work.
    fn rests_broken(&self, stack: usize) -> bool {
        let record = self.store.records.stacks.get(self.people[stack].stack());
        record.is_some_and(|record| record.steering.is_none()) && self.is_broken(stack)
    }

    /// Whether the last operation failed: it left things as they were, which is neither the old nor the new.
    fn has_failed(&self, stack: usize) -> bool {
        let name = self.people[stack].stack();
        let mine = self.store.records.operations.values().rev().filter(|one| one.stack == *name);
        let aside =
            |one: &&Operation| matches!(one.kind, OperationKind::Incident | OperationKind::Cancel { .. });
        let last = mine.filter(|one| !aside(one)).map(|one| one.outcome).next();
        last == Some(Some(OperationOutcome::Failed))
    }

    /// The word that the steering operation waits for.
    fn awaited(&mut self, stack: usize) -> Option<Change> {
        let records = &self.store.records;
        let record = records.stacks.get(self.people[stack].stack())?;
        let operation = records.operations.get(&record.steering?)?;
        let waits = operation.services.values().any(|progress| progress.stage == Stage::AwaitingPromotion);
        match operation.phase {
            OperationPhase::Paused if self.ground.people.hits(500) => Some(Change::Resume),
            OperationPhase::Paused => Some(Change::Abort),
            _ if waits && operation.promoted.is_none() => Some(Change::Promote),
            _ => None,
        }
    }
}

fn some_service(dice: &mut Dice) -> ServiceName {
    dice.pick(&[Kind::Web, Kind::Web, Kind::Engine, Kind::Worker]).name()
}

fn some_services(dice: &mut Dice) -> Vec<ServiceName> {
    if dice.hits(500) { vec![] } else { vec![some_service(dice)] }
}

fn said(demand: &Demand) -> String {
    let change = match &demand.change {
        Change::Deploy { stack, only, .. } => {
            let kinds = stack.services.iter().map(|(name, service)| {
                let behaviour = Behaviour::of(&service.template.environment);
                let (rollout, update) = (&service.rollout, &service.rollout.update);
                format!(
                    "{name}×{} {:?} {:?} {:?} v{} {:?}",
                    service.replicas,
                    rollout.strategy,
                    update.order,
                    update.failure_action,
                    behaviour.version,
                    behaviour.fate,
                )
            });
            format!("deploy {:?} [{}]", only, kinds.collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    };
    format!("{} {change} {:?}", demand.stack, demand.ending)
}
