//! The table as all workers get it: checked, addresses read, with the sockets that are open and the loads
//! that the workers share. Immutable; a change is a new one, which shares with the one before it whatever is as it
//! was: of a thousand rules, a worker takes up those that differ.

use crate::listen::Sockets;
use crate::room::{Room, Rooms};
use naru_books::{Crowd, Load, Logs, PlannedRegister};
use naru_model::{
    Entrance, Generation, InstanceId, Listener, Policy, Protocol, ReleaseNo, RouteTable, Rule, RuleAction,
    Split, Terminate, Tls, same_rules,
};
use naru_tls::{Home, Inside, Seals};
use naru_traffic::{Bad, Network, Rules};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use tokio_rustls::rustls::ServerConfig;

/// Why a table was not taken. The edge goes on by the one it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A newer one is applied already.
    #[error("the route table of generation {offered} is older than {applied}, which is applied")]
    Stale {
        /// What was offered.
        offered: Generation,
        /// What is applied.
        applied: Generation,
    },
    /// A backend's address cannot be read.
    #[error("listener {listener}: the address of {instance}, {address:?}, is not IP:PORT")]
    Address {
        /// The listener's name.
        listener: String,
        /// The instance.
        instance: InstanceId,
        /// What its address says.
        address: String,
    },
    /// A rule or a network makes no sense.
    #[error("listener {listener}: {what}")]
    Rule {
        /// The listener's name.
        listener: String,
        /// What is the matter.
        what: String,
    },
}

/// A route table that can be carried out.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) generation: Generation,
    pub(crate) listeners: Vec<PlannedListener>,
}

/// A listener, and the instances behind it.
#[derive(Clone)]
pub(crate) struct PlannedListener {
    pub(crate) name: Arc<str>,
    pub(crate) address: Arc<str>,
    pub(crate) protocol: Protocol,
    /// `None` while they could not be opened.
    pub(crate) sockets: Option<Arc<Sockets>>,
    pub(crate) splits: Arc<[PlannedSplit]>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) entrance: Arc<PlannedEntrance>,
    /// How TLS ends here, if it does.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) rules: Arc<PlannedRules>,
    pub(crate) room: Arc<Room>,
    pub(crate) register: Arc<PlannedRegister>,
}

impl PlannedListener {
    /// The splits of the listener itself and of its rules.
    pub(crate) fn all_splits(&self) -> impl Iterator<Item = &PlannedSplit> {
        self.splits.iter().chain(self.rules.each.iter().flat_map(|rule| &*rule.splits))
    }
}

/// What holds for all that comes in.
pub(crate) struct PlannedEntrance {
    /// The listener's own address, where only this machine and its containers come in.
    pub(crate) this_machine_at: Option<IpAddr>,
    /// Networks that are believed about who asks.
    pub(crate) trusted: Vec<Network>,
    /// Whether those begin with the PROXY protocol.
    pub(crate) accept_proxy: bool,
    /// Whether TLS is passed on unread, by the name that a client asks for: the rules are those names.
    pub(crate) passes_tls: bool,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_source: Option<u32>,
}

/// A listener's rules.
pub(crate) struct PlannedRules {
    pub(crate) filed: Arc<Rules>,
    pub(crate) each: Vec<Arc<PlannedRule>>,
    /// Whether what no rule takes goes to the listener's own instances.
    pub(crate) has_own: bool,
}

/// A rule, and the instances that it goes to, if it does.
pub(crate) struct PlannedRule {
    /// Its forward has no splits: they stand beside it, so that rules can be compared without them.
    pub(crate) rule: Rule,
    pub(crate) splits: Arc<[PlannedSplit]>,
    pub(crate) policy: Arc<Policy>,
}

/// A share of the traffic.
pub(crate) struct PlannedSplit {
    pub(crate) weight: u32,
    pub(crate) backends: Vec<PlannedBackend>,
}

/// An instance.
pub(crate) struct PlannedBackend {
    pub(crate) instance: InstanceId,
    pub(crate) release: ReleaseNo,
    /// What clients that stay on a release are told.
    pub(crate) version: ReleaseNo,
    pub(crate) address: SocketAddr,
    /// Whether it is in the edge's own zone.
    pub(crate) near: bool,
    pub(crate) load: Arc<Load>,
}

/// The load of every instance that the edge knows.
#[derive(Default)]
pub(crate) struct Loads {
    each: HashMap<InstanceId, Arc<Load>>,
    /// Who waits for an instance of a service, by the part of their names that the service's instances share.
    crowds: HashMap<String, Weak<Crowd>>,
    /// The edge's own zone.
    zone: Option<String>,
}

impl Loads {
    fn of(&mut self, instance: &InstanceId) -> Arc<Load> {
        if let Some(load) = self.each.get(instance) {
            return load.clone();
        }
        // Release and number come last.
        let service = instance.as_str().rsplitn(3, '.').last().unwrap_or_default();
        let crowd = self.crowds.get(service).and_then(Weak::upgrade).unwrap_or_default();
        self.crowds.insert(service.into(), Arc::downgrade(&crowd));
        let load = Arc::new(Load::of(&crowd));
        self.each.insert(instance.clone(), load.clone());
        load
    }

