//! The guard between the routes and the core: each question and each order is decided for whoever asks, about what it is
//! about, before the core hears of it. A new method of [`Core`] has to say here what right it takes.
//!
//! What is refused is written down, and so is all that changes something or looks into an instance, before it is done.

use super::until::Until;
use crate::{
    Answer, Authority, Core, Duplex, EventQuery, EventStream, Ground, ImageOrder, ImageStream, LogQuery,
    LogStream, PlanRequest, PruneAct, PruneOrder, ReachOrder, Refused, ShowAssets, ShutdownOrder, Snapshot,
    Status, Taken,
};
use axum::body::Bytes;
use futures_util::StreamExt;
use naru_cost::CostView;
use naru_model::{
    Admitted, AgentReport, AssetOrder, AssetView, AssetsView, Change, ContentId, Demand, Desired, EdgeReport,
    Ending, ImageFate, InstanceView, JobView, NodeId, Operation, OperationId, Plan, Release, RouteTable,
    RunRecord, ServiceName, StackName, StackView, Wanted, WorkView,
};
use naru_who::{AuditEntry, AuditOutcome, Resource, Right, Verdict, Who, how_to_ask, taken_by};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A right that ends by itself is seen to have ended so soon.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The core, for one person.
pub(super) struct Guard {
    pub(super) core: Arc<dyn Core>,
    pub(super) authority: Arc<dyn Authority>,
    pub(super) who: Who,
}

/// The core, as far as somebody may have to do with it: each question and each order is decided first.
pub fn guarded(core: Arc<dyn Core>, authority: Arc<dyn Authority>, who: Who) -> Arc<dyn Core> {
    Arc::new(Guard { core, authority, who })
}

impl Guard {
    /// Passes, or is refused and written down.
    async fn may(&self, right: Right, on: &Resource) -> Result<(), Refused> {
        if self.who.is_owner() {
            return Ok(());
        }
        let verdict = self.decided(right, on).await;
        if verdict.allowed { Ok(()) } else { Err(self.refuse(right, on, verdict).await) }
    }

    /// The verdict. What was approved at the service desk begins with its first use: that is now.
    async fn decided(&self, right: Right, on: &Resource) -> Verdict {
        let verdict = self.authority.decide(&self.who, right, on);
        if verdict.allowed {
            return verdict;
        }
        match self.authority.begin(&self.who, right, on).await {
            Ok(true) => self.authority.decide(&self.who, right, on),
            Ok(false) => verdict,
            Err(refused) => Verdict { why: refused.refusal.error, ..verdict },
        }
    }

    async fn refuse(&self, right: Right, on: &Resource, verdict: Verdict) -> Refused {
        refused(&*self.authority, &self.who, right, &on.to_string(), verdict).await
    }

    /// Is decided for each of these; then written down, and only then passes.
    async fn does(&self, right: Right, on: &[Resource], text: String) -> Result<(), Refused> {
        let mut by = None;
        for on in on {
            let verdict = self.decided(right, on).await;
            if !verdict.allowed {
                return Err(self.refuse(right, on, verdict).await);
            }
            by = by.or(verdict.by);
        }
        let shown: Vec<String> = on.iter().map(ToString::to_string).collect();
        let mut entry = entry(&self.who, right.word(), &shown[0], AuditOutcome::Allowed);
        let others =
            if shown.len() > 1 { format!("also {}; ", shown[1..].join(", ")) } else { String::new() };
        (entry.by, entry.text) = (by, others + &text);
        match self.authority.note(entry).await {
            // A full disk must not keep the owner from setting things right.
            Err(error) if self.who.is_owner() => {
                tracing::error!(%error, %right, "what the owner does is not in the audit");
                Ok(())
            }
            noted => noted,
        }
    }

