//! A core that remembers what it was given and answers with that.

mod authority;

pub use authority::Ruler;

use futures_util::{FutureExt, StreamExt};
use naru_api::{
    Answer, Core, Door, Duplex, Event, EventKind, EventQuery, EventStream, Ground, ImageEvent, ImageOrder,
    ImageStream, LogLine, LogQuery, LogSource, LogStream, PlanRequest, PruneOrder, ReachOrder, Refused,
    ShowAssets, ShutdownOrder, Snapshot, Status, Taken,
};
use naru_cost::{CostView, Row};
use naru_model::{
    Admitted, AgentReport, AssetOrder, AssetView, AssetsView, ContentId, Demand, Desired, EdgeReport, Ending,
    FateReason, Generation, ImageFate, InstanceView, JobView, NodeId, Operation, OperationId, Plan, Release,
    RouteTable, RunRecord, ServiceName, Span, StackName, StackView, StockImage, Time, UsedImage, WorkView,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What it remembers.
pub struct Recall {
    operations: Mutex<BTreeMap<OperationId, Operation>>,
    demands: Mutex<Vec<Demand>>,
    routes: watch::Sender<Arc<RouteTable>>,
    desired: watch::Sender<Arc<Desired>>,
    changes: watch::Sender<u64>,
}

/// A served core.
#[derive(Clone)]
pub struct Served {
    pub core: Arc<Recall>,
    pub ruler: Arc<Ruler>,
    socket: PathBuf,
    _dir: Arc<tempfile::TempDir>,
    task: Arc<tokio::task::JoinHandle<()>>,
}

impl Served {
    pub async fn start() -> Served {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Served::at(dir.path().join("api.sock"), dir)
    }

    fn at(socket: PathBuf, dir: Arc<tempfile::TempDir>) -> Served {
        let listener = UnixListener::bind(&socket).unwrap();
        let core = Arc::new(Recall::new());
        let ruler = Arc::new(Ruler::new());
        let door = Door::Socket(listener);
        let task = tokio::spawn(naru_api::serve(door, core.clone(), ruler.clone(), std::future::pending()));
        Served { core, ruler, socket, _dir: dir, task: Arc::new(task) }
    }

    /// Serves the same on the network, too: its address, and its certificate.
    pub async fn on_network(&self) -> (std::net::SocketAddr, Vec<u8>) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door::Network(listener, TlsAcceptor::from(Arc::new(config)), None);
        tokio::spawn(naru_api::serve(door, self.core.clone(), self.ruler.clone(), std::future::pending()));
        (address, made.cert.der().to_vec())
    }

    /// Ends this one as a kill does: its socket's file is left.
    pub async fn kill(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Kills this one, and starts another at the same socket.
    pub async fn restart(self) -> Served {
        self.kill().await;
        std::fs::remove_file(&self.socket).unwrap();
        Served::at(self.socket.clone(), self._dir.clone())
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// How many connections the kernel holds at the server's end of the socket.
    pub fn connections(&self) -> usize {
        let table = std::fs::read_to_string("/proc/net/unix").unwrap();
        let path = self.socket.to_str().unwrap();
        // The sixth column is the state: 03 is connected, 01 is listening.
        table.lines().filter(|line| line.ends_with(path) && line.split(' ').nth(5) == Some("03")).count()
    }
}

impl Recall {
    fn new() -> Recall {
        Recall {
            operations: Mutex::default(),
            demands: Mutex::default(),
            routes: watch::Sender::new(Arc::default()),
            desired: watch::Sender::new(Arc::new(desired(1))),
            changes: watch::Sender::new(0),
        }
    }

    pub fn put_operation(&self, operation: Operation) {
        self.operations.lock().unwrap().insert(operation.id, operation);
        self.changes.send_modify(|n| *n += 1);
    }

    pub fn put_routes(&self, table: RouteTable) {
        self.routes.send_replace(Arc::new(table));
        self.changes.send_modify(|n| *n += 1);
    }

    pub fn put_desired(&self, desired: Desired) {
        self.desired.send_replace(Arc::new(desired));
    }

    pub fn demands(&self) -> Vec<Demand> {
        self.demands.lock().unwrap().clone()
    }

    fn of(&self, stack: Option<StackName>) -> Vec<Operation> {
        let all = self.operations.lock().unwrap();
        all.values().filter(|one| stack.as_ref().is_none_or(|stack| one.stack == *stack)).cloned().collect()
    }
}

fn here(node: &NodeId) -> Result<(), Refused> {
    let known = *node == NodeId::from("here");
    known.then_some(()).ok_or_else(|| Refused::new(Ground::NotFound, "no such node", "name another"))
}

pub fn now<T: Send + 'static>(answer: Result<T, Refused>) -> Answer<'static, T> {
    std::future::ready(answer).boxed()
}

impl Core for Recall {
    fn status(&self) -> Answer<'_, Status> {
        let (version, uptime) = ("test".into(), Span(1));
        now(Ok(Status { version, pid: 1, uptime, stacks: 0, instances: 0, agents: 0, edges: 0, fault: None }))
    }

    fn ready(&self) -> Answer<'_, Status> {
        self.status()
    }

    fn stacks(&self) -> Answer<'_, Vec<StackView>> {
        now(Ok(vec![]))
    }

    fn instances(&self, _: Option<StackName>) -> Answer<'_, Vec<InstanceView>> {
        now(Ok(vec![]))
    }

    fn operations(&self, stack: Option<StackName>, limit: usize) -> Answer<'_, Vec<Operation>> {
        now(Ok(self.of(stack).into_iter().rev().take(limit).collect()))
    }

    fn operation(&self, id: OperationId) -> Answer<'_, Operation> {
        let found = self.operations.lock().unwrap().get(&id).cloned();
        now(found.ok_or_else(|| Refused::new(Ground::NotFound, "there is no such operation", "list them")))
    }

    fn releases(&self, _: Option<StackName>) -> Answer<'_, Vec<Release>> {
        now(Ok(vec![]))
    }

    fn work(&self, _: Option<StackName>) -> Answer<'_, Vec<WorkView>> {
        now(Ok(vec![]))
    }

    fn jobs(&self, _: Option<StackName>) -> Answer<'_, Vec<JobView>> {
        now(Ok(vec![]))
    }

    fn runs(&self, _: Option<StackName>, _: Option<ServiceName>) -> Answer<'_, Vec<RunRecord>> {
        now(Ok(vec![]))
    }

    fn routes(&self) -> Answer<'_, RouteTable> {
        now(Ok((**self.routes.borrow()).clone()))
    }

    fn plan(&self, request: PlanRequest) -> Answer<'_, Plan> {
        now(Ok(Plan {
            stack: request.stack.name,
            release: Default::default(),
            services: vec![],
            routes: vec![],
            jobs: vec![],
            notes: vec![],
        }))
    }

    fn keep_content(&self, content: axum::body::Bytes) -> Answer<'_, ContentId> {
        now(Ok(ContentId::of(&content)))
    }

    fn demand(&self, demand: Demand) -> Answer<'_, Admitted> {
        if demand.stack == "forbidden".into() {
            return now(Err(Refused::new(Ground::Conflict, "not this one", "name it otherwise")));
        }
        self.demands.lock().unwrap().push(demand);
        now(Ok(Admitted { operation: Some(OperationId(1)), notes: vec![], run: None }))
    }

    fn shutdown(&self, order: ShutdownOrder, _: String) -> Answer<'_, ()> {
        now(match order.ending {
            Ending::Cut => Ok(()),
            Ending::Finish => Err(Refused::new(Ground::Conflict, "instances run", "stop them")),
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn snapshot(
        &self,
        stack: Option<StackName>,
        known: Vec<OperationId>,
        after: Option<OperationId>,
    ) -> Answer<'_, Snapshot> {
        let mut operations = self.of(stack);
        let newest = operations.last().map(|one| one.id);
        operations.retain(|one| {
            one.ended.is_none()
                || known.contains(&one.id)
                || after.map_or(Some(one.id) == newest, |after| one.id > after)
        });
        let routes = (**self.routes.borrow()).clone();
        now(Ok(Snapshot { operations, instances: vec![], routes }))
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, LogStream> {
        let lines = (0..query.tail.unwrap_or(0)).map(|n| LogLine {
            instance: "shop.web.1.1".into(),
            service: "web".into(),
            time: Time(n),
            stream: LogSource::Stdout,
            line: format!("line {n}\twith \"quotes\""),
        });
        let lines: Vec<_> = lines.collect();
        let lines = futures_util::stream::iter(lines);
        if query.follow {
            return now(Ok(Box::pin(lines.chain(futures_util::stream::pending())) as LogStream));
        }
        now(Ok(Box::pin(lines) as LogStream))
    }

    fn events(&self, query: EventQuery) -> Answer<'_, EventStream> {
        let event = |time| Event {
            time: Time(time),
            kind: EventKind::Exec,
            stack: "shop".into(),
            service: None,
            instance: None,
            operation: None,
            actor: Some("somebody".into()),
            text: "two\nlines".into(),
        };
        let since = query.since.unwrap_or_default();
        let events: Vec<_> = [1, 2, 3].map(event).into_iter().filter(|one| one.time.0 >= since).collect();
        now(Ok(Box::pin(futures_util::stream::iter(events)) as EventStream))
    }

    fn reach(&self, order: ReachOrder, actor: String) -> Answer<'_, Box<dyn Duplex>> {
        let ReachOrder::Exec(order) = order else {
            return now(Err(Refused::new(Ground::Conflict, "nothing runs", "start it")));
        };
        if order.instance == "shop.web.1.1".into() {
            let (near, far) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(far);
                write.write_all(actor.as_bytes()).await.unwrap();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.shutdown().await.unwrap();
            });
            return now(Ok(Box::new(near) as Box<dyn Duplex>));
        }
        now(Err(Refused::new(Ground::NotFound, "no such instance", "list them")))
    }

    fn images(&self, order: ImageOrder) -> Answer<'_, ImageStream> {
        let is = UsedImage { id: "sha256:1".into(), digest: None };
        let note = ImageEvent::Note { text: format!("{:?}", order.act) };
        let images = [(order.stack.name.to_string(), is)].into();
        let events = [note, ImageEvent::Settled { images }];
        now(Ok(Box::pin(futures_util::stream::iter(events)) as ImageStream))
    }

    fn prune(&self, _: PruneOrder) -> Answer<'_, Vec<ImageFate>> {
        now(Ok(vec![ImageFate { image: StockImage::default(), why: FateReason::Unneeded, refused: None }]))
    }

    fn assets(&self, how: ShowAssets) -> Answer<'_, AssetsView> {
        now(Ok(AssetsView { fault: Some(format!("{how:?}")), ..AssetsView::default() }))
    }

    fn want_asset(&self, order: AssetOrder, actor: String) -> Answer<'_, AssetView> {
        if order.asset != "gpu" {
            return now(Err(Refused::new(Ground::Conflict, "there is no such asset", "list them")));
        }
        let json = serde_json::json!({"id": "c/i-1", "name": actor, "log": []});
        now(Ok(serde_json::from_value(json).unwrap()))
    }

    fn cost(&self, month: Option<String>) -> Answer<'_, CostView> {
        let row = |what: &str| Row { what: what.into(), on: 1, ..Row::default() };
        let rows =
            ["stack/shop", "service/shop/api", "stack/blog", "node/here", "asset/seoul/i-1"].map(row).into();
        now(Ok(CostView { month: month.unwrap_or_default(), rows, ..CostView::default() }))
    }

    fn desired(&self, node: NodeId) -> Answer<'_, watch::Receiver<Arc<Desired>>> {
        now(here(&node).map(|()| self.desired.subscribe()))
    }

    fn node_routes(&self, node: NodeId) -> Answer<'_, watch::Receiver<Arc<RouteTable>>> {
        now(here(&node).map(|()| self.routes.subscribe()))
    }

    fn agent_report(&self, report: AgentReport) -> Answer<'_, Taken> {
        now(here(&report.node).map(|()| Taken { seq: report.seq, gone: vec![] }))
    }

    fn edge_report(&self, report: EdgeReport) -> Answer<'_, Taken> {
        now(here(&report.node).map(|()| Taken { seq: report.seq, gone: vec![] }))
    }
}

/// An operation in progress.
pub fn operation(id: u64, stack: &str) -> Operation {
    let receipt = serde_json::json!({"baseline": {}, "instances": {}, "unknown": []});
    let json = serde_json::json!({
        "id": id, "stack": stack, "kind": "deploy", "actor": "somebody", "began": 1, "phase": "running",
        "ending": "finish", "services": {}, "log": [], "receipt": receipt,
    });
    serde_json::from_value(json).unwrap()
}

/// The desired state of a generation.
pub fn desired(generation: u64) -> Desired {
    Desired { node: "here".into(), generation: Generation(generation), instances: BTreeMap::new() }
}

/// An edge's report.
pub fn edge_report(node: &str, seq: u64) -> EdgeReport {
    EdgeReport {
        node: node.into(),
        edge: format!("{node}-1").into(),
        began: Time(1),
        seq,
        acked: Generation(0),
        instances: BTreeMap::new(),
        faults: vec![],
        waiting: Default::default(),
    }
}