    /// Instances that no table names and no report tells of any more.
    pub(crate) fn forget(&mut self, gone: &[InstanceId]) {
        gone.iter().for_each(|instance| drop(self.each.remove(instance)));
        self.crowds.retain(|_, crowd| crowd.strong_count() > 0);
    }
}

/// What an edge keeps from table to table.
pub(crate) struct Kept {
    pub(crate) loads: Loads,
    pub(crate) rooms: Rooms,
    pub(crate) logs: Logs,
    pub(crate) seals: Seals,
}

impl Kept {
    /// Nothing yet; certificates from authorities lie in `home`, and the edge is in `zone`.
    pub(crate) fn new(home: Option<Home>, zone: Option<String>) -> Kept {
        Kept {
            loads: Loads { zone, ..Loads::default() },
            rooms: Rooms::default(),
            logs: Logs::default(),
            seals: Seals::new(home),
        }
    }
}

impl Plan {
    /// Reads `table`, which follows `before`; the sockets are opened later.
    ///
    /// # Errors
    /// A backend's address that cannot be read.
    pub(crate) fn read(
        table: &RouteTable,
        before: (&RouteTable, &Plan),
        kept: &mut Kept,
    ) -> Result<Plan, Refused> {
        kept.rooms.sweep();
        kept.seals.begin();
        let old = before.0.listeners.iter().zip(&before.1.listeners);
        let old: HashMap<&str, _> = old.map(|old| (old.0.name.as_str(), old)).collect();
        let read = |one: &Listener| PlannedListener::read(one, old.get(one.name.as_str()).copied(), kept);
        let listeners = table.listeners.iter().map(read).collect::<Result<_, _>>()?;
        kept.seals.end();
        Ok(Plan { generation: table.generation, listeners })
    }
}

impl PlannedListener {
    fn read(
        listener: &Listener,
        before: Option<(&Listener, &PlannedListener)>,
        kept: &mut Kept,
    ) -> Result<PlannedListener, Refused> {
        let sealed = terminated(listener).map(|(terminate, inside)| kept.seals.get(terminate, inside));
        let same = |is: fn(&Listener, &Listener) -> bool| {
            before.filter(|(old, _)| is(old, listener)).map(|(_, planned)| planned)
        };
        let loads = &mut kept.loads;
        Ok(PlannedListener {
            name: listener.name.as_str().into(),
            address: listener.address.as_str().into(),
            protocol: listener.protocol,
            sockets: None,
            splits: match same(|old, new| old.splits == new.splits) {
                Some(planned) => planned.splits.clone(),
                None => PlannedSplit::read_all(&listener.splits, &listener.name, loads)?,
            },
            policy: match same(|old, new| old.policy == new.policy) {
                Some(planned) => planned.policy.clone(),
                None => listener.policy.clone().into(),
            },
            entrance: PlannedEntrance::read(listener)?.into(),
            tls: sealed,
            rules: PlannedRules::read(listener, before, loads)?,
            room: kept.rooms.room(listener),
            register: PlannedRegister::read(
                listener,
                before.map(|(_, planned)| &planned.register),
                &mut kept.logs,
            ),
        })
    }
}

/// How a listener ends TLS, if it does.
pub(crate) fn terminated(listener: &Listener) -> Option<(&Terminate, Inside)> {
    let inside = match listener.protocol {
        Protocol::Http | Protocol::Http2 => Inside::Http,
        Protocol::Tcp | Protocol::Udp => Inside::Bytes,
    };
    match &listener.entrance.tls {
        Some(Tls::Terminate(terminate)) => Some((terminate, inside)),
        Some(Tls::Passthrough(_)) | None => None,
    }
}

/// What a table may ask for and this edge does not do: refused, since a listener that seems to do it would be
/// worse than none.
fn unserved(listener: &Listener) -> Option<&'static str> {
    let entrance = &listener.entrance;
    let asks = [
        (
            matches!(entrance.tls, Some(Tls::Passthrough(_))) && listener.protocol != Protocol::Tcp,
            "TLS is passed on unread only where the protocol is TCP",
        ),
        (
            listener.protocol == Protocol::Udp && !(says_only_who(entrance) && listener.rules.is_empty()),
            "of UDP, nothing but the instances and who may come can be said",
        ),
    ];
    asks.into_iter().find(|(asked, _)| *asked).map(|(_, what)| what)
}

fn says_only_who(entrance: &Entrance) -> bool {
    *entrance == Entrance { this_machine_only: entrance.this_machine_only, ..Entrance::default() }
}

