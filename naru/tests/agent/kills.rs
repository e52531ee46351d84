//! An agent that is killed with SIGKILL, again and again, while instances start, work and retire.
//!
//! The agent is this very program, run once more for [`agent_process`]: orders come in as lines, reports go
//! out as lines. The workload keeps books of its own, which the ledger's must equal in the end.

use crate::bench::{sh, shell};
use naru_model::*;
use naru_roles::agent::{Config, run};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

const HOME: &str = "NARU_TEST_AGENT_DIR";
const LIMIT: Duration = Duration::from_secs(60);
/// Milliseconds from an agent's birth to its death: a first start, a first probe, a ledger's sync and the rest.
const LIVES: [u64; 20] = [1, 7, 30, 45, 60, 80, 12, 100, 20, 150, 33, 5, 90, 250, 40, 120, 400, 70, 300, 200];

/// What the test below starts and kills; by itself it does nothing.
#[tokio::test]
async fn agent_process() {
    let Some(dir) = std::env::var_os(HOME) else { return };
    let shim = vec![env!("CARGO_BIN_EXE_naru").to_owned(), "shim".to_owned()];
    let config = Config {
        reach: std::path::Path::new(&dir).join("reach.sock"),
        dir: dir.into(),
        node: "here".into(),
        shim,
        engines: Ok(vec![]),
        contents: "/no/such/folder".into(),
        zone: None,
    };
    let (orders, desired) = watch::channel(None);
    let (sender, mut reports) = watch::channel(None);
    tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines() {
            orders.send_replace(Some(serde_json::from_str(&line.unwrap()).unwrap()));
        }
    });
    tokio::spawn(async move {
        while reports.changed().await.is_ok() {
            let report = serde_json::to_string(&*reports.borrow_and_update()).unwrap();
            println!("\n{report}");
        }
    });
    run(config, desired, sender).await.unwrap();
}

struct Agent {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    async fn begin(dir: &Path, desired: &Desired) -> Agent {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "kills::agent_process"])
            .env(HOME, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut agent = Agent { child, orders, lines };
        agent.order(desired).await;
        agent
    }

    async fn order(&mut self, desired: &Desired) {
        let line = format!("{}\n", serde_json::to_string(desired).unwrap());
        self.orders.write_all(line.as_bytes()).await.unwrap();
    }

    async fn until(&mut self, wanted: impl Fn(&AgentReport) -> bool) -> AgentReport {
        let mut last = None;
        let found = tokio::time::timeout(LIMIT, async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the agent lives");
                let Ok(report) = serde_json::from_str::<AgentReport>(&line) else { continue };
                if wanted(&report) {
                    return report;
                }
                last = Some(report);
            }
        });
        match found.await {
            Ok(report) => report,
            Err(_) => panic!("not reported; the last one: {last:#?}"),
        }
    }

    /// Lives so long, then dies by SIGKILL. Its reports are drained meanwhile.
    async fn die_after(mut self, life: Duration) {
        let _ = tokio::time::timeout(life, self.until(|_| false)).await;
        self.child.kill().await.unwrap();
    }
}

/// Takes leases and ends them without a pause, and writes each into its own books, until told to be quiet.
fn busy_worker(books: &Path) -> Template {
    let script = format!(
        r#"cd {books}; echo $$ >> starts; n=0
        while [ ! -e quiet ]; do
            n=$((n + 1))
            until id=$(curl -sf -H "Idempotency-Key: $n" -d '{{"name":"job","ttl":"60s"}}' $NARU_WORK_URL \
                | sed 's/.*"id":"\([0-9]*\)".*/\1/') && [ -n "$id" ]; do sleep 0.01; done
            curl -s -o /dev/null -X PUT $NARU_WORK_URL/$id
            echo $id >> jobs
            until case $(curl -s -o /dev/null -w '%{{http_code}}' -X DELETE $NARU_WORK_URL/$id) in
                200|410) true;; *) false;; esac; do sleep 0.01; done
        done
        exec sleep 1000"#,
        books = books.display()
    );
    let quiet = shell(&format!("touch {}/quiet", books.display()));
    Template { quiet: Some(QuietCall::Call(Action::Command(quiet))), ..sh(&script) }
}

fn desired(generation: u64, books: &Path, intent: Intent) -> Desired {
    let one = |n: u64| {
        let books = books.join(n.to_string());
        std::fs::create_dir_all(&books).unwrap();
        let instance = DesiredInstance {
            stack: "shop".into(),
            service: "web".into(),
            release: ReleaseNo(1),
            template: busy_worker(&books),
            environment: BTreeMap::new(),
            hosts: BTreeMap::new(),
            imported: None,
            images: BTreeMap::new(),
            one_off: None,
            intent,
        };
        (InstanceId::new(&"shop".into(), &"web".into(), ReleaseNo(1), n), instance)
    };
    Desired { node: "here".into(), generation: Generation(generation), instances: (1..=3).map(one).collect() }
}

fn all(report: &AgentReport, phase: Phase) -> bool {
    report.instances.len() == 3 && report.instances.values().all(|status| status.phase == phase)
}

#[tokio::test]
async fn an_agent_may_be_killed_at_any_moment() {
    let home = tempfile::tempdir().unwrap();
    let (dir, books) = (home.path().join("agent"), home.path().join("books"));
    let mut generation = 0;
    for (intent, phase) in
        [(Intent::Run, Phase::Ready), (Intent::Quiet, Phase::Quiet), (Intent::Stop, Phase::Exited)]
    {
        generation += 1;
        let wanted = desired(generation, &books, intent);
        for life in LIVES {
            Agent::begin(&dir, &wanted).await.die_after(Duration::from_millis(life)).await;
        }
        let mut agent = Agent::begin(&dir, &wanted).await;
        let report = agent.until(|report| all(report, phase)).await;
        for status in report.instances.values() {
            assert_eq!(
                (status.restarts, status.counts.jobs_lost, status.counts.cut),
                (0, 0, 0),
                "{status:?}"
            );
        }
        if intent == Intent::Stop {
            check_books(&report, &books);
        }
        agent.child.kill().await.unwrap();
    }
}

fn check_books(report: &AgentReport, books: &Path) {
    for (n, status) in (1..=3).zip(report.instances.values()) {
        let lines = |name: &str| {
            let text = std::fs::read_to_string(books.join(n.to_string()).join(name)).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines("starts").len(), 1, "started once");
        let jobs = lines("jobs");
        assert_eq!(status.counts.jobs, jobs.len() as u64, "the ledger's books are the workload's");
        println!("instance {n}: {} jobs, none lost", jobs.len());
    }
}
