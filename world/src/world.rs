//! The world: all that a decision may look at.
//!
//! Records are what the store holds; a change of them is a [`Write`], which the act side commits, all of a
//! decision's writes in one guarded transaction, and then applies here. Observations are the newest report
//! of each agent and edge; they are soft: lost when the server restarts, and reported again.

use crate::{names, one_off};
use naru_model::{
    AgentReport, Desired, DesiredInstance, EdgeId, EdgeReport, Generation, Images, InstanceId,
    InstanceRecord, InstanceStatus, Job, NodeId, OneOff, Operation, OperationId, Release, ReleaseNo,
    RouteTable, RunRecord, Service, ServiceName, StackName, StackRecord, TargetPort, Template,
};
use naru_who::{People, PersonWrite};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Records and observations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// The store's revision: the generation of the desired state derived from this.
    pub generation: Generation,
    /// By name; those taken down too, since their numbers go on.
    pub stacks: BTreeMap<StackName, StackRecord>,
    /// All releases kept.
    pub releases: BTreeMap<(StackName, ReleaseNo), Release>,
    /// All instances whose end has not been accounted for.
    pub instances: BTreeMap<InstanceId, InstanceRecord>,
    /// All operations kept.
    pub operations: BTreeMap<OperationId, Operation>,
    /// All runs of jobs that are kept.
    pub runs: BTreeMap<RunKey, RunRecord>,
    /// The table in force.
    pub routes: RouteTable,
    /// Who may do what; nothing here decides by it.
    pub people: People,
    /// The edge that serves on each node, as far as was ever heard.
    pub edges: BTreeMap<NodeId, EdgeRecord>,
    /// The newest report of each node's agent.
    pub agents: BTreeMap<NodeId, AgentReport>,
    /// The newest report of each edge; two of a node while one takes over from the other.
    pub reports: BTreeMap<EdgeId, EdgeReport>,
}

/// Stack, job, and the number of the run.
pub type RunKey = (StackName, ServiceName, u64);

/// The edge that serves on a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeRecord {
    /// The node.
    pub node: NodeId,
    /// One life of its edge.
    pub edge: EdgeId,
    /// When that life began.
    pub began: naru_model::Time,
}

/// One record's change.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A stack as it is to be.
    Stack(Box<StackRecord>),
    /// A new release; releases never change.
    Release(StackName, Box<Release>),
    /// A release that is not kept any longer.
    ForgetRelease(StackName, ReleaseNo),
    /// An instance as it is to be.
    Instance(Box<InstanceRecord>),
    /// An instance whose end is on its receipt.
    ForgetInstance(InstanceId),
    /// An operation as it is to be.
    Operation(Box<Operation>),
    /// An operation that is not kept any longer.
    ForgetOperation(OperationId),
    /// A run of a job as it is to be.
    Run(Box<RunRecord>),
    /// A run that is not kept any longer.
    ForgetRun(RunKey),
    /// A new table.
    Routes(RouteTable),
    /// Another edge serves on a node.
    Edge(EdgeRecord),
    /// A user, a token or a grant.
    Person(PersonWrite),
}

