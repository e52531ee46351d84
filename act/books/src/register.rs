//! What is counted of one listener at one worker, and what is to be seen of it.

use crate::access::Outlet;
use crate::file::{LogFile, Logs};
use crate::tally::{Tally, add};
use naru_model::{
    AccessFormat, ListenerSnapshot, Protocol, RuleAction, RuleSnapshot, ServiceName, Split, StackName,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// What a table says about how a listener is seen.
pub struct PlannedRegister {
    /// First what no rule takes, then the rules by their place.
    rules: Arc<[Arc<Named>]>,
    timing: bool,
    log: Log,
}

/// What a rule, or what no rule takes, is called.
pub(super) struct Named {
    pub(super) listener: Arc<str>,
    /// Empty for what no rule takes.
    pub(super) rule: Arc<str>,
    pub(super) stack: StackName,
    pub(super) service: Option<ServiceName>,
}

/// What a listener itself knows.
#[derive(Clone, Copy, Debug)]
pub struct Listened<'a> {
    /// The listener's name.
    pub name: &'a str,
    /// Where it listens.
    pub address: &'a str,
    /// What is spoken there.
    pub protocol: Protocol,
    /// How many requests wait for an instance.
    pub held: usize,
}

/// The counts of a listener.
pub struct Register {
    accepted: Cell<u64>,
    turned_away: Cell<u64>,
    open: Cell<u64>,
    planned: RefCell<Arc<PlannedRegister>>,
    outlet: RefCell<Option<Rc<Outlet>>>,
    /// As the planned rules are.
    tallies: RefCell<Vec<Rc<Tally>>>,
}

impl PlannedRegister {
    /// Reads it, as what follows `before`: the same one, where nothing of it changed. `logs` opens the access log.
    pub fn read(
        listener: &naru_model::Listener,
        before: Option<&Arc<PlannedRegister>>,
        logs: &mut Logs,
    ) -> Arc<PlannedRegister> {
        let rules = listener.all_rules();
        let ruled = rules.iter().map(|rule| {
            let service = service_of(&rule.action).map(|(service, _)| service);
            (rule.name.as_str(), service)
        });
        let names = || std::iter::once(("", listener.service.as_ref())).chain(ruled.clone());
        let log = listener.entrance.access_log.as_ref();
        let log = log.and_then(|log| Some((logs.file(&log.file)?, log.format)));
        let timing = listener.entrance.server_timing;
        let old =
            before.filter(|old| names().eq(old.rules.iter().map(|one| (&*one.rule, one.service.as_ref()))));
        let old = old.filter(|old| old.rules[0].stack == listener.stack);
        if let Some(old) = old.filter(|old| old.timing == timing && same_log(&old.log, &log)) {
            return old.clone();
        }
        let name: Arc<str> = listener.name.as_str().into();
        let named = |(rule, service): (&str, Option<&ServiceName>)| {
            let (listener, stack) = (name.clone(), listener.stack.clone());
            Arc::new(Named { listener, rule: rule.into(), stack, service: service.cloned() })
        };
        let rules = old.map(|old| old.rules.clone()).unwrap_or_else(|| names().map(named).collect());
        Arc::new(PlannedRegister { rules, timing, log })
    }
}

type Log = Option<(Arc<LogFile>, AccessFormat)>;

fn same_log(one: &Log, other: &Log) -> bool {
    match (one, other) {
        (Some((file, format)), Some((other, in_format))) => Arc::ptr_eq(file, other) && format == in_format,
        (one, other) => one.is_none() && other.is_none(),
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
    /// One that has counted nothing yet.
    pub fn new(planned: &Arc<PlannedRegister>) -> Register {
        let register = Register {
            accepted: Cell::new(0),
            turned_away: Cell::new(0),
            open: Cell::new(0),
            planned: RefCell::new(planned.clone()),
            outlet: RefCell::default(),
            tallies: RefCell::default(),
        };
        register.change(planned);
        register
    }

    /// Takes what a newer table says. Rules that keep their name keep their counts.
    pub fn change(&self, planned: &Arc<PlannedRegister>) {
        if Arc::ptr_eq(planned, &self.planned.borrow()) && !self.tallies.borrow().is_empty() {
            return;
        }
        let before = self.tallies.take();
        let known = before.iter().rev().map(|tally| (tally.named.borrow().rule.clone(), tally));
        let known: HashMap<Arc<str>, &Rc<Tally>> = known.collect();
        let tally = |named: &Arc<Named>| match known.get(&named.rule).copied() {
            Some(kept) => {
                kept.named.replace(named.clone());
                kept.clone()
            }
            None => Rc::new(Tally::new(named.clone())),
        };
        self.tallies.replace(planned.rules.iter().map(tally).collect());
        let same = |outlet: &Rc<Outlet>| {
            let log = planned.log.as_ref();
            log.is_some_and(|(file, format)| Arc::ptr_eq(file, &outlet.file) && *format == outlet.format)
        };
        if !self.outlet.borrow().as_ref().is_some_and(same) {
            let log = planned.log.clone();
            self.outlet.replace(log.map(|(file, format)| Rc::new(Outlet::new(file, format))));
        }
        self.planned.replace(planned.clone());
    }

    /// Where requests are written down.
    pub(super) fn outlet(&self) -> Option<Rc<Outlet>> {
        self.outlet.borrow().clone()
    }

    /// Hands on the lines that are there.
    pub fn flush(&self) {
        if let Some(outlet) = &*self.outlet.borrow() {
            outlet.flush();
        }
    }

    /// A connection is open.
    pub fn opened(&self) {
        add(&self.accepted, 1);
        add(&self.open, 1);
    }

    /// And is closed before anything of it was carried.
    pub fn turned_away(&self) {
        add(&self.turned_away, 1);
    }

    /// And closed.
    pub fn closed(&self) {
        self.open.set(self.open.get() - 1);
    }

    /// Whether answers say how long they took.
    pub fn tells_timing(&self) -> bool {
        self.planned.borrow().timing
    }

    /// Of what no rule took, or of the rule at this place of the table.
    pub(super) fn tally(&self, rule: Option<usize>) -> Rc<Tally> {
        self.tallies.borrow()[rule.map_or(0, |at| at + 1)].clone()
    }

    /// All counts.
    pub fn read(&self, listened: &Listened<'_>) -> ListenerSnapshot {
        let planned = self.planned.borrow();
        let tallies = self.tallies.borrow();
        let rules = planned.rules.iter().zip(&*tallies).map(|(rule, tally)| RuleSnapshot {
            name: rule.rule.to_string(),
            service: rule.service.clone(),
            tally: tally.read(),
        });
        ListenerSnapshot {
            name: listened.name.into(),
            address: listened.address.into(),
            protocol: listened.protocol,
            stack: planned.rules[0].stack.clone(),
            accepted: self.accepted.get(),
            turned_away: self.turned_away.get(),
            open: self.open.get(),
            draining: 0,
            held: listened.held as u64,
            rules: rules.collect(),
        }
    }
}
