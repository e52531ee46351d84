//! The other end of the API, typed.

mod connection;
mod events;
mod lines;
mod path;
mod remote;

pub use events::{Events, Follow};
pub use lines::Lines;
pub use remote::{Fingerprint, Remote, fingerprint};

use crate::{
    ClientError, Duplex, Event, EventQuery, ImageEvent, ImageOrder, LogLine, LogQuery, PlanRequest,
    PruneOrder, ReachOrder, ShowAssets, ShutdownOrder, Status, Taken, WatchEvent, WatchQuery,
};
use connection::{Connection, Place};
use hyper::Method;
use naru_cost::CostView;
use naru_model::{
    Admitted, AgentReport, AssetOrder, AssetView, AssetsView, ContentId, Demand, Desired, EdgeReport,
    ImageFate, InstanceView, JobView, NodeId, Operation, OperationId, Plan, Release, RouteTable, RunRecord,
    ServiceName, StackName, StackView, WorkView,
};
use naru_who::{
    AuditEvent, AuditQuery, AuditState, PeopleChanged, PeopleOrder, PeopleView, RequestOrder, RequestView,
    RightQuestion, SignIn, Verdict,
};
use path::Target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Answers come in milliseconds; a store on a slow disk may take seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A client of the server behind one socket. Clones share its one idle connection. It does nothing until it
/// is asked something; a server that ends and comes back is no error between two questions.
#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
}

impl Client {
    /// For the server at this socket.
    pub fn new(socket: impl Into<PathBuf>) -> Client {
        Client { connection: Arc::new(Connection::new(Place::Socket(socket.into()))) }
    }

    /// For a server on the network.
    pub fn remote(remote: Remote) -> Client {
        Client { connection: Arc::new(Connection::new(Place::Network(remote))) }
    }

    /// Whether it is on the network.
    pub fn is_remote(&self) -> bool {
        matches!(self.connection.place(), Place::Network(_))
    }

