//! SIGKILL under load. The server and the agent may go at any moment of a deploy: it converges, no instance
//! notices, nothing is lost. What an instance or the edge takes with it is lost, and on an incident's receipt.
//!
//! An instance that is killed keeps its id: its process is started again.

use crate::deploys::{MAX_RETIRING, bars, end, state, work};
use crate::dice::Dice;
use crate::report::{Report, median, most};
use crate::roles;
use crate::stage::{Seen, begin, serving, with_rig};
use naru_demo::books::{Books, Failing};
use naru_demo::check::{disagreements, lost};
use naru_demo::client::{Client, Load};
use naru_demo::rig::{Rig, Shape};
use naru_model::{Counts, Duty, InstanceView, JobRecord, Operation, OperationKind, Phase, ReleaseNo};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A deploy converges within this, or it does not.
const CONVERGES_WITHIN: Duration = Duration::from_secs(60);

/// Requests that client and edge may tell differently when the edge is killed: sent and not read yet, or
/// answered and not counted yet.
const UNDECIDED: u64 = 3;

/// Who is killed during a deploy.
const VICTIMS: [&[&str]; 3] = [&["server"], &["agent"], &["server", "agent"]];

/// Deploys with kills.
#[derive(Clone, Debug)]
pub struct Kills {
    /// How many.
    pub deploys: u32,
    /// Chooses victims and moments.
    pub seed: u64,
    /// Instances of each tier.
    pub replicas: u32,
    /// The load; its address is filled in.
    pub load: Load,
    /// How long an instance takes to start, in ms: a rollout of some length has more moments to be hit in.
    pub start_ms: u64,
}

/// What became of one deploy.
struct Deployed {
    took: f64,
    /// What the command said, where it did not see the deploy through.
    gave_up: Option<String>,
}

impl Kills {
    /// The load of the measurement.
    pub fn load() -> Load {
        Load {
            connections: 32,
            request_ms: vec![0, 5, 20, 120, 1_000],
            pause: Duration::from_millis(10),
            websockets: 8,
            websocket_ms: vec![9_000, 14_000, 20_000],
            job_every: Some(Duration::from_millis(500)),
            job_ms: vec![5_000, 20_000, 10_000],
            ..Load::default()
        }
    }

    /// Server and agent.
    ///
    /// # Errors
    /// A deploy did not converge, or something of the run could not be started.
    pub async fn control(&self, exe: &Path) -> io::Result<Report> {
        with_rig(exe, async |rig: &Rig| self.play_control(rig).await).await
    }

    /// One instance, with jobs and requests in progress.
    ///
    /// # Errors
    /// It did not come back, or something of the run could not be started.
    pub async fn instance(&self, exe: &Path) -> io::Result<Report> {
        with_rig(exe, async |rig: &Rig| self.play_instance(rig).await).await
    }

    /// The edge, with requests and websockets in progress.
    ///
    /// # Errors
    /// It did not come back, or something of the run could not be started.
    pub async fn edge(&self, exe: &Path) -> io::Result<Report> {
        with_rig(exe, async |rig: &Rig| self.play_edge(rig).await).await
    }

    fn shape(&self, n: u32) -> Shape {
        let strategy = if n.is_multiple_of(2) { "rolling" } else { "blue-green" };
        let (api, engine, start_ms) = (self.replicas, self.replicas, self.start_ms);
        Shape { strategy, api, engine, talk: 0, max_retiring: MAX_RETIRING, monitor: "2s", start_ms }
    }

    async fn begin(&self, rig: &Rig) -> io::Result<Client> {
        begin(rig, &self.shape(0), Load { url: rig.url(), ..self.load.clone() }).await
    }

    async fn finish(&self, client: Client) -> Books {
        let longest = self.load.job_ms.iter().max().copied().unwrap_or(0);
        client.finish(Duration::from_millis(longest) + Duration::from_secs(60)).await
    }

