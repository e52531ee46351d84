//! `naru job`: jobs of the file, and their runs.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::{Until, Wish};
use crate::cli::moment::now;
use crate::cli::order::{Order, OrderArgs, carry_out, confirm};
use crate::cli::session::Session;
use crate::cli::verb::logs::{Logs, Tail, parse_tail};
use clap::{Args, Subcommand};
use naru_api::{Client, WatchQuery};
use naru_model::{Change, Demand, Ending, InstanceId, RunRecord, RunState, ServiceName, StackName, Time};
use naru_show::{jobs_table, run_note, runs_table};
use std::collections::BTreeSet;
use std::time::Duration;

/// Between two looks at a run, where nothing that is watched tells of it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What `naru job` takes.
#[derive(Args, Debug)]
pub struct Job {
    #[command(subcommand)]
    verb: JobVerb,
    #[command(flatten)]
    pub project: ProjectArgs,
}

#[derive(Debug, Subcommand)]
enum JobVerb {
    /// List jobs: when they are due next, how the last run went
    Ls(Ls),
    /// Run a job now, and wait for its end
    Run(Run),
    /// List runs, those in progress and those that have ended; those of `naru run`, too
    Runs(Runs),
    /// Show what a run wrote
    Logs(RunLogs),
    /// Cut a run that is in progress, or have one that waits not begin. Asks first
    Cancel(Cancel),
}

/// What `naru job ls` takes.
#[derive(Args, Debug)]
struct Ls {
    /// Print the jobs as JSON
    #[arg(long)]
    json: bool,
}

/// What `naru job run` takes.
#[derive(Args, Debug)]
struct Run {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,
    /// Do not wait
    #[arg(short, long)]
    detach: bool,
    /// Why, for the run's record
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// What `naru job runs` takes.
#[derive(Args, Debug)]
struct Runs {
    /// Only of this job, or one-offs of this service
    #[arg(value_name = "JOB")]
    job: Option<String>,
    /// Print the runs as JSON
    #[arg(long)]
    json: bool,
}

/// What `naru job logs` takes.
#[derive(Args, Debug)]
struct RunLogs {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,
    /// The number of the run; the newest if it is missing
    #[arg(value_name = "RUN")]
    run: Option<u64>,
    /// Go on with lines as they are written
    #[arg(short, long)]
    follow: bool,
    /// The last so many lines of each try; `all` for all that are kept
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = parse_tail)]
    tail: Tail,
}

/// What `naru job cancel` takes.
#[derive(Args, Debug)]
struct Cancel {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,
    /// The number of the run; the only one that is open if it is missing
    #[arg(value_name = "RUN")]
    run: Option<u64>,
    /// Do not wait until it is gone
    #[arg(short, long)]
    detach: bool,
    /// Why, for the receipt
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Answer yes to the question
    #[arg(short, long)]
    yes: bool,
}

impl Job {
    /// Does what was typed.
    ///
    /// # Errors
    /// No server, no such job, or the order was refused.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let client = session.client()?;
        match self.verb {
            JobVerb::Ls(ls) => list(session, &client, ls.json).await,
            JobVerb::Run(run) => begin(session, &client, run).await,
            JobVerb::Runs(runs) => list_runs(session, &client, runs).await,
            JobVerb::Logs(logs) => show_logs(session, &client, logs).await,
            JobVerb::Cancel(cancel) => end(session, &client, cancel).await,
        }
    }
}

async fn list(session: &Session, client: &Client, json: bool) -> Result<Code, Fail> {
    let jobs = client.jobs(session.scope()?.as_ref()).await?;
    if json {
        session.printer.json(&jobs)?;
    } else if jobs.is_empty() {
        session.printer.note("there is no job; jobs stand in a Compose file under the top-level `jobs`");
    } else {
        session.printer.data(&jobs_table(&jobs, now()))?;
    }
    Ok(Code::Done)
}

async fn list_runs(session: &Session, client: &Client, typed: Runs) -> Result<Code, Fail> {
    let job = typed.job.as_deref().map(ServiceName::from);
    let runs = client.runs(session.scope()?.as_ref(), job.as_ref()).await?;
    if typed.json {
        session.printer.json(&runs)?;
    } else if runs.is_empty() {
        session.printer.note("no run is kept");
    } else {
        session.printer.data(&runs_table(&runs, now()))?;
    }
    Ok(Code::Done)
}