    /// Resolves when somebody has no longer the right that a stream rests on.
    fn revoked(&self, right: Right, on: Resource) -> impl Future<Output = ()> + Send + 'static {
        let (authority, who, mut changes) =
            (self.authority.clone(), self.who.clone(), self.authority.changes());
        async move {
            if who.is_owner() {
                std::future::pending::<()>().await;
            }
            while authority.decide(&who, right, &on).allowed {
                if let Ok(Err(_)) = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await {
                    return;
                }
            }
        }
    }

    fn sees(&self, right: Right, on: &Resource) -> bool {
        self.who.is_owner() || self.authority.decide(&self.who, right, on).allowed
    }

    /// What somebody may see of a list. A stack that was asked for, and of which nothing may be seen, is refused.
    async fn visible<T>(
        &self,
        right: Right,
        asked: Option<StackName>,
        all: Vec<T>,
        about: impl Fn(&T) -> Resource + Send,
    ) -> Result<Vec<T>, Refused> {
        let whole = asked.map_or(Resource::All, Resource::Stack);
        if self.sees(right, &whole) {
            return Ok(all);
        }
        let mut seen: BTreeMap<Resource, bool> = BTreeMap::new();
        let mut kept: Vec<T> = vec![];
        for one in all {
            let on = about(&one);
            let known = seen.get(&on).copied();
            let sees = match known {
                Some(sees) => sees,
                None => self.decided(right, &on).await.allowed,
            };
            seen.insert(on, sees);
            kept.extend(sees.then_some(one));
        }
        if kept.is_empty() && whole != Resource::All {
            self.may(right, &whole).await?;
        }
        Ok(kept)
    }

    /// Which stack a change is about, in words and in what it holds.
    async fn orders(&self, demand: &Demand) -> Result<(), Refused> {
        let (right, mut on) = taken_by(&demand.stack, &demand.change);
        let said = Resource::Stack(demand.stack.clone());
        if let Change::Deploy { stack, .. } | Change::Import { stack, .. } = &demand.change
            && stack.name != demand.stack
        {
            on.push(Resource::Stack(stack.name.clone()));
            on.push(said);
        }
        let mut text = demand.message.clone().unwrap_or_default();
        if let Change::OneOff { with, .. } = &demand.change {
            text = format!("a one-off: {}", with.command.as_deref().unwrap_or_default().join(" "));
        }
        if demand.ending == Ending::Cut {
            self.does(Right::Cut, &on, format!("with {right}")).await?;
            text = format!("with cut; {text}");
        }
        self.does(right, &on, text).await
    }
}

/// An entry of the audit.
pub(super) fn entry(who: &Who, action: &str, on: &str, outcome: AuditOutcome) -> AuditEntry {
    AuditEntry {
        // The authority has the clock.
        time: Default::default(),
        who: who.name.clone(),
        from: who.from.clone(),
        action: action.into(),
        on: on.into(),
        outcome,
        by: None,
        text: String::new(),
    }
}

/// Writes a refusal down, and gives it.
pub(super) async fn refused(
    authority: &dyn Authority,
    who: &Who,
    right: Right,
    on: &str,
    verdict: Verdict,
) -> Refused {
    let mut entry = entry(who, right.word(), on, AuditOutcome::Refused);
    (entry.by, entry.text) = (verdict.by, verdict.why.clone());
    if let Err(error) = authority.note(entry).await {
        tracing::error!(%error, who = who.name, "a refusal is not in the audit");
    }
    let asking = on.parse().ok().and_then(|on| how_to_ask(right, &on));
    let hint = match asking {
        Some(command) => {
            format!("`{command}` asks for it; `naru can {} {right} {on}` tells more", who.name)
        }
        None => format!("`naru can {} {right} {on}` tells more; whoever manages people grants it", who.name),
    };
    Refused::new(Ground::Forbidden, format!("{} may not {right}: {}", who.name, verdict.why), hint)
}

fn of_service(stack: &StackName, service: &ServiceName) -> Resource {
    Resource::Service(stack.clone(), service.clone())
}

/// Rules and policies of routes hold names and hashes of passwords: they go with what a release holds.
fn without_rules(
    table: &mut RouteTable,
    shown: impl Fn(&StackName) -> bool,
    whole: impl Fn(&StackName) -> bool,
) {
    table.listeners.retain(|listener| shown(&listener.stack));
    for listener in table.listeners.iter_mut().filter(|listener| !whole(&listener.stack)) {
        listener.rules = vec![];
        listener.policy = Default::default();
        listener.entrance = Default::default();
    }
}

impl Guard {
    fn seen_routes(&self, mut table: RouteTable) -> RouteTable {
        if !self.who.is_owner() {
            let on = |stack: &StackName| Resource::Stack(stack.clone());
            without_rules(
                &mut table,
                |stack| self.sees(Right::Read, &on(stack)),
                |stack| self.sees(Right::ReadReleases, &on(stack)),
            );
        }
        table
    }
}

