//! The gate: what becomes of a request before any instance is looked for.
//!
//! A listener's rules are tried in order; the one that takes the request says what is asked of it (a rate, a
//! password, another service's leave) and what becomes of it: it goes to a set of instances, changed perhaps, or is
//! answered here. The same gate serves every version of HTTP: it sees a request as [`Asked`], and its answers are
//! whole [`Answer`]s.
//!
//! Whatever can be decided at once is ([`Gate::look`]); only what has to wait for somebody is a future
//! ([`Pending::leave`]), so that a request without such a rule costs nothing for it.

mod ask;
mod way;

pub(crate) use way::{Pending, Way};

use crate::adopt::Adoption;
use crate::set::Set;
use crate::table::{PlannedEntrance, PlannedListener, PlannedRule, PlannedRules};
use naru_answers::Answer;
use naru_traffic::{Ask, Captures, Fields, normal};
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use way::Action;

/// A request, as far as the gate looks at it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// Host and port, as the client wrote them.
    pub(crate) host: Option<&'a str>,
    /// Path and query, or `*`.
    pub(crate) target: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Who asks: the client, or whom a trusted proxy names.
    pub(crate) source: IpAddr,
    pub(crate) fields: &'a dyn Fields,
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// The listener's own instances answer it.
    Own,
    /// The instances of a rule answer it.
    Forward(Passage),
    /// It is answered here.
    Answer(Answer),
    /// Somebody has to be waited for first.
    Wait(Pending),
}

/// A request's way to the instances of a rule.
pub(crate) struct Passage {
    pub(crate) way: Rc<Way>,
    pub(crate) set: Rc<Set>,
    /// Path and query as the instance gets them, where they are changed.
    pub(crate) path: Option<String>,
    /// Fields that were found out on the way, each a line with its CRLF.
    pub(crate) lines: String,
}

/// The rules of a listener at one worker.
#[derive(Default)]
pub(crate) struct Gate {
    planned: Option<(Arc<PlannedRules>, Arc<PlannedEntrance>)>,
    ways: Vec<Rc<Way>>,
}

/// The path and query of a request, the path in the form that rules see.
pub(crate) struct Target<'a> {
    pub(crate) path: Cow<'a, str>,
    pub(crate) query: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// # Errors
    /// The answer to a path that is none.
    fn split(&self) -> Result<Target<'a>, Answer> {
        let (path, query) = match self.target.bytes().position(|byte| byte == b'?') {
            Some(at) => (&self.target[..at], Some(&self.target[at + 1..])),
            None => (self.target, None),
        };
        match normal(path) {
            Ok(path) => Ok(Target { path, query }),
            Err(_) => Err(Answer::told(400, "the path cannot be read, or leads above the root")),
        }
    }

    fn ask(&self, target: &'a Target<'a>) -> Ask<'a> {
        Ask {
            method: self.method,
            host: Ask::host_of(self.host.unwrap_or_default()),
            path: &target.path,
            query: target.query,
            source: self.source,
            fields: self.fields,
        }
    }
}

impl Gate {
    /// The gate by a newer table. A rule that is as it was keeps its state; its instances may be others.
    pub(crate) fn next(
        before: &Gate,
        listener: &PlannedListener,
        workers: usize,
        adoption: &mut Adoption<'_>,
    ) -> Rc<Gate> {
        let planned = Some((listener.rules.clone(), listener.entrance.clone()));
        if before.planned.as_ref().is_some_and(|(rules, _)| Arc::ptr_eq(rules, &listener.rules)) {
            return Rc::new(Gate { planned, ways: before.ways.clone() });
        }
        let each = &listener.rules.each;
        let mut before = Before::new(before, each.len());
        let kept: Vec<_> = each.iter().enumerate().map(|(at, planned)| before.same(at, planned)).collect();
        let mut ways = Vec::with_capacity(each.len());
        for (kept, planned) in kept.into_iter().zip(each) {
            let way = kept.unwrap_or_else(|| {
                let way = before.alike(planned).unwrap_or_else(|| Rc::new(Way::new(&planned.rule, workers)));
                if let Action::Forward(set) = &way.action {
                    set.change(&planned.splits, &planned.policy, adoption);
                }
                way
            });
            ways.push(way);
        }
        before.left.into_values().flatten().for_each(|way| way.remove(adoption));
        Rc::new(Gate { planned, ways })
    }

