//! The API's questions and orders, each passed to the desk.

use super::desk::{Handle, Message};
use super::images::Shelf;
use crate::{door, keeper};
use hyper::body::Bytes;
use naru_api::{
    Answer, Core, Duplex, EventQuery, EventStream, Ground, ImageOrder, ImageStream, LogQuery, LogStream,
    PlanRequest, PruneAct, PruneOrder, ReachOrder, Refused, ShowAssets, ShutdownOrder, Snapshot, Status,
    Taken,
};
use naru_chronicle::{Chronicle, events, logs};
use naru_cost::{Around, CostView};
use naru_decide::{Sweep, World, garbage, plan, view};
use naru_home::Home;
use naru_home::contents::{self, Contents};
use naru_model::{
    Admitted, AgentReport, AssetOrder, AssetView, AssetsView, Change, ContentId, Demand, Desired, EdgeReport,
    Ending, ImageFate, InstanceView, JobView, NodeId, Operation, OperationId, Plan, Release, RouteTable,
    RunRecord, ServiceName, Span, StackName, StackView, Time, WorkView,
};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How long `ready` waits before it says who is missing.
const READY_WITHIN: Duration = Duration::from_secs(25);

/// The server, for the API.
pub struct Api {
    desk: Handle,
    home: Home,
    contents: Contents,
    pub(super) chronicle: Chronicle,
    /// The agent's.
    pub(super) door: PathBuf,
    shelf: Shelf,
    assets: naru_cloud::Handle,
    began: Instant,
}

impl Api {
    /// Asks this desk.
    pub fn new(desk: Handle, assets: naru_cloud::Handle, home: Home, chronicle: Chronicle) -> Api {
        let (contents, door) = (Contents::of(&home), home.beside(door::SOCKET));
        let shelf = Shelf::of(&home);
        Api { desk, contents, chronicle, door, shelf, assets, home, began: Instant::now() }
    }

    /// Grows with each change of the world.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.desk.books.changes()
    }

    /// What `look` finds in the world.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&World, Time) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        self.ask(|answer| {
            Message::Read(Box::new(move |world, now| {
                // Whoever asked may have gone.
                let _ = answer.send(look(world, now));
            }))
        })
        .await
    }

    /// What there is to meter; `None`: the server does not answer.
    pub(super) async fn look(&self, node: NodeId) -> Option<naru_cost::Look> {
        let mut look = self.read(move |world, now| naru_metering::of_world(world, &node, now)).await.ok()?;
        let assets = self.assets.show(ShowAssets::Known).await.ok()?;
        naru_metering::of_assets(&assets, &mut look);
        Some(look)
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Refused> {
        let (sender, answer) = oneshot::channel();
        self.desk.messages.send(message(sender)).await.map_err(|_| no_answer())?;
        answer.await.map_err(|_| no_answer())
    }

    async fn present(&self) -> Result<Status, Refused> {
        let (uptime, fault) = (self.began.elapsed(), self.desk.books.present_fault());
        self.read(move |world, now| Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime: Span(uptime.as_millis() as u64),
            stacks: view::stacks(world, now).len() as u64,
            instances: world.instances.len() as u64,
            agents: world.agents.len() as u64,
            edges: world.reports.len() as u64,
            fault,
        })
        .await
    }

    async fn order(&self, demand: Demand) -> Result<Admitted, Refused> {
        self.ask(|answer| Message::Demand(Box::new(demand), answer)).await?
    }

    /// What a deploy names was handed over before.
    fn check_contents(&self, demand: &Demand) -> Result<(), Refused> {
        let (Change::Deploy { stack, .. } | Change::Import { stack, .. }) = &demand.change else {
            return Ok(());
        };
        let missing = self.contents.missing(stack);
        if missing.is_empty() {
            return Ok(());
        }
        let error = format!("what is in a secret or config was not handed over: {}", missing.join(", "));
        Err(Refused::new(Ground::Invalid, error, "`naru up` hands it over; or POST it to /v1/contents first"))
    }

    /// Forgets contents that no release names any more. What cannot be removed now is removed another time.
    async fn sweep(&self) {
        let named = |world: &World, _| {
            world.releases.values().flat_map(|release| contents::named(&release.stack)).collect()
        };
        let Ok(named) = self.read(named).await else { return };
        let contents = self.contents.clone();
        let swept = tokio::task::spawn_blocking(move || contents.sweep(&named)).await;
        if let Err(error) = swept.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "contents of old secrets and configs are not removed");
        }
    }

    /// Removes, beside everything else, images that no release needs any more.
    fn sweep_images(&self) {
        if !self.shelf.is_due() {
            return;
        }
        let (shelf, messages) = (self.shelf.clone(), self.desk.messages.clone());
        tokio::spawn(async move {
            let Ok(stock) = shelf.stock().await else { return };
            let (sender, answer) = oneshot::channel();
            let judge = move |world: &World, now: Time| {
                // The server ends: then another life of it does this.
                let _ = sender.send(garbage(world, stock, Sweep::Quiet, now));
            };
            if messages.send(Message::Read(Box::new(judge))).await.is_ok()
                && let Ok(mut fates) = answer.await
            {
                shelf.remove(&mut fates).await;
            }
        });
    }

    /// Takes every stack down, work and all, and waits until no instance is left.
    async fn cut_all(&self, actor: &str) -> Result<(), Refused> {
        let mut changes = self.desk.books.changes();
        for stack in self.read(view::stacks).await? {
            let (change, ending, actor) = (Change::Down, Ending::Cut, actor.to_string());
            let message = Some("shutdown".to_string());
            self.order(Demand { stack: stack.name, change, ending, actor, message }).await?;
        }
        while self.read(|world, _| !world.instances.is_empty()).await? {
            changes.changed().await.map_err(|_| no_answer())?;
        }
        Ok(())
    }

    fn own(&self, node: &NodeId) -> Result<(), Refused> {
        let known = self.home.node();
        if known.as_ref().is_ok_and(|own| own == node) {
            return Ok(());
        }
        let hint = "this server has one node, its own";
        Err(Refused::new(Ground::NotFound, format!("there is no node {node}"), hint))
    }
}