impl Core for Guard {
    fn status(&self) -> Answer<'_, Status> {
        self.core.status()
    }

    fn ready(&self) -> Answer<'_, Status> {
        self.core.ready()
    }

    fn stacks(&self) -> Answer<'_, Vec<StackView>> {
        Box::pin(async {
            let all = self.core.stacks().await?;
            self.visible(Right::Read, None, all, |one| Resource::Stack(one.name.clone())).await
        })
    }

    fn instances(&self, stack: Option<StackName>) -> Answer<'_, Vec<InstanceView>> {
        Box::pin(async {
            let all = self.core.instances(stack.clone()).await?;
            self.visible(Right::Read, stack, all, |one| of_service(&one.stack, &one.service)).await
        })
    }

    fn operations(&self, stack: Option<StackName>, limit: usize) -> Answer<'_, Vec<Operation>> {
        Box::pin(async move {
            let all = self.core.operations(stack.clone(), limit).await?;
            self.visible(Right::Read, stack, all, |one| Resource::Stack(one.stack.clone())).await
        })
    }

    fn operation(&self, id: OperationId) -> Answer<'_, Operation> {
        Box::pin(async move {
            let found = self.core.operation(id).await?;
            self.may(Right::Read, &Resource::Stack(found.stack.clone())).await?;
            Ok(found)
        })
    }

    fn releases(&self, stack: Option<StackName>) -> Answer<'_, Vec<Release>> {
        Box::pin(async {
            let all = self.core.releases(stack.clone()).await?;
            let about = |one: &Release| Resource::Stack(one.stack.name.clone());
            self.visible(Right::ReadReleases, stack, all, about).await
        })
    }

    fn work(&self, stack: Option<StackName>) -> Answer<'_, Vec<WorkView>> {
        Box::pin(async {
            let all = self.core.work(stack.clone()).await?;
            self.visible(Right::Read, stack, all, |one| Resource::Instance(one.instance.clone())).await
        })
    }

    fn jobs(&self, stack: Option<StackName>) -> Answer<'_, Vec<JobView>> {
        Box::pin(async {
            let all = self.core.jobs(stack.clone()).await?;
            self.visible(Right::Read, stack, all, |one| Resource::Stack(one.stack.clone())).await
        })
    }

    fn runs(&self, stack: Option<StackName>, job: Option<ServiceName>) -> Answer<'_, Vec<RunRecord>> {
        Box::pin(async {
            let all = self.core.runs(stack.clone(), job).await?;
            self.visible(Right::Read, stack, all, |one| of_service(&one.stack, &one.job)).await
        })
    }

    fn routes(&self) -> Answer<'_, RouteTable> {
        Box::pin(async { Ok(self.seen_routes(self.core.routes().await?)) })
    }

    fn plan(&self, request: PlanRequest) -> Answer<'_, Plan> {
        Box::pin(async {
            self.may(Right::Plan, &Resource::Stack(request.stack.name.clone())).await?;
            self.core.plan(request).await
        })
    }

    fn keep_content(&self, content: Bytes) -> Answer<'_, ContentId> {
        // Which stack it is for is not said yet. It is of no use without the right to deploy one that names it.
        self.core.keep_content(content)
    }

    fn demand(&self, demand: Demand) -> Answer<'_, Admitted> {
        Box::pin(async {
            self.orders(&demand).await?;
            self.core.demand(demand).await
        })
    }

    fn shutdown(&self, order: ShutdownOrder, actor: String) -> Answer<'_, ()> {
        Box::pin(async move {
            if order.ending == Ending::Cut {
                self.does(Right::Cut, &[Resource::All], "with shutdown".into()).await?;
            }
            self.does(Right::Shutdown, &[Resource::All], String::new()).await?;
            self.core.shutdown(order, actor).await
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.core.changes()
    }

    fn snapshot(
        &self,
        stack: Option<StackName>,
        known: Vec<OperationId>,
        after: Option<OperationId>,
    ) -> Answer<'_, Snapshot> {
        Box::pin(async move {
            self.may(Right::Read, &stack.clone().map_or(Resource::All, Resource::Stack)).await?;
            let seen = self.core.snapshot(stack, known, after).await?;
            Ok(Snapshot { routes: self.seen_routes(seen.routes), ..seen })
        })
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, LogStream> {
        Box::pin(async {
            let stack = query.stack.clone();
            let on = match (&query.instance, stack, &query.service) {
                (Some(instance), ..) => Resource::Instance(instance.clone()),
                (None, Some(stack), Some(service)) => of_service(&stack, service),
                (None, Some(stack), None) => Resource::Stack(stack),
                (None, None, _) => Resource::All,
            };
            self.may(Right::ReadLogs, &on).await?;
            let lines = self.core.logs(query).await?;
            Ok(Box::pin(lines.take_until(Box::pin(self.revoked(Right::ReadLogs, on)))) as LogStream)
        })
    }

    fn events(&self, query: EventQuery) -> Answer<'_, EventStream> {
        Box::pin(async {
            let on = query.stack.clone().map_or(Resource::All, Resource::Stack);
            self.may(Right::Read, &on).await?;
            let events = self.core.events(query).await?;
            Ok(Box::pin(events.take_until(Box::pin(self.revoked(Right::Read, on)))) as EventStream)
        })
    }

    fn reach(&self, order: ReachOrder, actor: String) -> Answer<'_, Box<dyn Duplex>> {
        Box::pin(async move {
            let instance = |id: &naru_model::InstanceId| Resource::Instance(id.clone());
            let (right, on) = match &order {
                ReachOrder::Exec(of) => {
                    let right = if of.privileged { Right::ExecPrivileged } else { Right::Exec };
                    let on = instance(&of.instance);
                    self.does(right, std::slice::from_ref(&on), of.command.join(" ")).await?;
                    (right, on)
                }
                ReachOrder::Run(of) => {
                    let on = instance(&of.instance);
                    self.does(Right::Exec, std::slice::from_ref(&on), "the streams of a one-off".into())
                        .await?;
                    (Right::Exec, on)
                }
                ReachOrder::CopyOut(of) | ReachOrder::CopyIn(of) => {
                    let way = if matches!(order, ReachOrder::CopyOut(_)) { "from" } else { "to" };
                    let on = instance(&of.instance);
                    self.does(Right::Copy, std::slice::from_ref(&on), format!("{way} {}", of.path)).await?;
                    (Right::Copy, on)
                }
                ReachOrder::Usage(stack) => {
                    let on = stack.clone().map_or(Resource::All, Resource::Stack);
                    self.may(Right::Read, &on).await?;
                    (Right::Read, on)
                }
            };
            let far = self.core.reach(order, actor).await?;
            Ok(Box::new(Until::new(far, self.revoked(right, on))) as Box<dyn Duplex>)
        })
    }

    fn images(&self, order: ImageOrder) -> Answer<'_, ImageStream> {
        Box::pin(async {
            let on = Resource::Stack(order.stack.name.clone());
            self.does(Right::Images, std::slice::from_ref(&on), format!("{:?}", order.act)).await?;
            let events = self.core.images(order).await?;
            Ok(Box::pin(events.take_until(Box::pin(self.revoked(Right::Images, on)))) as ImageStream)
        })
    }

    fn prune(&self, order: PruneOrder) -> Answer<'_, Vec<ImageFate>> {
        Box::pin(async move {
            match order.act {
                PruneAct::Show => self.may(Right::Prune, &Resource::All).await?,
                PruneAct::Remove => self.does(Right::Prune, &[Resource::All], String::new()).await?,
            }
            self.core.prune(order).await
        })
    }

    // Names of assets are tags, which whoever may change them in the cloud gives: no right is about one by its name.
    fn assets(&self, how: ShowAssets) -> Answer<'_, AssetsView> {
        Box::pin(async move {
            self.may(Right::Read, &Resource::All).await?;
            self.core.assets(how).await
        })
    }

    fn want_asset(&self, order: AssetOrder, actor: String) -> Answer<'_, AssetView> {
        Box::pin(async move {
            let right = if order.wanted == Wanted::On { Right::Wake } else { Right::Sleep };
            self.does(right, &[Resource::All], format!("asset {}", order.asset)).await?;
            self.core.want_asset(order, actor).await
        })
    }

    // A row of a cloud's machine is seen by whoever sees all: see `assets`.
    fn cost(&self, month: Option<String>) -> Answer<'_, CostView> {
        Box::pin(async {
            let view = self.core.cost(month).await?;
            let about = |what: &str| match what.parse() {
                Ok(Resource::Asset(_)) | Err(_) => Resource::All,
                Ok(resource) => resource,
            };
            let rows = self.visible(Right::Read, None, view.rows, |row| about(&row.what)).await?;
            let proposals = self.visible(Right::Read, None, view.proposals, |one| about(&one.what)).await?;
            Ok(CostView { rows, proposals, ..view })
        })
    }

    fn desired(&self, node: NodeId) -> Answer<'_, watch::Receiver<Arc<Desired>>> {
        Box::pin(async {
            self.may(Right::Report, &Resource::Node(node.clone())).await?;
            self.core.desired(node).await
        })
    }

    fn node_routes(&self, node: NodeId) -> Answer<'_, watch::Receiver<Arc<RouteTable>>> {
        Box::pin(async {
            self.may(Right::Report, &Resource::Node(node.clone())).await?;
            self.core.node_routes(node).await
        })
    }

    fn agent_report(&self, report: AgentReport) -> Answer<'_, Taken> {
        Box::pin(async {
            self.may(Right::Report, &Resource::Node(report.node.clone())).await?;
            self.core.agent_report(report).await
        })
    }

    fn edge_report(&self, report: EdgeReport) -> Answer<'_, Taken> {
        Box::pin(async {
            self.may(Right::Report, &Resource::Node(report.node.clone())).await?;
            self.core.edge_report(report).await
        })
    }
}
