//! The desk: demands and reports, through faults of the store, to records.

use super::{deploy, edge, store, store_of};
use crate::server::core::Api;
use crate::server::desk::Desk;
use crate::server::ledger::Ledger;
use naru_api::{Core, Ground, LogQuery, ShutdownOrder};
use naru_chronicle::Chronicle;
use naru_home::Home;
use naru_model::{
    AgentReport, Change, Container, ContentFile, ContentId, ContentKind, Demand, EdgeReport, Generation,
    NodeId, OperationId, Run, Time,
};
use naru_store::{LoseAnswer, Options, Sqlite};
use std::collections::BTreeMap;
use tokio::task::JoinHandle;

/// A desk at work, and the API's way to it.
struct Server {
    api: Api,
    home: Home,
    store: Sqlite,
    desk: JoinHandle<()>,
    dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> Server {
        Server::with(Options::default()).await
    }

    async fn with(options: Options) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let store = store_of(dir.path(), options);
        Server::at(dir, store).await
    }

    async fn at(dir: tempfile::TempDir, store: Sqlite) -> Server {
        let home = Home::open(dir.path()).unwrap();
        let (ledger, world) = Ledger::open(store.clone()).await.unwrap();
        let (desk, handle) = Desk::new(ledger, world, home.node().unwrap(), &home);
        let desk = tokio::spawn(desk.run());
        let chronicle = Chronicle::open(&home).unwrap();
        Server {
            api: Api::new(handle, naru_cloud::channel().0, home.clone(), chronicle),
            home,
            store,
            desk,
            dir,
        }
    }

    /// Another life on the same store.
    async fn restart(self) -> Server {
        self.desk.abort();
        let _ = self.desk.await;
        self.store.close().await;
        let again = store(self.dir.path());
        Server::at(self.dir, again).await
    }

    fn node(&self) -> NodeId {
        self.home.node().unwrap()
    }

    async fn history(&self) -> Vec<OperationId> {
        self.api.operations(None, 100).await.unwrap().iter().map(|one| one.id).collect()
    }
}

fn edge_report(node: NodeId, seq: u64) -> EdgeReport {
    let (edge, instances) = ("edge-1".into(), BTreeMap::new());
    EdgeReport {
        node,
        edge,
        began: Time(1),
        seq,
        acked: Generation(0),
        instances,
        faults: vec![],
        waiting: Default::default(),
    }
}

#[tokio::test]
async fn a_demand_becomes_records_that_outlive_the_server() {
    let server = Server::start().await;
    let admitted = server.api.demand(deploy("shop", "web:1")).await.unwrap();
    let operation = server.api.operation(admitted.operation.unwrap()).await.unwrap();
    assert_eq!((operation.actor.as_str(), operation.stack.as_str()), ("me", "shop"));
    let instances = server.api.instances(None).await.unwrap();
    assert_eq!(instances.len(), 1, "{instances:?}");
    let mut desired = server.api.desired(server.node()).await.unwrap();
    assert!(desired.borrow_and_update().instances.contains_key(&instances[0].id));
    let (before, releases) = (server.history().await, server.api.releases(None).await.unwrap());
    let server = server.restart().await;
    assert_eq!(server.history().await, before);
    assert_eq!(server.api.releases(None).await.unwrap(), releases);
    assert_eq!(server.api.instances(None).await.unwrap()[0].id, instances[0].id);
    let again = server.api.desired(server.node()).await.unwrap().borrow().generation;
    assert!(again >= desired.borrow().generation, "an agent refuses an older generation");
}

#[tokio::test]
async fn what_is_in_a_secret_is_handed_over_before_it_is_named() {
    let server = Server::start().await;
    let mut demand = deploy("shop", "web:1");
    let Change::Deploy { stack, .. } = &mut demand.change else { panic!("it is one") };
    let file = ContentFile {
        kind: ContentKind::Secret,
        name: "token".into(),
        target: "/run/secrets/token".into(),
        mode: 0o444,
        uid: None,
        gid: None,
        content: ContentId::of(b"hunter2"),
    };
    let web = stack.services.values_mut().next().unwrap();
    web.template.run = Run::Container(Container { files: vec![file], ..Container::of("web:1") }.into());
    let refused = server.api.demand(demand.clone()).await.unwrap_err();
    assert_eq!(refused.ground, Ground::Invalid);
    assert!(refused.refusal.error.ends_with("was not handed over: secret `token` of web"), "{refused:?}");
    server.api.keep_content(b"hunter2".to_vec().into()).await.unwrap();
    let grounds = server.api.demand(demand).await.err().map(|refused| refused.ground);
    assert_ne!(grounds, Some(Ground::Invalid));
}