    /// No table names the listener any more.
    pub(crate) fn remove(&self, adoption: &mut Adoption<'_>) {
        self.ways.iter().for_each(|way| way.remove(adoption));
    }

    /// The instances of each rule that leads to any.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &Set> {
        self.ways.iter().filter_map(|way| way.set())
    }

    /// Whether `peer` is believed about who asks.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.planned.as_ref().is_some_and(|(_, entrance)| entrance.trusts(peer))
    }

    /// Who asks: the last of those whom trusted proxies name that is no such proxy itself.
    pub(crate) fn source(&self, peer: IpAddr, forwarded: Option<&[u8]>) -> IpAddr {
        let mut source = peer;
        let text = std::str::from_utf8(forwarded.unwrap_or_default()).unwrap_or_default();
        for named in text.rsplit(',').map(str::trim) {
            let Ok(named) = named.parse() else { break };
            if !self.trusts(source) {
                break;
            }
            source = named;
        }
        source
    }

    /// Whether what no rule takes goes to the listener's own instances.
    pub(crate) fn has_own(&self) -> bool {
        self.planned.as_ref().is_some_and(|(rules, _)| rules.has_own)
    }

    /// The instances of the rule that takes connections by this name alone (none, where they name none), and its place.
    pub(crate) fn by_name(&self, name: Option<&str>) -> Option<(Rc<Set>, usize)> {
        let (rules, _) = self.planned.as_ref()?;
        let ask = Ask {
            method: "",
            host: name.unwrap_or_default(),
            path: "/",
            query: None,
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            fields: &(),
        };
        let index = rules.filed.find(&ask)?.index;
        match &self.ways[index].action {
            Action::Forward(set) => Some((set.clone(), index)),
            _ => None,
        }
    }

    /// What becomes of a request, and the place of the rule that took it, if one did.
    pub(crate) fn look(&self, asked: &Asked<'_>, now: Instant) -> (Verdict, Option<usize>) {
        let Some((rules, _)) = &self.planned else { return (Verdict::Own, None) };
        if rules.each.is_empty() && rules.has_own {
            return (Verdict::Own, None);
        }
        let target = match asked.split() {
            Ok(target) => target,
            Err(answer) => return (Verdict::Answer(answer), None),
        };
        let ask = asked.ask(&target);
        match rules.filed.find(&ask) {
            Some(found) => {
                let way = &self.ways[found.index];
                (way.look(asked, &ask, &found.captures, now), Some(found.index))
            }
            None if rules.has_own => (Verdict::Own, None),
            None => (Verdict::Answer(Answer::told(404, "no rule of this address takes the request")), None),
        }
    }
}

/// The rules that a newer table takes the place of, until each has found its successor or has none.
struct Before<'a> {
    planned: &'a [Arc<PlannedRule>],
    ways: &'a [Rc<Way>],
    /// Those whose place is another's now, by name: of a thousand rules, mostly few.
    left: HashMap<&'a str, Vec<&'a Rc<Way>>>,
}

impl<'a> Before<'a> {
    /// Those of `gate`, before one of so many places.
    fn new(gate: &'a Gate, places: usize) -> Before<'a> {
        let planned = gate.planned.as_ref().map(|(rules, _)| &*rules.each).unwrap_or_default();
        let mut before = Before { planned, ways: &gate.ways, left: HashMap::new() };
        (places..before.ways.len()).for_each(|at| before.leave(at));
        before
    }

    fn leave(&mut self, at: usize) {
        self.left.entry(&self.planned[at].rule.name).or_default().push(&self.ways[at]);
    }

    /// The rule at this place, if it is the same, instances and all.
    fn same(&mut self, at: usize, planned: &Arc<PlannedRule>) -> Option<Rc<Way>> {
        if Arc::ptr_eq(self.planned.get(at)?, planned) {
            return Some(self.ways[at].clone());
        }
        self.leave(at);
        None
    }

    /// One that is as this is, but for its instances.
    fn alike(&mut self, planned: &PlannedRule) -> Option<Rc<Way>> {
        let named = self.left.get_mut(planned.rule.name.as_str())?;
        let at = named.iter().position(|way| *way.rule == planned.rule)?;
        Some(named.swap_remove(at).clone())
    }
}

/// What `captures` stand for belongs to one path: both are found again from the request itself.
fn captures_of(way: &Way, target: &Target<'_>) -> Captures {
    naru_traffic::captures(&way.rule.when.paths, &target.path).unwrap_or_default()
}
