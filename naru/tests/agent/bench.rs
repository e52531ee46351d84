//! An agent in a folder of its own, and the words to steer it with.

use naru_model::*;
use naru_roles::agent::{Config, run};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// No state is waited for longer; on a busy machine the slowest takes a tenth.
const LIMIT: Duration = Duration::from_secs(60);
pub const ID: &str = "shop.web.1.1";

/// One agent, which can be killed and begun again, and what is wanted of it.
pub struct Bench {
    pub dir: tempfile::TempDir,
    wanted: BTreeMap<InstanceId, DesiredInstance>,
    generation: u64,
    desired: watch::Sender<Option<Desired>>,
    pub reports: watch::Receiver<Option<AgentReport>>,
    task: JoinHandle<()>,
}

impl Bench {
    pub async fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let (desired, reports, task) = begin(dir.path(), None);
        Bench { dir, wanted: BTreeMap::new(), generation: 0, desired, reports, task }
    }

    /// The agent is gone, at once, and a new one begins.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.revive();
    }

    /// A new agent begins, and knows what is wanted.
    pub fn revive(&mut self) {
        let present = self.desired.borrow().clone();
        (self.desired, self.reports, self.task) = begin(self.dir.path(), present);
    }

    pub async fn kill(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Wants one more instance.
    pub fn want(&mut self, id: &str, template: Template) {
        let environment = [("NARU_URL_OTHER".to_owned(), "http://127.0.0.1:9".to_owned())].into();
        let wanted = DesiredInstance {
            stack: "shop".into(),
            service: "web".into(),
            release: ReleaseNo(1),
            template,
            environment,
            hosts: BTreeMap::new(),
            imported: None,
            images: BTreeMap::new(),
            one_off: None,
            intent: Intent::Run,
        };
        self.wanted.insert(id.into(), wanted);
        self.order();
    }

    pub fn intend(&mut self, intent: Intent) {
        self.wanted.get_mut(&ID.into()).unwrap().intent = intent;
        self.order();
    }

    /// Names nobody any more; returns whom it named.
    pub fn drop_named(&mut self) -> BTreeMap<InstanceId, DesiredInstance> {
        let named = std::mem::take(&mut self.wanted);
        self.order();
        named
    }

    pub fn name_again(&mut self, named: BTreeMap<InstanceId, DesiredInstance>) {
        self.wanted = named;
        self.order();
    }

    /// An order of that generation.
    pub fn intend_at(&mut self, generation: Generation, intent: Intent) {
        self.generation = generation.0 - 1;
        self.intend(intent);
    }

    fn order(&mut self) {
        self.generation += 1;
        let (node, generation) = ("here".into(), Generation(self.generation));
        self.desired.send_replace(Some(Desired { node, generation, instances: self.wanted.clone() }));
    }

    /// The first report that is as wanted.
    pub async fn report(&mut self, wanted: impl Fn(&AgentReport) -> bool) -> AgentReport {
        let mut reports = self.reports.clone();
        let found = reports.wait_for(|report| report.as_ref().is_some_and(&wanted));
        match tokio::time::timeout(LIMIT, found).await {
            Ok(found) => found.unwrap().clone().unwrap(),
            Err(_) => panic!("not reported; the last one: {:#?}", self.reports.borrow()),
        }
    }

    /// The instance, once it is as wanted.
    pub async fn until(&mut self, wanted: impl Fn(&InstanceStatus) -> bool) -> InstanceStatus {
        let id = InstanceId::from(ID);
        let report = self.report(|report| report.instances.get(&id).is_some_and(&wanted)).await;
        report.instances[&id].clone()
    }

    pub async fn phase(&mut self, phase: Phase) -> InstanceStatus {
        self.until(|status| status.phase == phase).await
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// Ends what is left, whatever it does.
    pub async fn end(mut self) {
        for wanted in self.wanted.values_mut() {
            wanted.intent = Intent::Cut;
            wanted.template.stop_grace = Span::ZERO;
        }
        self.order();
        self.report(|report| report.instances.values().all(|status| status.phase == Phase::Exited)).await;
        self.kill().await;
    }
}

type Wires = (watch::Sender<Option<Desired>>, watch::Receiver<Option<AgentReport>>, JoinHandle<()>);

fn begin(dir: &Path, present: Option<Desired>) -> Wires {
    let (desired, orders) = watch::channel(present);
    let (sender, reports) = watch::channel(None);
    let shim = vec![env!("CARGO_BIN_EXE_naru").to_owned(), "shim".to_owned()];
    let config = Config {
        dir: dir.join("agent"),
        node: "here".into(),
        shim,
        engines: Ok(vec!["/no/such/engine.sock".into()]),
        contents: dir.join("contents"),
        reach: dir.join("reach.sock"),
        zone: None,
    };
    let task = tokio::spawn(async move { run(config, orders, sender).await.unwrap() });
    (desired, reports, task)
}

/// `sh -c SCRIPT`, without a port.
pub fn sh(script: &str) -> Template {
    Template {
        run: Run::Process(shell(script)),
        environment: [("FROM_FILE".to_owned(), "yes".to_owned())].into(),
        working_dir: "/".into(),
        user: None,
        targets: vec![],
        health: None,
        restart: Restart {
            policy: RestartPolicy::OnFailure,
            delay: Span(50),
            max_attempts: None,
            window: Span::secs(60),
        },
        stop_signal: "SIGTERM".into(),
        stop_grace: Span::secs(10),
        resources: Resources::default(),
        busy: None,
        quiet: None,
        post_start: vec![],
        pre_stop: vec![],
        labels: BTreeMap::new(),
        content_digest: None,
    }
}

pub fn shell(script: &str) -> Process {
    Process { command: ["/bin/sh", "-c", script].map(String::from).to_vec() }
}

/// A small HTTP server on its port: 200 with the content of the file that a path names in `dir`, else 404.
pub fn web(dir: &Path) -> Template {
    let serve = ["python3", "-m", "http.server", "$PORT", "--bind", "127.0.0.1"].map(String::from);
    Template {
        run: Run::Process(Process { command: serve.to_vec() }),
        working_dir: dir.to_string_lossy().into_owned(),
        targets: vec![TargetPort { port: 8080, protocol: Protocol::Http }],
        ..sh("")
    }
}

pub fn http(path: &str) -> HttpCall {
    HttpCall { path: path.into(), port: None }
}

/// A command that holds a lease, as any workload would, by curl: in `$id` afterwards.
pub const TAKE: &str = r#"id=$(curl -sf -X POST -d '{"name":"job","ttl":20}' $NARU_WORK_URL | sed 's/.*"id":"\([0-9]*\)".*/\1/')"#;
/// Ends it.
pub const DONE: &str = "curl -sf -X DELETE $NARU_WORK_URL/$id >/dev/null";