#[tokio::test]
async fn a_refused_demand_changes_nothing() {
    let server = Server::start().await;
    let refused = server.api.demand(Demand { change: Change::Promote, ..deploy("shop", "web:1") }).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.ground, Ground::Conflict);
    assert!(server.history().await.is_empty() && server.api.stacks().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_answer_is_told_and_the_truth_is_loaded() {
    let server = Server::start().await;
    for (lose, happened) in [(LoseAnswer::NotHappened, 0), (LoseAnswer::Happened, 1)] {
        server.store.lose_answer(lose).await;
        let refused = server.api.demand(deploy("shop", "web:1")).await.unwrap_err();
        assert_eq!(refused.ground, Ground::Unavailable);
        assert!(refused.refusal.error.contains("not known"), "{refused:?}");
        assert_eq!(server.history().await.len(), happened);
    }
    assert_eq!(server.api.instances(None).await.unwrap().len(), 1, "and on it goes");
}

#[tokio::test]
async fn another_server_s_writes_are_seen() {
    let server = Server::start().await;
    let (mut other, _) = Ledger::open(server.store.clone()).await.unwrap();
    other.commit(&[edge(1, 1)], Time(5)).await.unwrap();
    let refused = server.api.demand(deploy("shop", "web:1")).await.unwrap_err();
    assert!(refused.refusal.error.contains("another server"), "{refused:?}");
    server.api.demand(deploy("shop", "web:1")).await.unwrap();
    server.api.status().await.unwrap();
    let (_, world) = Ledger::open(server.store.clone()).await.unwrap();
    assert_eq!((world.edges.len(), world.instances.len()), (1, 1));
}

#[tokio::test]
async fn a_report_is_answered_when_what_follows_is_stored() {
    let server = Server::start().await;
    let taken = server.api.edge_report(edge_report(server.node(), 7)).await.unwrap();
    assert_eq!(taken.seq, 7);
    let (_, world) = Ledger::open(server.store.clone()).await.unwrap();
    assert_eq!(world.edges[&server.node()].edge, "edge-1".into());
    let refused = server.api.edge_report(edge_report("elsewhere".into(), 8)).await.unwrap_err();
    assert_eq!(refused.ground, Ground::NotFound);
}

#[tokio::test]
async fn it_is_ready_once_agent_and_edge_have_reported() {
    let server = Server::start().await;
    let ready = server.api.ready();
    tokio::pin!(ready);
    let node = server.node();
    let half = async {
        server.api.edge_report(edge_report(node.clone(), 1)).await.unwrap();
        server.api.status().await.unwrap();
    };
    tokio::select! {
        status = ready.as_mut() => panic!("{status:?} without an agent"),
        () = half => {}
    }
    let (applied, instances) = (Generation(0), BTreeMap::new());
    let report = AgentReport {
        node,
        incarnation: 1,
        seq: 1,
        applied,
        instances,
        zone: None,
        host_addresses: Default::default(),
    };
    let (status, _) = tokio::join!(ready, server.api.agent_report(report));
    assert_eq!((status.unwrap().agents, server.api.status().await.unwrap().edges), (1, 1));
}

#[tokio::test]
async fn a_full_store_refuses_orders_says_why_and_answers_questions() {
    let server = Server::with(Options { file_bytes_max: 200 << 10, ..Options::default() }).await;
    let mut big = deploy("shop", "web:1");
    if let Change::Deploy { stack, .. } = &mut big.change {
        stack.project_dir = "x".repeat(400 << 10);
    }
    let refused = server.api.demand(big).await.unwrap_err();
    assert_eq!(refused.ground, Ground::Unavailable);
    assert!(refused.refusal.error.contains("full"), "{refused:?}");
    assert!(server.history().await.is_empty());
    server.api.demand(deploy("shop", "web:1")).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_called_taken_and_is_tried_again() {
    let server = Server::start().await;
    server.store.lose_answer(LoseAnswer::NotHappened).await;
    server.api.edge_report(edge_report(server.node(), 1)).await.unwrap();
    let (_, world) = Ledger::open(server.store.clone()).await.unwrap();
    assert_eq!(world.edges.len(), 1, "a lost answer was resolved, and the decision made again");
    server.store.close().await;
    let report = EdgeReport { edge: "edge-2".into(), began: Time(2), ..edge_report(server.node(), 1) };
    let refused = server.api.edge_report(report.clone()).await.unwrap_err();
    assert_eq!(refused.ground, Ground::Unavailable);
    assert_eq!(server.api.edge_report(report).await.unwrap_err().ground, Ground::Unavailable);
    let fault = server.api.status().await.unwrap().fault.unwrap();
    assert!(fault.contains("closed"), "{fault}");
}

#[tokio::test]
async fn shutdown_waits_for_nothing_and_refuses_while_instances_are_there() {
    let server = Server::start().await;
    server.api.demand(deploy("shop", "web:1")).await.unwrap();
    let refused = server.api.shutdown(ShutdownOrder::default(), "me".into()).await.unwrap_err();
    assert_eq!((refused.ground, refused.refusal.error.as_str()), (Ground::Conflict, "1 instance is there"));
    server.api.demand(deploy("other", "web:1")).await.unwrap();
}

#[tokio::test]
async fn questions_cost_no_decision_and_watchers_come_to_rest() {
    let server = Server::start().await;
    server.api.demand(deploy("shop", "web:1")).await.unwrap();
    server.api.status().await.unwrap();
    let mut changes = server.api.changes();
    changes.mark_unchanged();
    for _ in 0..50 {
        server.api.snapshot(None, vec![], None).await.unwrap();
    }
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test]
async fn logs_of_nobody_are_a_refusal_or_nothing() {
    let server = Server::start().await;
    let of = |id: &str| LogQuery { instance: Some(id.into()), ..LogQuery::default() };
    let ground =
        |answer: Result<_, naru_api::Refused>| answer.map(|_: naru_api::LogStream| ()).unwrap_err().ground;
    assert_eq!(ground(server.api.logs(of("nonsense")).await), Ground::Invalid);
    assert_eq!(ground(server.api.logs(of("shop.web.1.1")).await), Ground::NotFound);
    let mut none = server.api.logs(LogQuery::default()).await.unwrap();
    assert!(futures_util::StreamExt::next(&mut none).await.is_none());
}