impl World {
    /// Makes the change, once the store has it.
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::Stack(stack) => drop(self.stacks.insert(stack.name.clone(), *stack)),
            Write::Release(stack, release) => {
                self.releases.insert((stack, release.number), *release);
            }
            Write::ForgetRelease(stack, number) => drop(self.releases.remove(&(stack, number))),
            Write::Instance(instance) => {
                self.instances.insert(instance.id.clone(), *instance);
            }
            Write::ForgetInstance(id) => drop(self.instances.remove(&id)),
            Write::Operation(operation) => drop(self.operations.insert(operation.id, *operation)),
            Write::ForgetOperation(id) => drop(self.operations.remove(&id)),
            Write::Run(run) => {
                self.runs.insert((run.stack.clone(), run.job.clone(), run.number), *run);
            }
            Write::ForgetRun(key) => drop(self.runs.remove(&key)),
            Write::Routes(table) => self.routes = table,
            Write::Edge(edge) => self.edge_serves(edge),
            Write::Person(person) => self.people.apply(person),
        }
    }

    /// An edge serves on its node; what was heard of those before it is done with.
    fn edge_serves(&mut self, edge: EdgeRecord) {
        self.reports.retain(|id, said| said.node != edge.node || *id == edge.edge || said.began > edge.began);
        self.edges.insert(edge.node.clone(), edge);
    }

    /// Takes an agent's report, unless a newer one of that node was taken before.
    pub fn hear_agent(&mut self, report: AgentReport) -> Heard {
        let known = self.agents.get(&report.node);
        if known.is_some_and(|known| (known.incarnation, known.seq) >= (report.incarnation, report.seq)) {
            return Heard::Stale;
        }
        self.agents.insert(report.node.clone(), report);
        Heard::New
    }

    /// Takes an edge's report, unless a newer one of that edge was taken before, or the edge is known to be
    /// gone.
    pub fn hear_edge(&mut self, report: EdgeReport) -> Heard {
        let known = self.reports.get(&report.edge).is_some_and(|known| known.seq >= report.seq);
        let serves = self.edges.get(&report.node);
        let gone = serves.is_some_and(|now| now.edge != report.edge && now.began >= report.began);
        if known || gone {
            return Heard::Stale;
        }
        self.reports.insert(report.edge.clone(), report);
        Heard::New
    }

    /// What the agent saw of an instance, as far as it has reported.
    pub fn status(&self, id: &InstanceId) -> Option<&InstanceStatus> {
        let node = &self.instances.get(id)?.node;
        self.agents.get(node)?.instances.get(id)
    }

    /// The contents of a release.
    pub fn release(&self, stack: &StackName, number: ReleaseNo) -> Option<&Release> {
        self.releases.get(&(stack.clone(), number))
    }

    /// The definition of the service that an instance is of; of a run there is none.
    pub fn definition(&self, instance: &InstanceRecord) -> Option<&Service> {
        if instance.run.is_some() {
            return None;
        }
        self.release(&instance.stack, instance.release)?.stack.services.get(&instance.service)
    }

    /// The definition of the job that an instance is a run of; of a one-off, what that makes of its service.
    pub fn job(&self, instance: &InstanceRecord) -> Option<Cow<'_, Job>> {
        instance.run?;
        let release = self.release(&instance.stack, instance.release)?;
        definition(release, &instance.service, self.one_off(instance))
    }

    /// As which one-off an instance runs, if it is one.
    pub fn one_off(&self, instance: &InstanceRecord) -> Option<&OneOff> {
        let key = (instance.stack.clone(), instance.service.clone(), instance.run?);
        self.runs.get(&key)?.one_off.as_deref()
    }

    /// What an instance is made from.
    pub fn template(&self, instance: &InstanceRecord) -> Option<Cow<'_, Template>> {
        match self.definition(instance) {
            Some(service) => Some(Cow::Borrowed(&service.template)),
            None => self.job(instance).map(|job| match job {
                Cow::Borrowed(job) => Cow::Borrowed(&job.template),
                Cow::Owned(job) => Cow::Owned(job.template),
            }),
        }
    }

    /// The instances of a service that are not accounted for, oldest first.
    pub fn instances_of<'a>(
        &'a self,
        stack: &'a StackName,
        service: &'a ServiceName,
    ) -> impl Iterator<Item = &'a InstanceRecord> {
        self.instances
            .values()
            .filter(move |one| one.run.is_none() && one.stack == *stack && one.service == *service)
    }

    /// All that a node's agent is to have.
    pub fn desired(&self, node: &NodeId) -> Desired {
        let mine = self.instances.values().filter(|instance| instance.node == *node);
        let instances = mine.filter_map(|record| Some((record.id.clone(), self.desired_instance(record)?)));
        Desired { node: node.clone(), generation: self.generation, instances: instances.collect() }
    }

    fn desired_instance(&self, record: &InstanceRecord) -> Option<DesiredInstance> {
        let hosts = names::hosts(self, record);
        Some(DesiredInstance {
            stack: record.stack.clone(),
            service: record.service.clone(),
            release: record.release,
            template: self.template(record)?.into_owned(),
            environment: self.addresses(record, &hosts),
            hosts,
            imported: record.imported.clone(),
            images: self.images(record),
            one_off: self.one_off(record).map(OneOff::terms),
            intent: record.intent,
        })
    }

    /// What its release recorded of the images that it is made from.
    fn images(&self, record: &InstanceRecord) -> Images {
        let release = self.release(&record.stack, record.release);
        release.and_then(|release| release.images.get(&record.service)).cloned().unwrap_or_default()
    }

    /// `NARU_URL_<SERVICE>` for each service of the instance's stack that has an address: on loopback, which a container
    /// does not reach; there it is the service's name, for those among `hosts`.
    fn addresses(
        &self,
        record: &InstanceRecord,
        hosts: &BTreeMap<String, ServiceName>,
    ) -> BTreeMap<String, String> {
        let stack = &record.stack;
        let is_container = self.template(record).is_some_and(|template| template.run.container().is_some());
        let services = self.stacks.get(stack).into_iter().flat_map(|stack| &stack.services);
        let named = services.filter_map(|(name, record)| {
            let upper = name.as_str().to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let target = self.first_target(stack, name)?;
            let place = match is_container {
                true => hosts.contains_key(name.as_str()).then(|| format!("{name}:{}", target.port))?,
                false => format!("127.0.0.1:{}", record.addresses.get(&target.port)?),
            };
            Some((format!("NARU_URL_{upper}"), format!("{}://{place}", target.protocol.scheme())))
        });
        named.collect()
    }

    /// The first port of a service, as the newest release says that has the service.
    fn first_target(&self, stack: &StackName, name: &ServiceName) -> Option<TargetPort> {
        let newest = self.stacks.get(stack)?.newest;
        let served = (1..=newest.0)
            .rev()
            .find_map(|number| self.release(stack, ReleaseNo(number))?.stack.services.get(name))?;
        served.template.targets.first().copied()
    }
}

/// Whether a report told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is the newest of its sender.
    New,
    /// It is late, doubled, or from one that is gone.
    Stale,
}

/// What a run is one of: a job, or what a one-off makes of its service. `None`: its release does not have it.
pub fn definition<'a>(
    release: &'a Release,
    name: &ServiceName,
    one_off: Option<&OneOff>,
) -> Option<Cow<'a, Job>> {
    match one_off {
        None => release.stack.jobs.get(name).map(Cow::Borrowed),
        Some(one) => release.stack.services.get(name).map(|service| Cow::Owned(one_off::job(one, service))),
    }
}