    async fn play_control(&self, rig: &Rig) -> io::Result<Report> {
        let client = self.begin(rig).await?;
        let mut seen = Seen::default();
        let deployed = seen.during(rig, self.row(rig, &client)).await?;
        let books = self.finish(client).await;
        let operations = end(rig).await?;
        let title = format!("{} deploys, kill -9 of server, agent or both in each", self.deploys);
        let mut report = Report::new(format!("{title} (seed {})", self.seed));
        work(&mut report, &books);
        let took: Vec<f64> = deployed.iter().map(|one| one.took).collect();
        report.figure("`naru up`, median / most", format!("{:.0} / {:.0} ms", median(&took), most(&took)));
        report.equal("deploys that converged", took.len() as u64, u64::from(self.deploys));
        let gave_up: Vec<_> = deployed.iter().filter_map(|one| one.gave_up.as_ref()).collect();
        report.none("`naru up` that did not see its deploy through", &gave_up);
        report.none("instances restarted", &seen.restarted.iter().collect::<Vec<_>>());
        bars(&mut report, &books, &operations);
        Ok(report)
    }

    async fn row(&self, rig: &Rig, client: &Client) -> io::Result<Vec<Deployed>> {
        let mut dice = Dice::new(self.seed);
        let mut deployed = Vec::new();
        for n in 0..self.deploys {
            let victims = VICTIMS[dice.below(VICTIMS.len() as u64) as usize];
            let moment = dice.below(self.usual_ms());
            rig.write(n + 2, &self.shape(n))?;
            let one = deploy(rig, u64::from(n) + 2, victims, Duration::from_millis(moment)).await?;
            let (who, took) = (victims.join(" and "), one.took);
            eprintln!("deploy {:>2}: {who} killed after {moment} ms; {took:.0} ms; {}", n + 1, state(client));
            deployed.push(one);
        }
        Ok(deployed)
    }

    /// About how long a deploy takes, and some: the engines start one after the other, then the API's.
    fn usual_ms(&self) -> u64 {
        2 * u64::from(self.replicas) * (self.start_ms + 50) + 300
    }

    async fn play_instance(&self, rig: &Rig) -> io::Result<Report> {
        let client = self.begin(rig).await?;
        let victim = busy(rig).await?;
        let pid = victim.status.as_ref().and_then(|status| status.pid);
        let pid = pid.ok_or_else(|| io::Error::other(format!("{} has no process", victim.id)))?;
        roles::kill(pid as i32)?;
        restarted(rig, &victim).await?;
        client.write_off(pid);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let books = self.finish(client).await;
        let operations = end(rig).await?;
        let mut report = Report::new(format!("kill -9 of an instance, {}, under load", victim.id));
        work(&mut report, &books);
        let sum = lost(&operations);
        report.figure("requests sent to another instance (by the receipts)", sum.handed_over);
        report.equal("failed idempotent requests", books.failures(), 0);
        report.none("failed idempotent requests, in words", &books.failed);
        let broken = books.unbegun.len() as u64;
        report.equal("requests lost: receipts, books", sum.requests_lost, broken);
        report.equal("streams lost: receipts, books", sum.streams_lost, books.cut.len() as u64);
        jobs(&mut report, &books, &operations);
        // An answer of an engine that its API instance took to the grave is in no client's books.
        report.none("disagreements of receipts and books", &disagreements(&books, &operations, "api", ""));
        Ok(report)
    }

    async fn play_edge(&self, rig: &Rig) -> io::Result<Report> {
        let client = self.begin(rig).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        roles::replace(&rig.home(), &["edge"]).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let books = self.finish(client).await;
        let operations = end(rig).await?;
        let mut report = Report::new("kill -9 of the edge, under load");
        work(&mut report, &books);
        report.figure("requests that found nobody", books.failing(Failing::Unreached));
        report.equal("requests answered wrongly", books.failing(Failing::Answered), 0);
        let at_api = operations.iter().flat_map(|one| &one.receipt.instances);
        let at_api = at_api.filter(|(_, line)| line.service.as_str() == "api").map(|(_, line)| line.during);
        let (requests, streams) =
            at_api.fold((0, 0), |sum, one| (sum.0 + one.requests_lost, sum.1 + one.streams_lost));
        let broken = books.failing(Failing::BrokenOff) + broken_posts(&books);
        report.at_least("requests broken off, by the books", broken, 1);
        report.near("requests lost: receipts, books", requests, broken, UNDECIDED);
        report.equal("streams lost: receipts, books", streams, books.cut.len() as u64);
        report.none("lost jobs", &books.missing());
        let told = total(&operations, "api");
        report.near("requests answered: receipts, books", told.requests, books.answered(), UNDECIDED);
        report.equal("streams ended: receipts, books", told.streams, books.closed());
        report.equal("jobs done: receipts, books", told.jobs, books.done.len() as u64);
        Ok(report)
    }
}