impl Core for Api {
    fn status(&self) -> Answer<'_, Status> {
        Box::pin(self.present())
    }

    fn ready(&self) -> Answer<'_, Status> {
        Box::pin(async {
            let mut changes = self.desk.books.changes();
            let heard = async {
                loop {
                    let status = self.present().await?;
                    if status.agents > 0 && status.edges > 0 {
                        return Ok(status);
                    }
                    changes.changed().await.map_err(|_| no_answer())?;
                }
            };
            let heard = tokio::time::timeout(READY_WITHIN, heard).await;
            heard.unwrap_or_else(|_| {
                let error = "the agent or the edge of this node has not reported";
                Err(Refused::new(
                    Ground::Unavailable,
                    error,
                    "their logs are in the folder `log` of NARU_HOME",
                ))
            })
        })
    }

    fn stacks(&self) -> Answer<'_, Vec<StackView>> {
        Box::pin(self.read(view::stacks))
    }

    fn instances(&self, stack: Option<StackName>) -> Answer<'_, Vec<InstanceView>> {
        Box::pin(self.read(move |world, now| view::instances(world, stack.as_ref(), now)))
    }

    fn operations(&self, stack: Option<StackName>, limit: usize) -> Answer<'_, Vec<Operation>> {
        Box::pin(self.read(move |world, _| {
            let newest = world.operations.values().rev();
            newest.filter(|one| is_of(&stack, &one.stack)).take(limit).cloned().collect()
        }))
    }

    fn operation(&self, id: OperationId) -> Answer<'_, Operation> {
        Box::pin(async move {
            let found = self.read(move |world, _| world.operations.get(&id).cloned()).await?;
            let error = format!("there is no operation {id}");
            found.ok_or_else(|| {
                Refused::new(Ground::NotFound, error, "`naru history` lists those that are kept")
            })
        })
    }

    fn releases(&self, stack: Option<StackName>) -> Answer<'_, Vec<Release>> {
        Box::pin(self.read(move |world, _| {
            let newest = world.releases.iter().rev();
            newest.filter(|((of, _), _)| is_of(&stack, of)).map(|(_, release)| release.clone()).collect()
        }))
    }

    fn work(&self, stack: Option<StackName>) -> Answer<'_, Vec<WorkView>> {
        Box::pin(self.read(move |world, now| view::work(world, stack.as_ref(), now)))
    }

    fn jobs(&self, stack: Option<StackName>) -> Answer<'_, Vec<JobView>> {
        Box::pin(self.read(move |world, now| view::jobs(world, stack.as_ref(), now)))
    }

    fn runs(&self, stack: Option<StackName>, job: Option<ServiceName>) -> Answer<'_, Vec<RunRecord>> {
        Box::pin(self.read(move |world, _| view::runs(world, stack.as_ref(), job.as_ref())))
    }

    fn routes(&self) -> Answer<'_, RouteTable> {
        Box::pin(self.read(|world, _| world.routes.clone()))
    }

    fn plan(&self, request: PlanRequest) -> Answer<'_, Plan> {
        Box::pin(async move {
            let planned = self
                .read(move |world, _| plan(world, &request.stack, &request.only, &request.images))
                .await?;
            planned.map_err(|refusal| Refused { ground: Ground::Conflict, refusal })
        })
    }

    fn keep_content(&self, content: Bytes) -> Answer<'_, ContentId> {
        Box::pin(async move {
            let (contents, home) = (self.contents.clone(), self.home.clone());
            let kept = tokio::task::spawn_blocking(move || contents.keep(&home, &content)).await;
            kept.map_err(io::Error::other).flatten().map_err(|error| {
                let hint = "see to the disk of NARU_HOME";
                Refused::new(Ground::Unavailable, format!("a secret or config cannot be kept: {error}"), hint)
            })
        })
    }

    fn demand(&self, demand: Demand) -> Answer<'_, Admitted> {
        Box::pin(async move {
            self.check_contents(&demand)?;
            let one_off = matches!(demand.change, Change::OneOff { .. }).then(|| demand.clone());
            let admitted = self.order(demand).await?;
            if let (Some(demand), Some(run)) = (&one_off, admitted.run) {
                self.tell_run(demand, run);
            }
            self.sweep().await;
            self.sweep_images();
            Ok(admitted)
        })
    }

    fn shutdown(&self, order: ShutdownOrder, actor: String) -> Answer<'_, ()> {
        Box::pin(async move {
            if order.ending == Ending::Cut {
                self.cut_all(&actor).await?;
            }
            self.ask(Message::Close).await??;
            tracing::info!(%actor, "the background processes are told to end");
            keeper::end(&self.home).map_err(|error| {
                let error = format!("the background processes could not be told to end: {error}");
                Refused::new(Ground::Unavailable, error, "end `naru serve` by SIGTERM")
            })
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.desk.books.changes()
    }

    fn snapshot(
        &self,
        stack: Option<StackName>,
        known: Vec<OperationId>,
        after: Option<OperationId>,
    ) -> Answer<'_, Snapshot> {
        Box::pin(self.read(move |world, now| {
            let mine = || world.operations.values().filter(|one| is_of(&stack, &one.stack));
            let newest = mine().next_back().map(|one| one.id);
            let is_due = |one: &&Operation| {
                one.ended.is_none()
                    || known.contains(&one.id)
                    || after.map_or(Some(one.id) == newest, |after| one.id > after)
            };
            let mut routes = world.routes.clone();
            routes.listeners.retain(|listener| is_of(&stack, &listener.stack));
            Snapshot {
                operations: mine().filter(is_due).cloned().collect(),
                instances: view::instances(world, stack.as_ref(), now),
                routes,
            }
        }))
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, LogStream> {
        let (dir, changes) = (crate::role::agent::instances(&self.home), self.desk.books.changes());
        Box::pin(async move { logs::open(dir, query, changes) })
    }

    fn events(&self, query: EventQuery) -> Answer<'_, EventStream> {
        let dir = self.home.dir().to_owned();
        Box::pin(async move { events::open(dir, query) })
    }

    fn reach(&self, order: ReachOrder, actor: String) -> Answer<'_, Box<dyn Duplex>> {
        Box::pin(self.connect(order, actor))
    }

    fn images(&self, order: ImageOrder) -> Answer<'_, ImageStream> {
        Box::pin(async move { self.shelf.open(order) })
    }

    fn prune(&self, order: PruneOrder) -> Answer<'_, Vec<ImageFate>> {
        Box::pin(async move {
            let stock = self.shelf.stock().await?;
            let mut fates = self.read(|world, now| garbage(world, stock, Sweep::Ordered, now)).await?;
            if order.act == PruneAct::Remove {
                self.shelf.remove(&mut fates).await;
            }
            Ok(fates)
        })
    }

    fn assets(&self, how: ShowAssets) -> Answer<'_, AssetsView> {
        Box::pin(self.assets.show(how))
    }

    fn want_asset(&self, order: AssetOrder, actor: String) -> Answer<'_, AssetView> {
        Box::pin(self.assets.order(order, actor))
    }

    fn cost(&self, month: Option<String>) -> Answer<'_, CostView> {
        Box::pin(async move {
            let assets = self.assets.show(ShowAssets::Known).await?;
            let (zones, now) = self.read(|world, now| (naru_metering::zones(world), now)).await?;
            let around = Around { names: naru_metering::names(&assets), zones };
            naru_metering::answer(self.home.clone(), month, around, now).await
        })
    }

    fn desired(&self, node: NodeId) -> Answer<'_, watch::Receiver<Arc<Desired>>> {
        Box::pin(async move { self.own(&node).map(|()| self.desk.books.desired()) })
    }

    fn node_routes(&self, node: NodeId) -> Answer<'_, watch::Receiver<Arc<RouteTable>>> {
        Box::pin(async move { self.own(&node).map(|()| self.desk.books.routes()) })
    }

    fn agent_report(&self, report: AgentReport) -> Answer<'_, Taken> {
        Box::pin(async move {
            self.own(&report.node)?;
            self.ask(|answer| Message::Agent(report, answer)).await
        })
    }

    fn edge_report(&self, report: EdgeReport) -> Answer<'_, Taken> {
        Box::pin(async move {
            self.own(&report.node)?;
            self.ask(|answer| Message::Edge(report, answer)).await
        })
    }
}

fn is_of(wanted: &Option<StackName>, stack: &StackName) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == stack)
}

/// The desk is gone, or had to leave the question because its store is at fault.
fn no_answer() -> Refused {
    Refused::new(Ground::Unavailable, "the server cannot answer at present", "try again in a moment")
}
