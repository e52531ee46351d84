//! What is counted of one listener at one worker, and what is to be seen of it.

use super::tally::{Tally, add};
use naru_model::{ListenerSnapshot, RuleAction, RuleSnapshot, ServiceName, Split, StackName};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// What a table says about how a listener is seen.
pub(crate) struct PlannedRegister {
    stack: StackName,
    rules: Vec<PlannedRule>,
    timing: bool,
}

struct PlannedRule {
    name: Arc<str>,
    service: Option<ServiceName>,
}

/// The counts of a listener.
pub(crate) struct Register {
    accepted: Cell<u64>,
    open: Cell<u64>,
    planned: RefCell<Arc<PlannedRegister>>,
    /// As the planned rules are.
    tallies: RefCell<Vec<Rc<Tally>>>,
}

impl PlannedRegister {
    pub(crate) fn read(listener: &naru_model::Listener) -> PlannedRegister {
        let rest = PlannedRule { name: "".into(), service: listener.service.clone() };
        let rules = listener.rules.iter().map(|rule| PlannedRule {
            name: rule.name.as_str().into(),
            service: service_of(&rule.action).map(|(service, _)| service.clone()),
        });
        PlannedRegister {
            stack: listener.stack.clone(),
            rules: std::iter::once(rest).chain(rules).collect(),
            timing: listener.entrance.server_timing,
        }
    }
}

/// The service and the instances that a rule is for, if it is for any.
pub(super) fn service_of(action: &RuleAction) -> Option<(&ServiceName, &Vec<Split>)> {
    match action {
        RuleAction::Forward(forward) => Some((&forward.service, &forward.splits)),
        RuleAction::Redirect(_) | RuleAction::Respond(_) | RuleAction::Files(_) => None,
    }
}

impl Register {
    pub(crate) fn new(planned: &Arc<PlannedRegister>) -> Register {
        let register = Register {
            accepted: Cell::new(0),
            open: Cell::new(0),
            planned: RefCell::new(planned.clone()),
            tallies: RefCell::default(),
        };
        register.change(planned);
        register
    }

    /// Takes what a newer table says. Rules that keep their name keep their counts.
    pub(crate) fn change(&self, planned: &Arc<PlannedRegister>) {
        let (old, before) = (self.planned.replace(planned.clone()), self.tallies.take());
        let kept = |rule: &PlannedRule| {
            let at = old.rules.iter().position(|one| one.name == rule.name)?;
            before.get(at).cloned()
        };
        self.tallies.replace(planned.rules.iter().map(|rule| kept(rule).unwrap_or_default()).collect());
    }

    /// A connection is open.
    pub(crate) fn opened(&self) {
        add(&self.accepted, 1);
        add(&self.open, 1);
    }

    /// And closed.
    pub(crate) fn closed(&self) {
        self.open.set(self.open.get() - 1);
    }

    /// Whether answers say how long they took.
    pub(crate) fn tells_timing(&self) -> bool {
        self.planned.borrow().timing
    }

    /// Of what no rule took, or of the rule at this place of the table.
    pub(super) fn tally(&self, rule: Option<usize>) -> Rc<Tally> {
        self.tallies.borrow()[rule.map_or(0, |at| at + 1)].clone()
    }

    /// All counts.
    pub(crate) fn read(&self, route: &crate::route::Route, name: &str) -> ListenerSnapshot {
        let planned = self.planned.borrow();
        let tallies = self.tallies.borrow();
        let rules = planned.rules.iter().zip(&*tallies).map(|(rule, tally)| RuleSnapshot {
            name: rule.name.to_string(),
            service: rule.service.clone(),
            tally: tally.read(),
        });
        ListenerSnapshot {
            name: name.into(),
            address: route.address.to_string(),
            protocol: route.protocol,
            stack: planned.stack.clone(),
            accepted: self.accepted.get(),
            open: self.open.get(),
            held: route.held.get() as u64,
            rules: rules.collect(),
        }
    }
}