async fn begin(session: &Session, client: &Client, typed: Run) -> Result<Code, Fail> {
    let stack = session.stack(client).await?;
    let job = ServiceName::from(typed.job.as_str());
    let (change, ending) = (Change::Run { job: job.clone() }, Ending::Finish);
    let demand =
        Demand { stack: stack.clone(), change, ending, actor: String::new(), message: typed.message };
    let number = client.demand(&demand).await?.run.unwrap_or_default();
    if typed.detach {
        session.printer.result(format!("run {number} of {job} is under way; `naru job runs {job}` shows it"));
        return Ok(Code::Done);
    }
    session.printer.progress(format!("run {number} of {job}"));
    tokio::select! {
        ended = ended(session, client, &stack, &job, number) => ended,
        _ = tokio::signal::ctrl_c() => {
            session.printer.result(format!("detached: run {number} of {job} goes on"));
            Ok(Code::Detached)
        }
    }
}

/// Waits for the end of a run, and says how it went.
async fn ended(
    session: &Session,
    client: &Client,
    stack: &StackName,
    job: &ServiceName,
    number: u64,
) -> Result<Code, Fail> {
    let mut events = client.follow(&WatchQuery { stack: Some(stack.clone()), operation: None });
    let mut told: BTreeSet<InstanceId> = BTreeSet::new();
    loop {
        let runs = client.runs(Some(stack), Some(job)).await.unwrap_or_default();
        let run = runs.into_iter().find(|run| run.number == number);
        if let Some(run) = &run {
            for one in run.tries.iter().filter(|one| told.insert(one.instance.clone())) {
                session.printer.progress(format!("  {} runs", one.instance));
            }
            if let Some(ended) = run.ended {
                return finished(session, run, ended);
            }
        }
        // A server that does not answer at present is back in a moment.
        let _ = tokio::time::timeout(LOOK_AGAIN, events.next()).await;
    }
}

fn finished(session: &Session, run: &RunRecord, ended: Time) -> Result<Code, Fail> {
    let tries = match run.tries.len() {
        0 | 1 => String::new(),
        n => format!(", in {n} tries"),
    };
    let (job, number) = (&run.job, run.number);
    let took = ended.since(run.made);
    if run.state == RunState::Succeeded {
        session.printer.result(format!("run {number} of {job} succeeded after {took}{tries}"));
        return Ok(Code::Done);
    }
    let why = run_note(run);
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let error = format!("run {number} of {job}: {} after {took}{tries}{why}", run.state);
    Err(Fail::new(error).help(format!("`naru job logs {job} {number}` shows what it wrote")))
}

async fn show_logs(session: &Session, client: &Client, typed: RunLogs) -> Result<Code, Fail> {
    let stack = session.stack(client).await?;
    let job = ServiceName::from(typed.job.as_str());
    let runs = client.runs(Some(&stack), Some(&job)).await?;
    let run = match typed.run {
        Some(number) => runs.iter().find(|run| run.number == number),
        None => runs.iter().max_by_key(|run| run.number),
    };
    let Some(run) = run else {
        let what = typed.run.map_or_else(
            || format!("no run of `{job}` is kept"),
            |n| format!("no run {n} of `{job}` is kept"),
        );
        return Err(Fail::usage(what).help(format!("`naru job runs {job}` lists those that are")));
    };
    let tries = run.tries.iter().map(|one| one.instance.to_string()).collect();
    Logs::of(tries, typed.follow, typed.tail).show(session, client, Some(stack)).await
}

async fn end(session: &Session, client: &Client, typed: Cancel) -> Result<Code, Fail> {
    let stack = session.stack(client).await?;
    let job = ServiceName::from(typed.job.as_str());
    let runs = client.runs(Some(&stack), Some(&job)).await?;
    let is_meant =
        |run: &&RunRecord| !run.state.is_over() && typed.run.is_none_or(|number| run.number == number);
    let meant: BTreeSet<InstanceId> = runs
        .iter()
        .filter(is_meant)
        .filter_map(RunRecord::present_try)
        .map(|one| one.instance.clone())
        .collect();
    if !typed.yes && !meant.is_empty() {
        let mut work = client.work(Some(&stack)).await?;
        work.retain(|view| meant.contains(&view.instance));
        confirm(session, &work, ("job cancel", "add `--yes`, or let the run finish"))?;
    }
    let change = Change::Cancel { job, run: typed.run };
    let args = OrderArgs { detach: typed.detach, message: typed.message, cut: !meant.is_empty(), yes: true };
    let (until, wish, affects) = (Until::Ended, Wish::Success, None);
    carry_out(session, client, Order { stack, change, args, until, wish, affects }).await
}