impl PlannedEntrance {
    fn read(listener: &Listener) -> Result<PlannedEntrance, Refused> {
        if let Some(what) = unserved(listener) {
            return Err(Refused::Rule { listener: listener.name.clone(), what: what.into() });
        }
        let network = |text: &String| {
            let what = |bad: naru_traffic::BadNetwork| bad.to_string();
            text.parse().map_err(what).map_err(|what| Refused::Rule { listener: listener.name.clone(), what })
        };
        let entrance = &listener.entrance;
        let here = listener.address.parse().map(|address: SocketAddr| address.ip()).map_err(|_| {
            let what = format!("its address {:?} is not IP:PORT", listener.address);
            Refused::Rule { listener: listener.name.clone(), what }
        });
        Ok(PlannedEntrance {
            this_machine_at: entrance.this_machine_only.then_some(here).transpose()?,
            trusted: entrance.trusted.iter().map(network).collect::<Result<_, _>>()?,
            accept_proxy: entrance.accept_proxy,
            passes_tls: matches!(entrance.tls, Some(Tls::Passthrough(_))),
            max_connections: entrance.max_connections.map(|most| most as usize),
            max_connections_per_source: entrance.max_connections_per_source,
        })
    }

    /// Whether one from `peer` may come in.
    pub(crate) fn admits(&self, peer: IpAddr) -> bool {
        self.this_machine_at.is_none_or(|here| naru_carry::is_on_this_machine(peer, here))
    }

    /// Whether `peer` is believed about who asks.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }
}

impl PlannedRules {
    fn read(
        listener: &Listener,
        before: Option<(&Listener, &PlannedListener)>,
        loads: &mut Loads,
    ) -> Result<Arc<PlannedRules>, Refused> {
        let (rules, has_own) = (listener.all_rules(), listener.service.is_some());
        let old_rules = before.map(|(old, _)| old.all_rules()).unwrap_or_default();
        let old = before.map(|(_, planned)| &planned.rules);
        let old_each = old.map(|old| &*old.each).unwrap_or_default();
        let mut each = Vec::with_capacity(rules.len());
        for place in same_rules(&old_rules, &rules).into_iter().zip(rules.iter()) {
            each.push(match place {
                (Some(place), _) => old_each[place].clone(),
                (None, rule) => {
                    let like = each.last().map(|before: &Arc<PlannedRule>| &before.policy);
                    Arc::new(PlannedRule::read(rule, &listener.name, like, loads)?)
                }
            });
        }
        let alike = rules.len() == old_rules.len()
            && rules
                .iter()
                .zip(old_rules.iter())
                .all(|(one, old)| Arc::ptr_eq(one, old) || one.when == old.when);
        let old = old.filter(|_| alike);
        if let Some(old) = old.filter(|old| old.has_own == has_own)
            && each.iter().zip(old_each).all(|(one, old)| Arc::ptr_eq(one, old))
        {
            return Ok(old.clone());
        }
        let bad = |bad: Bad| Refused::Rule { listener: listener.name.clone(), what: bad.to_string() };
        let filed = match old {
            Some(old) => old.filed.clone(),
            None => Rules::compile(&rules).map_err(bad)?.into(),
        };
        Ok(Arc::new(PlannedRules { filed, each, has_own }))
    }
}

impl PlannedRule {
    /// Reads a rule; `like` is the policy of one before it, which it mostly has too and then shares: what all requests
    /// look at stays near the processor.
    fn read(
        rule: &Rule,
        listener: &str,
        like: Option<&Arc<Policy>>,
        loads: &mut Loads,
    ) -> Result<PlannedRule, Refused> {
        let mut rule = Rule::clone(rule);
        let (mut splits, mut policy) = (Arc::from([]), Arc::default());
        if let RuleAction::Forward(forward) = &mut rule.action {
            splits = PlannedSplit::read_all(&std::mem::take(&mut forward.splits), listener, loads)?;
            policy = match like.filter(|like| ***like == forward.policy) {
                Some(like) => like.clone(),
                None => forward.policy.clone().into(),
            };
        }
        Ok(PlannedRule { rule, splits, policy })
    }
}

impl PlannedSplit {
    fn read_all(splits: &[Split], listener: &str, loads: &mut Loads) -> Result<Arc<[PlannedSplit]>, Refused> {
        splits.iter().map(|split| PlannedSplit::read(split, listener, loads)).collect()
    }

    fn read(split: &Split, listener: &str, loads: &mut Loads) -> Result<Self, Refused> {
        let mut backends = Vec::with_capacity(split.backends.len());
        for backend in &split.backends {
            let unreadable = |_| Refused::Address {
                listener: listener.into(),
                instance: backend.instance.clone(),
                address: backend.address.clone(),
            };
            backends.push(PlannedBackend {
                instance: backend.instance.clone(),
                release: backend.release,
                version: backend.version(),
                address: backend.address.parse().map_err(unreadable)?,
                near: backend.zone.is_some() && backend.zone == loads.zone,
                load: loads.of(&backend.instance),
            });
        }
        Ok(PlannedSplit { weight: split.weight, backends })
    }
}
