//! What the API asks of the server.

use crate::{
    Event, EventQuery, ImageEvent, ImageOrder, LogLine, LogQuery, PlanRequest, PruneOrder, ReachOrder,
    Refused, ShowAssets, ShutdownOrder, Snapshot, Status, Taken,
};
use axum::body::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::Stream;
use naru_cost::CostView;
use naru_model::{
    Admitted, AgentReport, AssetOrder, AssetView, AssetsView, ContentId, Demand, Desired, EdgeReport,
    ImageFate, InstanceView, JobView, NodeId, Operation, OperationId, Plan, Release, RouteTable, RunRecord,
    ServiceName, StackName, StackView, WorkView,
};
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// An answer to come.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Refused>>;

/// Lines of logs as they come.
pub type LogStream = Pin<Box<dyn Stream<Item = LogLine> + Send>>;

/// Events as they come.
pub type EventStream = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// A stream both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
/// How it goes with images, as it goes. Dropping it ends what is under way.
pub type ImageStream = Pin<Box<dyn Stream<Item = ImageEvent> + Send>>;

/// The server, as the API sees it. An answer's future may be dropped at any point; an order whose answer was
/// not waited for may be carried out all the same.
pub trait Core: Send + Sync + 'static {
    /// How it is.
    fn status(&self) -> Answer<'_, Status>;
    /// The same, once an agent and an edge of the server's own node have reported.
    fn ready(&self) -> Answer<'_, Status>;
    /// All stacks.
    fn stacks(&self) -> Answer<'_, Vec<StackView>>;
    /// The instances of a stack, or of all.
    fn instances(&self, stack: Option<StackName>) -> Answer<'_, Vec<InstanceView>>;
    /// The newest `limit` operations of a stack, or of all, newest first.
    fn operations(&self, stack: Option<StackName>, limit: usize) -> Answer<'_, Vec<Operation>>;
    /// One operation.
    fn operation(&self, id: OperationId) -> Answer<'_, Operation>;
    /// The releases of a stack, or of all, newest first.
    fn releases(&self, stack: Option<StackName>) -> Answer<'_, Vec<Release>>;
    /// Work in progress on a stack, or on all.
    fn work(&self, stack: Option<StackName>) -> Answer<'_, Vec<WorkView>>;
    /// The jobs of a stack, or of all.
    fn jobs(&self, stack: Option<StackName>) -> Answer<'_, Vec<JobView>>;
    /// Runs that are kept, newest first: of a stack, or of all; of a job, or of all.
    fn runs(&self, stack: Option<StackName>, job: Option<ServiceName>) -> Answer<'_, Vec<RunRecord>>;
    /// The table in force.
    fn routes(&self) -> Answer<'_, RouteTable>;
    /// What a deploy would change.
    fn plan(&self, request: PlanRequest) -> Answer<'_, Plan>;
    /// Keeps what is in a secret or config, for a stack that names it to be ordered next.
    fn keep_content(&self, content: Bytes) -> Answer<'_, ContentId>;
    /// Takes an order, whose actor is set.
    fn demand(&self, demand: Demand) -> Answer<'_, Admitted>;
    /// Ends the background processes; refused while instances run, unless they are to be cut.
    fn shutdown(&self, order: ShutdownOrder, actor: String) -> Answer<'_, ()>;
    /// Grows whenever a snapshot may have changed.
    fn changes(&self) -> watch::Receiver<u64>;
    /// The present state: of a stack or of all, and the operations that have not ended, are among `known`, or
    /// are newer than `after` (`None`: the newest).
    fn snapshot(
        &self,
        stack: Option<StackName>,
        known: Vec<OperationId>,
        after: Option<OperationId>,
    ) -> Answer<'_, Snapshot>;
    /// Lines of logs.
    fn logs(&self, query: LogQuery) -> Answer<'_, LogStream>;
    /// What happened.
    fn events(&self, query: EventQuery) -> Answer<'_, EventStream>;
    /// Connects with an instance: whatever passes there is between the two ends.
    fn reach(&self, order: ReachOrder, actor: String) -> Answer<'_, Box<dyn Duplex>>;
    /// Does what is wanted of images.
    fn images(&self, order: ImageOrder) -> Answer<'_, ImageStream>;
    /// What becomes of each image of the engine; those that nobody needs go, if that is ordered.
    fn prune(&self, order: PruneOrder) -> Answer<'_, Vec<ImageFate>>;
    /// Machines of clouds, and what is wanted of them.
    fn assets(&self, how: ShowAssets) -> Answer<'_, AssetsView>;
    /// Wants a machine of a cloud on or off.
    fn want_asset(&self, order: AssetOrder, actor: String) -> Answer<'_, AssetView>;
    /// What a month came to, as `2026-11`; `None`: this one.
    fn cost(&self, month: Option<String>) -> Answer<'_, CostView>;
    /// What a node's agent is to have, as it changes.
    fn desired(&self, node: NodeId) -> Answer<'_, watch::Receiver<Arc<Desired>>>;
    /// The route table for a node's edge, as it changes.
    fn node_routes(&self, node: NodeId) -> Answer<'_, watch::Receiver<Arc<RouteTable>>>;
    /// Takes an agent's report; answered once what follows from it is stored.
    fn agent_report(&self, report: AgentReport) -> Answer<'_, Taken>;
    /// Takes an edge's report; answered once what follows from it is stored.
    fn edge_report(&self, report: EdgeReport) -> Answer<'_, Taken>;
}