    /// How the server is.
    ///
    /// # Errors
    /// As every question: no server there, refused, no sense in the answer, no answer in time.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Target::new("/v1/status")).await
    }

    /// The same, once an agent and an edge have reported.
    ///
    /// # Errors
    /// As every question.
    pub async fn ready(&self) -> Result<Status, ClientError> {
        self.ask(Target::new("/v1/ready")).await
    }

    /// All stacks.
    ///
    /// # Errors
    /// As every question.
    pub async fn stacks(&self) -> Result<Vec<StackView>, ClientError> {
        self.ask(Target::new("/v1/stacks")).await
    }

    /// The instances of a stack, or of all.
    ///
    /// # Errors
    /// As every question.
    pub async fn instances(&self, stack: Option<&StackName>) -> Result<Vec<InstanceView>, ClientError> {
        self.ask(Target::new("/v1/instances").with("stack", stack)).await
    }

    /// The newest operations of a stack, or of all, newest first.
    ///
    /// # Errors
    /// As every question.
    pub async fn operations(
        &self,
        stack: Option<&StackName>,
        limit: usize,
    ) -> Result<Vec<Operation>, ClientError> {
        self.ask(Target::new("/v1/operations").with("stack", stack).with("limit", Some(limit))).await
    }

    /// One operation.
    ///
    /// # Errors
    /// As every question.
    pub async fn operation(&self, id: OperationId) -> Result<Operation, ClientError> {
        self.ask(Target::below("/v1/operations", id, "")).await
    }

    /// The releases of a stack, or of all, newest first.
    ///
    /// # Errors
    /// As every question.
    pub async fn releases(&self, stack: Option<&StackName>) -> Result<Vec<Release>, ClientError> {
        self.ask(Target::new("/v1/releases").with("stack", stack)).await
    }

    /// Work in progress on a stack, or on all.
    ///
    /// # Errors
    /// As every question.
    pub async fn work(&self, stack: Option<&StackName>) -> Result<Vec<WorkView>, ClientError> {
        self.ask(Target::new("/v1/work").with("stack", stack)).await
    }

    /// The jobs of a stack, or of all.
    ///
    /// # Errors
    /// As every question.
    pub async fn jobs(&self, stack: Option<&StackName>) -> Result<Vec<JobView>, ClientError> {
        self.ask(Target::new("/v1/jobs").with("stack", stack)).await
    }

    /// Runs of jobs that are kept, newest first.
    ///
    /// # Errors
    /// As every question.
    pub async fn runs(
        &self,
        stack: Option<&StackName>,
        job: Option<&ServiceName>,
    ) -> Result<Vec<RunRecord>, ClientError> {
        self.ask(Target::new("/v1/runs").with("stack", stack).with("job", job)).await
    }

    /// The route table in force.
    ///
    /// # Errors
    /// As every question.
    pub async fn routes(&self) -> Result<RouteTable, ClientError> {
        self.ask(Target::new("/v1/routes")).await
    }

    /// What a deploy would change.
    ///
    /// # Errors
    /// As every question.
    pub async fn plan(&self, request: &PlanRequest) -> Result<Plan, ClientError> {
        self.tell(Target::new("/v1/plan"), request).await
    }

    /// Hands over what is in a secret or config, before a stack is ordered that names it.
    ///
    /// # Errors
    /// As every question.
    pub async fn keep_content(&self, content: &[u8]) -> Result<ContentId, ClientError> {
        let body = hyper::body::Bytes::copy_from_slice(content);
        self.exchange(Method::POST, Target::new("/v1/contents"), body).await
    }

    /// Orders a change.
    ///
    /// # Errors
    /// As every question. It was not taken if there is no server or it refused; otherwise that is unknown.
    pub async fn demand(&self, demand: &Demand) -> Result<Admitted, ClientError> {
        self.tell(Target::new("/v1/demands"), demand).await
    }

    /// Ends the background processes. With a cut, waits as long as the instances take to end.
    ///
    /// # Errors
    /// As every question, without a limit of time.
    pub async fn shutdown(&self, order: ShutdownOrder) -> Result<(), ClientError> {
        let body = connection::json(&order)?;
        let answer = self.connection.request(Method::POST, &Target::new("/v1/shutdown"), body).await?;
        connection::value::<()>(answer).await
    }

    /// The present state, and then what changes, until the server ends.
    ///
    /// # Errors
    /// As every question.
    pub async fn watch(&self, query: &WatchQuery) -> Result<Events<WatchEvent>, ClientError> {
        Events::open(&self.connection, &watch_target(query)).await
    }

    /// As [`Client::watch`], and it survives the server: after each gap the present state comes anew.
    pub fn follow(&self, query: &WatchQuery) -> Follow<WatchEvent> {
        Follow::new(self.connection.clone(), watch_target(query))
    }

    /// Lines of logs.
    ///
    /// # Errors
    /// As every question.
    pub async fn logs(&self, query: &LogQuery) -> Result<Lines<LogLine>, ClientError> {
        let target = Target::new("/v1/logs")
            .with("stack", query.stack.as_ref())
            .with("service", query.service.as_ref())
            .with("instance", query.instance.as_ref())
            .with("tail", query.tail)
            .with("follow", Some(query.follow));
        Lines::open(&self.connection, &target).await
    }

    /// What happened.
    ///
    /// # Errors
    /// As every question.
    pub async fn events(&self, query: &EventQuery) -> Result<Lines<Event>, ClientError> {
        let target = Target::new("/v1/events")
            .with("stack", query.stack.as_ref())
            .with("since", query.since)
            .with("follow", Some(query.follow));
        Lines::open(&self.connection, &target).await
    }

    /// Connects with an instance. What comes and goes then is frames of `naru-reach`.
    ///
    /// # Errors
    /// As every question.
    pub async fn reach(&self, order: &ReachOrder) -> Result<impl Duplex + 'static, ClientError> {
        let body = connection::json(order)?;
        self.connection.upgrade(&Target::new("/v1/reach"), body).await
    }

    /// Orders something of images, and hears how it goes.
    ///
    /// # Errors
    /// As every question.
    pub async fn images(&self, order: &ImageOrder) -> Result<Lines<ImageEvent>, ClientError> {
        Lines::order(&self.connection, &Target::new("/v1/images"), connection::json(order)?).await
    }

    /// What becomes of each image of the engine. Waits as long as removals take.
    ///
    /// # Errors
    /// As every question, without a limit of time.
    pub async fn prune(&self, order: PruneOrder) -> Result<Vec<ImageFate>, ClientError> {
        let body = connection::json(&order)?;
        let answer = self.connection.request(Method::POST, &Target::new("/v1/prune"), body).await?;
        connection::value(answer).await
    }

    /// Machines of clouds, and what is wanted of them.
    ///
    /// # Errors
    /// As every question.
    pub async fn assets(&self, how: ShowAssets) -> Result<AssetsView, ClientError> {
        let looked = (how == ShowAssets::Looked).then_some("looked");
        self.ask(Target::new("/v1/assets").with("show", looked)).await
    }

    /// Wants a machine of a cloud on or off.
    ///
    /// # Errors
    /// As every question.
    pub async fn want_asset(&self, order: &AssetOrder) -> Result<AssetView, ClientError> {
        self.tell(Target::new("/v1/assets"), order).await
    }

    /// What a month came to, as `2026-11`; `None`: this one.
    ///
    /// # Errors
    /// As every question; or the month is none.
    pub async fn cost(&self, month: Option<&str>) -> Result<CostView, ClientError> {
        self.ask(Target::new("/v1/cost").with("month", month)).await
    }

    /// A token for whoever knows a password.
    ///
    /// # Errors
    /// As every question.
    pub async fn sign_in(&self, as_whom: &SignIn) -> Result<PeopleChanged, ClientError> {
        self.tell(Target::new("/v1/sign-in"), as_whom).await
    }

    /// Users, tokens and grants.
    ///
    /// # Errors
    /// As every question.
    pub async fn people(&self) -> Result<PeopleView, ClientError> {
        self.ask(Target::new("/v1/people")).await
    }

    /// Changes them.
    ///
    /// # Errors
    /// As every question.
    pub async fn change_people(&self, order: &PeopleOrder) -> Result<PeopleChanged, ClientError> {
        self.tell(Target::new("/v1/people"), order).await
    }

    /// Whether somebody may do something, and why.
    ///
    /// # Errors
    /// As every question.
    pub async fn can(&self, question: &RightQuestion) -> Result<Verdict, ClientError> {
        self.tell(Target::new("/v1/can"), question).await
    }

    /// Requests at the service desk: one's own, and those that one may decide about.
    ///
    /// # Errors
    /// As every question.
    pub async fn requests(&self) -> Result<Vec<RequestView>, ClientError> {
        self.ask(Target::new("/v1/requests")).await
    }

    /// One request.
    ///
    /// # Errors
    /// As every question.
    pub async fn request(&self, id: u64) -> Result<RequestView, ClientError> {
        self.ask(Target::below("/v1/requests", id, "")).await
    }

    /// Makes a request, or decides about one.
    ///
    /// # Errors
    /// As every question.
    pub async fn order_request(&self, order: &RequestOrder) -> Result<RequestView, ClientError> {
        self.tell(Target::new("/v1/requests"), order).await
    }

    /// What was done, and what was refused.
    ///
    /// # Errors
    /// As every question.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, ClientError> {
        let target = Target::new("/v1/audit")
            .with("who", query.who.as_ref())
            .with("action", query.action.as_ref())
            .with("on", query.on.as_ref())
            .with("outcome", query.outcome.map(|outcome| outcome.word()))
            .with("since", query.since)
            .with("limit", query.limit);
        self.ask(target).await
    }

    /// Whether the audit is whole.
    ///
    /// # Errors
    /// As every question.
    pub async fn audit_state(&self) -> Result<AuditState, ClientError> {
        self.ask(Target::new("/v1/audit/state")).await
    }

    /// What a node's agent is to have, whenever it changes, for ever.
    pub fn desired(&self, node: &NodeId) -> Follow<Desired> {
        Follow::new(self.connection.clone(), Target::below("/v1/nodes", node, "/desired"))
    }

    /// The route table for a node's edge, whenever it changes, for ever.
    pub fn node_routes(&self, node: &NodeId) -> Follow<RouteTable> {
        Follow::new(self.connection.clone(), Target::below("/v1/nodes", node, "/routes"))
    }

    /// Hands in an agent's report.
    ///
    /// # Errors
    /// As every question.
    pub async fn agent_report(&self, report: &AgentReport) -> Result<Taken, ClientError> {
        self.tell(Target::below("/v1/nodes", &report.node, "/agent-report"), report).await
    }

    /// Hands in an edge's report.
    ///
    /// # Errors
    /// As every question.
    pub async fn edge_report(&self, report: &EdgeReport) -> Result<Taken, ClientError> {
        self.tell(Target::below("/v1/nodes", &report.node, "/edge-report"), report).await
    }

    async fn ask<T: DeserializeOwned>(&self, target: Target) -> Result<T, ClientError> {
        self.exchange(Method::GET, target, Default::default()).await
    }

    async fn tell<T: DeserializeOwned>(
        &self,
        target: Target,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.exchange(Method::POST, target, connection::json(body)?).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        target: Target,
        body: hyper::body::Bytes,
    ) -> Result<T, ClientError> {
        let exchange = async {
            let answer = self.connection.request(method, &target, body).await?;
            connection::value(answer).await
        };
        let in_time = tokio::time::timeout(ANSWER_WITHIN, exchange).await;
        in_time.unwrap_or(Err(ClientError::TimedOut(ANSWER_WITHIN)))
    }
}

fn watch_target(query: &WatchQuery) -> Target {
    Target::new("/v1/watch").with("stack", query.stack.as_ref()).with("operation", query.operation)
}
