//! Which addresses there are, and who answers on them: the table is derived from the records and from who
//! is ready. A change of it is a new generation.

use crate::World;
use crate::draft::Draft;
use crate::stay;
use naru_model::{
    Backend, Balance, Doze, Duty, Entrance, Forward, Generation, Guard, HashKey, InstanceId, InstanceRecord,
    Listener, Operation, Phase, Policy, Port, Power, Protocol, Published, ReleaseNo, RouteTable, Rule,
    RuleAction, Service, ServiceName, Split, StackListener, StackName, Stage, StickyTo, Tls, Want,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the name of an address ends with at which the next instances are looked at before they serve.
const PREVIEW: &str = "@preview";

/// Derives the table, makes it the next generation where it differs, and marks on each instance since when a
/// table names it.
pub(crate) fn reroute(draft: &mut Draft) {
    let listeners = derive(draft);
    let current = draft.routes();
    let mut opened = BTreeSet::new();
    if listeners != current.listeners {
        let before: BTreeSet<_> = open(&current.listeners).collect();
        opened = open(&listeners).filter(|id| !before.contains(id)).cloned().collect();
        draft.set_routes(RouteTable { generation: current.generation.next(), listeners });
    }
    let generation = draft.routes().generation;
    let named = named(draft.routes());
    let marked: Vec<_> = draft.instances().filter_map(|one| mark(one, generation, &named, &opened)).collect();
    for record in marked {
        draft.add_instance(record);
    }
}

fn named(table: &RouteTable) -> BTreeSet<InstanceId> {
    let splits = table.listeners.iter().flat_map(Listener::all_splits);
    splits.flat_map(|split| &split.backends).map(|backend| backend.instance.clone()).collect()
}

/// Whether a table sends anybody to an instance who asks for its service: not only people who look at a preview, or
/// clients that began there.
pub(crate) fn is_open(table: &RouteTable, id: &InstanceId) -> bool {
    open(&table.listeners).any(|one| one == id)
}

/// Those to which a table sends anybody who asks.
fn open(listeners: &[Listener]) -> impl Iterator<Item = &InstanceId> {
    let public = listeners.iter().filter(|listener| !listener.name.ends_with(PREVIEW));
    let shares = public.flat_map(Listener::all_splits).filter(|split| split.weight > 0);
    shares.flat_map(|split| &split.backends).map(|backend| &backend.instance)
}

/// `opened` are those that this table is the first to open to all: that edges have acknowledged one before says nothing
/// of that.
fn mark(
    one: &InstanceRecord,
    generation: Generation,
    named: &BTreeSet<InstanceId>,
    opened: &BTreeSet<InstanceId>,
) -> Option<InstanceRecord> {
    let is_named = named.contains(&one.id);
    let is_anew = is_named && (one.unrouted.is_some() || opened.contains(&one.id));
    let routed = one.routed.filter(|_| !is_anew).or(is_named.then_some(generation));
    let leaving = matches!(one.duty, Duty::Held | Duty::Retiring) && routed.is_some() && !is_named;
    let unrouted = if leaving { one.unrouted.or(Some(generation)) } else { None };
    let changed = unrouted != one.unrouted || routed != one.routed;
    changed.then(|| InstanceRecord { routed, unrouted, ..one.clone() })
}

fn derive(draft: &Draft) -> Vec<Listener> {
    let mut by_service: ByService = BTreeMap::new();
    for stack in draft.world.stacks.keys() {
        for service in wanted_services(draft, stack) {
            by_service.insert((stack.clone(), service), Vec::new());
        }
    }
    for one in draft.instances() {
        by_service.entry((one.stack.clone(), one.service.clone())).or_default().push(one);
    }
    let own = by_service
        .iter()
        .flat_map(|((stack, service), instances)| Serving::new(draft, stack, service, instances).listeners());
    let mut all: Vec<_> = own.collect();
    for stack in draft.world.stacks.keys() {
        all.extend(stack_listeners(draft, stack, &by_service));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    // TCP and UDP may have the same address.
    let place = |one: &Listener| (one.address.clone(), one.protocol == Protocol::Udp);
    all.dedup_by(|a, b| place(a) == place(b));
    all
}

fn wanted_services(draft: &Draft, stack: &StackName) -> Vec<ServiceName> {
    let record = draft.stack(stack);
    let Some(target) = &record.target else { return vec![] };
    let Some(release) = draft.world.release(stack, target.release) else { return vec![] };
    release.stack.services.keys().filter(|name| !target.stopped.contains(*name)).cloned().collect()
}

type ByService<'a> = BTreeMap<(StackName, ServiceName), Vec<&'a InstanceRecord>>;

/// The addresses of a stack itself, with its rules. Those of the release that serves, until another has come to
/// serve: a rule of a new release may lead to what is not ready yet.
fn stack_listeners(draft: &Draft, stack: &StackName, by_service: &ByService) -> Vec<Listener> {
    let record = draft.stack(stack);
    let Some(target) = &record.target else { return vec![] };
    let number = record.serving.unwrap_or(target.release);
    let release = draft.world.release(stack, number).or_else(|| draft.world.release(stack, target.release));
    let Some(contents) = release.map(|release| &release.stack) else { return vec![] };
    let listener = |own: &StackListener| {
        let address = address(&own.host_ip, own.port);
        let name = format!("{stack}/{}@{address}", own.name);
        let rules = contents.routes.iter().filter(|route| route.listeners.contains(&own.name));
        let mut entrance = own.entrance.clone();
        let protocol = match &mut entrance.tls {
            Some(Tls::Passthrough(routes)) => {
                let forwards = routes.iter_mut().map(|route| &mut route.forward);
                forwards.for_each(|forward| lead(draft, stack, forward, &name, by_service));
                Protocol::Tcp
            }
            Some(Tls::Terminate(_)) | None => own.protocol,
        };
        let mut whole = own.forward.clone();
        whole.iter_mut().for_each(|forward| lead(draft, stack, forward, &name, by_service));
        let (service, splits, mut policy) = match whole {
            Some(Forward { service, splits, policy, .. }) => (Some(service), splits, policy),
            None => (None, vec![], Policy::default()),
        };
        keep_flows(protocol, &mut policy);
        Listener {
            rules: rules.map(|route| rule(draft, stack, &route.rule, &name, by_service).into()).collect(),
            name,
            address,
            protocol,
            stack: stack.clone(),
            service,
            splits,
            policy,
            entrance,
        }
    };
    contents.listeners.iter().map(listener).collect()
}

/// Flows of UDP stay where they are when another edge takes over: what that knows of a flow is where it comes from.
fn keep_flows(protocol: Protocol, policy: &mut Policy) {
    if protocol == Protocol::Udp && policy.balance != Balance::Hash(HashKey::Source) {
        policy.balance = Balance::Hash(HashKey::Flow);
    }
}

/// `IP:PORT`
fn address(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// A rule with the instances that it leads to.
fn rule(draft: &Draft, stack: &StackName, rule: &Rule, listener: &str, by_service: &ByService) -> Rule {
    let mut rule = rule.clone();
    if let RuleAction::Forward(forward) = &mut rule.action {
        lead(draft, stack, forward, listener, by_service);
    }
    rule
}

/// Fills in the instances that a forward leads to.
fn lead(draft: &Draft, stack: &StackName, forward: &mut Forward, listener: &str, by_service: &ByService) {
    let none = Vec::new();
    let key = (stack.clone(), forward.service.clone());
    let instances = by_service.get(&key).unwrap_or(&none);
    let serving = Serving::new(draft, stack, &key.1, instances);
    forward.splits = serving.splits(forward.target, listener);
    forward.policy = serving.policy();
    forward.http2 = serving.protocol_of(forward.target) == Some(Protocol::Http2);
}

/// One service: who of it serves, and on what.
struct Serving<'a> {
    draft: &'a Draft<'a>,
    stack: &'a StackName,
    service: &'a ServiceName,
    instances: &'a [&'a InstanceRecord],
    /// The definition that is wanted; `None` for a service on its way out.
    wanted: Option<&'a Service>,
    fingerprint: Option<String>,
    steering: Option<&'a Operation>,
}

impl<'a> Serving<'a> {
    fn new(
        draft: &'a Draft<'a>,
        stack: &'a StackName,
        service: &'a ServiceName,
        instances: &'a [&'a InstanceRecord],
    ) -> Serving<'a> {
        let record = draft.stack(stack);
        let target = record.target.as_ref().filter(|target| !target.stopped.contains(service));
        let release = target.and_then(|target| draft.world.release(stack, target.release));
        Serving {
            draft,
            stack,
            service,
            instances,
            wanted: release.and_then(|release| release.stack.services.get(service)),
            fingerprint: draft.fingerprint(stack, service),
            steering: record.steering.and_then(|id| draft.operation(id)),
        }
    }

    fn world(&self) -> &'a World {
        self.draft.world
    }

    fn is_fresh(&self, one: &InstanceRecord) -> bool {
        self.fingerprint.as_ref() == Some(&one.fingerprint)
    }

    fn definition(&self, one: &InstanceRecord) -> Option<&'a Service> {
        let old =
            self.world().release(&one.stack, one.release).and_then(|r| r.stack.services.get(&one.service));
        if self.is_fresh(one) { self.wanted.or(old) } else { old }
    }

    fn listeners(&self) -> Vec<Listener> {
        let mut all = self.published();
        all.extend(self.internal());
        all.extend(self.preview());
        all
    }

    /// The definitions of those that serve; where nobody serves yet, what is wanted.
    fn definitions(&self) -> Vec<&'a Service> {
        let serving = self.instances.iter().filter(|one| one.duty == Duty::Serving);
        let mut all: Vec<&Service> = serving.filter_map(|one| self.definition(one)).collect();
        if all.is_empty() {
            all.extend(self.wanted);
        }
        all
    }

    /// What is spoken on a target port, as far as the definition says.
    fn protocol_of(&self, target: u16) -> Option<Protocol> {
        let definitions = self.definitions();
        let mut targets = definitions.iter().flat_map(|service| &service.template.targets);
        targets.find(|one| one.port == target).map(|one| one.protocol)
    }

    fn published(&self) -> Vec<Listener> {
        // What another tool made has its ports of the host by itself, until it ends.
        if self.instances.iter().any(|one| self.world().holds_ports(one)) {
            return vec![];
        }
        let definitions = self.definitions();
        // TCP and UDP may have the same address.
        let mut ports: BTreeMap<(String, &str), &Port> = BTreeMap::new();
        for port in definitions.iter().flat_map(|service| &service.ports) {
            if let Some(address) = self.address_of(port) {
                let transport = if port.protocol == Protocol::Udp { "/udp" } else { "" };
                ports.insert((address, transport), port);
            }
        }
        let listener = |((address, transport), port): ((String, &str), &Port)| {
            let suffix = format!(":{}{transport}@{address}", port.target);
            self.guarded(self.listener(&suffix, address, port.protocol, port.target), port.target)
        };
        ports.into_iter().map(listener).collect()
    }

    /// As the file says for what comes in from outside. A rate is a rule's, so one rule takes all.
    fn guarded(&self, mut listener: Listener, target: u16) -> Listener {
        let definition = self.wanted.or_else(|| self.definitions().first().copied());
        let Some(Published { entrance, rate_limit }) = definition.map(|service| service.published.clone())
        else {
            return listener;
        };
        match listener.protocol {
            Protocol::Udp => return listener,
            Protocol::Tcp => {
                listener.entrance = Entrance { access_log: None, server_timing: false, ..entrance };
                return listener;
            }
            Protocol::Http | Protocol::Http2 => listener.entrance = entrance,
        }
        if rate_limit.is_some() {
            let forward = Forward {
                service: self.service.clone(),
                target,
                http2: listener.protocol == Protocol::Http2,
                splits: listener.splits.clone(),
                policy: listener.policy.clone(),
            };
            let rule = Rule {
                name: "published".into(),
                when: Default::default(),
                guard: Guard { rate_limit, ..Guard::default() },
                edits: Default::default(),
                action: RuleAction::Forward(forward),
            };
            listener.rules = vec![rule.into()];
        }
        listener
    }

    fn address_of(&self, port: &Port) -> Option<String> {
        let chosen = self.draft.stack(self.stack).services.get(self.service);
        let number = port.published.or_else(|| chosen?.published.get(&port.target).copied())?;
        Some(address(&port.host_ip, number))
    }

    /// Stable addresses stay for as long as anything of the stack lives, which may call them.
    fn internal(&self) -> Vec<Listener> {
        let Some(record) = self.draft.stack(self.stack).services.get(self.service) else { return vec![] };
        let definitions = self.definitions();
        let own = self.instances.iter().filter_map(|one| self.definition(one));
        let mut targets = BTreeMap::new();
        for target in definitions.into_iter().chain(own).flat_map(|service| &service.template.targets) {
            targets.insert(target.port, target.protocol);
        }
        let on_loopback = |(target, protocol): (&u16, &Protocol)| {
            let port = record.addresses.get(target)?;
            let suffix = format!(":{target}@internal");
            Some(self.listener(&suffix, format!("127.0.0.1:{port}"), *protocol, *target))
        };
        let mut all: Vec<_> = targets.iter().filter_map(on_loopback).collect();
        for (node, ip) in &record.host_addresses {
            let for_containers = |(target, protocol): (&u16, &Protocol)| {
                let suffix = format!(":{target}@containers.{node}");
                let mut listener = self.listener(&suffix, address(ip, *target), *protocol, *target);
                // Packets for it come from outside too, where somebody routes them here.
                listener.entrance.this_machine_only = true;
                listener
            };
            all.extend(targets.iter().map(for_containers));
        }
        all
    }

    fn preview(&self) -> Option<Listener> {
        let port = self.wanted?.rollout.preview?;
        let target = self.wanted?.template.targets.first()?;
        let fresh = self.instances.iter().filter(|one| one.duty == Duty::Warming && self.is_fresh(one));
        let ready = fresh.filter(|one| self.world().is_ready(&one.id));
        let backends: Vec<_> = ready.filter_map(|one| self.backend(one, target.port, PREVIEW)).collect();
        let mut listener = self.listener(PREVIEW, format!("127.0.0.1:{port}"), target.protocol, target.port);
        listener.splits = vec![Split { weight: 1, backends }];
        (!listener.splits[0].backends.is_empty()).then_some(listener)
    }

    fn listener(&self, suffix: &str, address: String, protocol: Protocol, target: u16) -> Listener {
        let (stack, service) = (self.stack.clone(), self.service.clone());
        let name = format!("{stack}/{service}{suffix}");
        let splits = self.splits(target, &name);
        let (mut policy, entrance) = (self.policy(), Entrance::default());
        keep_flows(protocol, &mut policy);
        let service = Some(service);
        Listener { name, address, protocol, stack, service, splits, policy, entrance, rules: vec![] }
    }

    /// How requests are treated: as the definition that is wanted says, or where none is, the one that serves.
    fn policy(&self) -> Policy {
        let definition = self.wanted.or_else(|| self.definitions().first().copied());
        let Some(definition) = definition else { return Policy::default() };
        Policy {
            doze: definition.power.as_ref().map(|power| self.doze(power).into()),
            ..definition.policy.clone()
        }
    }

    /// What becomes of requests for a service that may be asleep.
    fn doze(&self, power: &Power) -> Doze {
        let asleep = self.draft.asleep(self.stack, self.service);
        Doze {
            stack: self.stack.clone(),
            service: self.service.clone(),
            by_request: power.by_request,
            hold: power.hold,
            ignore: power.ignore.clone(),
            asleep: asleep.is_some(),
            until: asleep.and_then(|verdict| verdict.wants.first()).and_then(Want::until),
        }
    }

    /// Shares as the canary's step says; otherwise all alike.
    fn splits(&self, target: u16, listener: &str) -> Vec<Split> {
        let serving: Vec<_> = self.able(listener).collect();
        let part = |keep: &dyn Fn(&InstanceRecord) -> bool| {
            let chosen = serving.iter().filter(|one| keep(one));
            chosen.filter_map(|one| self.backend(one, target, listener)).collect::<Vec<_>>()
        };
        let splits = match self.share() {
            Some(percent) => vec![
                Split { weight: percent, backends: part(&|one| self.is_fresh(one)) },
                Split { weight: 100 - percent.min(100), backends: part(&|one| !self.is_fresh(one)) },
            ],
            None => vec![Split { weight: 1, backends: part(&|_| true) }],
        };
        let for_those_who_began = Split { weight: 0, backends: self.kept(target, listener) };
        let splits = splits.into_iter().chain([for_those_who_began]);
        splits.filter(|split| !split.backends.is_empty()).collect()
    }

    /// Those that go on for the clients that began there, and can.
    fn kept(&self, target: u16, listener: &str) -> Vec<Backend> {
        if !self.protocol_of(target).is_some_and(Protocol::is_http) {
            return vec![];
        }
        let kept = self.instances.iter().filter(|one| stay::is_kept(self.draft, one));
        let sound = kept.filter(|one| self.is_sound(one, listener));
        sound.filter_map(|one| self.backend(one, target, listener)).collect()
    }

    fn share(&self) -> Option<u32> {
        let progress = self.steering?.services.get(self.service)?;
        match progress.stage {
            Stage::Step(step) => Some(self.wanted?.rollout.steps.get(step as usize)?.weight),
            _ => None,
        }
    }

    /// Those that serve and can: the ready ones, and those not heard of since this server began that the
    /// table names already. If there is none, the unready that still run: a doubtful answer is better than
    /// a certain refusal.
    fn able(&self, listener: &str) -> impl Iterator<Item = &'a InstanceRecord> {
        let serving = || self.instances.iter().copied().filter(|one| one.duty == Duty::Serving);
        let sound = |one: &InstanceRecord| self.is_sound(one, listener);
        let unready = |one: &InstanceRecord| {
            self.world().status(&one.id).is_some_and(|status| status.phase == Phase::Unready)
        };
        let some_sound = serving().any(sound);
        serving()
            .filter(move |one| if some_sound { sound(one) } else { unready(one) })
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn is_sound(&self, one: &InstanceRecord, listener: &str) -> bool {
        match self.world().status(&one.id) {
            Some(status) => status.phase == Phase::Ready,
            None => self.known_backend(one, listener).is_some(),
        }
    }

    fn backend(&self, one: &InstanceRecord, target: u16, listener: &str) -> Option<Backend> {
        let Some(status) = self.world().status(&one.id) else {
            return self.known_backend(one, listener).cloned();
        };
        let address = status.socket(target)?;
        let version = self.version(one).filter(|version| *version != one.release);
        let asked = self.policy().zone.and_then(|_| self.world().agents.get(&one.node));
        let zone = asked.and_then(|agent| agent.zone.clone());
        Some(Backend { version, zone, ..Backend::new(one.id.clone(), one.release, address) })
    }

    /// The oldest release of the same contents that has an instance, where clients stay on what they began with.
    fn version(&self, one: &InstanceRecord) -> Option<ReleaseNo> {
        let sticky = self.policy().sticky.filter(|sticky| sticky.to == StickyTo::Version);
        let alike = self.instances.iter().filter(|other| other.fingerprint == one.fingerprint);
        sticky.and_then(|_| alike.map(|other| other.release).min())
    }

    fn known_backend(&self, one: &InstanceRecord, listener: &str) -> Option<&'a Backend> {
        let known = self.world().routes.listeners.iter().find(|known| known.name == listener)?;
        known.all_splits().flat_map(|split| &split.backends).find(|backend| backend.instance == one.id)
    }
}