/// What instances of a service counted in their lives.
fn total(operations: &[Operation], service: &str) -> Counts {
    let retired = operations.iter().filter(|one| one.kind != OperationKind::Incident);
    let lines = retired.flat_map(|one| one.receipt.instances.values());
    let mut sum = Counts::default();
    lines.filter(|line| line.service.as_str() == service).for_each(|line| sum += line.lifetime);
    sum
}

/// Those whose request was on its way; the others found nobody.
fn broken_posts(books: &Books) -> u64 {
    books.unbegun.iter().filter(|what| what.starts_with("broken off")).count() as u64
}

/// One `naru up` whose server or agent is killed after a while. It is to see the deploy through; if it does
/// not, it is repeated as a person would.
async fn deploy(rig: &Rig, release: u64, victims: &[&str], moment: Duration) -> io::Result<Deployed> {
    let began = Instant::now();
    let up = rig.command(&["up", "--progress", "plain"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let (said, killed) = tokio::join!(up?.wait_with_output(), async {
        tokio::time::sleep(moment).await;
        roles::replace(&rig.home(), victims).await
    });
    killed?;
    let said = said?;
    let gave_up = (!said.status.success()).then(|| {
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        format!(
            "release {release}, {} killed after {moment:?}: {}: {text}",
            victims.join(" and "),
            said.status
        )
    });
    while rig.naru(&["up", "--progress", "quiet"]).await.is_err()
        || serving(rig).await.ok().flatten() != Some(ReleaseNo(release))
    {
        if began.elapsed() > CONVERGES_WITHIN {
            return Err(io::Error::other(format!("release {release} does not serve; {gave_up:?}")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(Deployed { took: began.elapsed().as_secs_f64() * 1e3, gave_up })
}

/// An instance of the API with all kinds of work in progress.
async fn busy(rig: &Rig) -> io::Result<InstanceView> {
    let give_up = Instant::now() + CONVERGES_WITHIN;
    loop {
        let mut instances = rig.instances().await?;
        instances.retain(|one| one.service.as_str() == "api" && one.duty == Duty::Serving);
        instances.retain(|one| one.work.jobs > 1 && one.work.streams > 0 && one.work.requests > 0);
        if let Some(one) = instances.pop() {
            return Ok(one);
        }
        if Instant::now() > give_up {
            return Err(io::Error::other("no instance has work of every kind"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a killed instance serves again.
async fn restarted(rig: &Rig, victim: &InstanceView) -> io::Result<()> {
    let give_up = Instant::now() + CONVERGES_WITHIN;
    let before = victim.status.as_ref().map_or(0, |status| status.restarts);
    loop {
        let instances = rig.instances().await?;
        let status = instances.into_iter().find(|one| one.id == victim.id).and_then(|one| one.status);
        if status.is_some_and(|status| status.restarts > before && status.phase == Phase::Ready) {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(io::Error::other(format!("{} did not come back", victim.id)));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The jobs that the client wrote off are those on the incidents' receipts, each with its cause.
fn jobs(report: &mut Report, books: &Books, operations: &[Operation]) {
    let incidents = operations.iter().filter(|one| one.kind == OperationKind::Incident);
    let lines = incidents.flat_map(|one| one.receipt.instances.values());
    let told: Vec<&JobRecord> = lines.flat_map(|line| &line.jobs).collect();
    let names: BTreeSet<String> = told.iter().map(|job| job.name.clone()).collect();
    report.at_least("jobs lost, by the books", books.written_off.len() as u64, 1);
    report.equal("jobs lost, by the receipts", lost(operations).jobs_lost, books.written_off.len() as u64);
    let differ: Vec<_> = names.symmetric_difference(&books.written_off).collect();
    report.none("jobs that only receipts or only books call lost", &differ);
    let silent: Vec<_> = told.iter().filter(|job| job.cause.is_none()).map(|job| &job.name).collect();
    report.none("lost jobs without a cause", &silent);
    if let Some(cause) = told.iter().find_map(|job| job.cause.as_ref()) {
        report.figure("the cause, as told", cause);
    }
    report.none("jobs of other instances that were lost", &books.missing());
}
