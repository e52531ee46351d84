//! `naru demo`: the newcomer's first minute. A built-in stack in two tiers is deployed again and again, under
//! load from a client that keeps its own books, through the very commands that a user types; in the end the
//! receipts are held against the books.

use crate::cli::fail::{Code, Fail};
use crate::cli::session::Session;
use clap::Args;
use naru_demo::books::Books;
use naru_demo::check::{disagreements, lost, total};
use naru_demo::client::{Client, Load};
use naru_demo::rig::{Rig, Shape};
use naru_model::{Counts, Duty, InstanceView, Operation, plural};
use std::io::IsTerminal;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// What `naru demo` takes.
#[derive(Args, Debug)]
pub struct Demo {
    /// How many new releases
    #[arg(long, value_name = "N", default_value_t = 3)]
    deploys: u32,
    /// How long jobs take at most, in seconds; they go on while releases come and go
    #[arg(long, value_name = "SECONDS", default_value_t = 12)]
    longest_job: u64,
}

impl Demo {
    /// Runs the demonstration.
    ///
    /// # Errors
    /// Something of it could not be started, or receipts and books disagree.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let exe = std::env::current_exe().map_err(Fail::new)?;
        let rig = Rig::new(&exe).map_err(Fail::new)?;
        let show = Show { session, rig: &rig };
        let told = tokio::select! {
            told = self.play(&show) => told,
            _ = tokio::signal::ctrl_c() => Err(Fail::silent(Code::Detached)),
        };
        // Whatever happened, nothing of it is left behind.
        let ended = rig.end().await;
        let code = told?;
        ended.map_err(Fail::new)?;
        Ok(code)
    }

    async fn play(&self, show: &Show<'_>) -> Result<Code, Fail> {
        show.say("Two tiers, an API and its engine, two instances each. `naru up` starts them:")?;
        show.up(1, "blue-green").await?;
        show.say("\nNow a client puts load on them: requests, websockets, and jobs that outlive a deploy.")?;
        let client = Client::start(self.load(show.rig.url())).await.map_err(Fail::new)?;
        show.watch(&client, Duration::from_secs(4)).await;
        for n in 0..self.deploys {
            let (version, strategy) = (n + 2, if n % 2 == 0 { "blue-green" } else { "rolling" });
            show.say(&format!("\nVersion {version}, {strategy}, under load:"))?;
            show.up(version, strategy).await?;
            show.watch(&client, Duration::from_secs(2)).await;
            show.retiring().await?;
            show.watch(&client, Duration::from_secs(4)).await;
        }
        show.say("\nThe client begins nothing new and waits for its last jobs; then `naru down`.")?;
        let books = client.finish(Duration::from_secs(self.longest_job + 60)).await;
        show.quietly(&["down", "--progress", "quiet"]).await?;
        show.rig.settled(Duration::from_secs(60)).await.map_err(Fail::new)?;
        show.receipts(&books).await
    }

    fn load(&self, url: String) -> Load {
        let longest = self.longest_job * 1000;
        Load {
            url,
            connections: 16,
            request_ms: vec![0, 2, 5, 20, 120],
            pause: Duration::from_millis(5),
            websockets: 4,
            websocket_ms: vec![9_000, 14_000, 20_000],
            job_every: Some(Duration::from_millis(1_200)),
            job_ms: vec![longest / 4, longest, longest / 2],
            ..Load::default()
        }
    }
}

/// What is shown, and of what.
struct Show<'a> {
    session: &'a Session,
    rig: &'a Rig,
}

impl Show<'_> {
    fn say(&self, text: &str) -> Result<(), Fail> {
        self.session.printer.data(&format!("{text}\n"))
    }

    /// Deploys a version, and shows the command's own words.
    async fn up(&self, version: u32, strategy: &'static str) -> Result<(), Fail> {
        let shape =
            Shape { strategy, api: 2, engine: 2, talk: 0, max_retiring: 10, monitor: "2s", start_ms: 0 };
        self.rig.write(version, &shape).map_err(Fail::new)?;
        self.say("  $ naru up")?;
        let mut command = self.rig.command(&["up", "--progress", "plain"]);
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(Fail::new)?;
        let Some(stderr) = child.stderr.take() else { return Ok(()) };
        let mut lines = BufReader::new(stderr).lines();
        while let Some(line) = lines.next_line().await.map_err(Fail::new)? {
            self.say(&format!("  {line}"))?;
        }
        let status = child.wait().await.map_err(Fail::new)?;
        match status.success() {
            true => Ok(()),
            false => Err(Fail::new(format!("version {version} was not deployed ({status})"))),
        }
    }

    async fn quietly(&self, args: &[&str]) -> Result<(), Fail> {
        self.rig.naru(args).await.map(drop).map_err(Fail::new)
    }

    /// Shows the client's books for a while: a line that is rewritten on a terminal, one line elsewhere.
    async fn watch(&self, client: &Client, time: Duration) {
        let live = std::io::stderr().is_terminal();
        let end = tokio::time::Instant::now() + time;
        while live && tokio::time::Instant::now() < end {
            self.session.printer.raw(&format!("\r\x1b[2K  {}", status(&client.books())));
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        tokio::time::sleep_until(end).await;
        let begin = if live { "\r\x1b[2K" } else { "" };
        self.session.printer.raw(&format!("{begin}  {}\n", status(&client.books())));
    }

    /// What retires, and what it waits for.
    async fn retiring(&self) -> Result<(), Fail> {
        let instances = self.rig.instances().await.map_err(Fail::new)?;
        let leaves = |one: &&InstanceView| matches!(one.duty, Duty::Retiring | Duty::Held);
        for one in instances.iter().filter(leaves) {
            let held = || format!("{} is out of the routes, and held in case version fails", one.id);
            self.say(&format!("  {}", one.waits_for.clone().unwrap_or_else(held)))?;
        }
        Ok(())
    }

    /// The receipts beside the books.
    async fn receipts(&self, books: &Books) -> Result<Code, Fail> {
        let operations = self.rig.operations().await.map_err(Fail::new)?;
        self.say("\nThe receipts:\n")?;
        for operation in operations.iter().rev() {
            self.say(&receipt(operation))?;
        }
        self.say("\nThe client's own books, beside what the receipts say of whole lives:\n")?;
        self.say(&table(books, &total(&operations), &lost(&operations)))?;
        let mut wrong = disagreements(books, &operations, "api", "engine");
        let (failed, cut, missing) = (&books.failed, &books.cut, books.missing());
        wrong.extend(books.unbegun.iter().map(|error| format!("a job was not begun: {error}")));
        wrong.extend(failed.iter().map(|error| format!("a request failed: {error}")));
        wrong.extend(cut.iter().map(|error| format!("a websocket was cut: {error}")));
        wrong.extend(missing.iter().map(|job| format!("{job} never ended")));
        if wrong.is_empty() {
            self.say("\nNothing failed, nothing was cut, nothing was lost, and every number agrees.")?;
            return Ok(Code::Done);
        }
        let count = plural(wrong.len() as u64, "disagreement");
        Err(Fail::new(format!("{count} between books and receipts:\n  {}", wrong.join("\n  "))))
    }
}

fn status(books: &Books) -> String {
    format!(
        "client: {} requests answered, {} failed; {} websockets closed, {} cut; {} jobs begun, {} done",
        books.answered(),
        books.failures(),
        books.closed(),
        books.cut.len(),
        books.begun.len(),
        books.done.len(),
    )
}

fn receipt(operation: &Operation) -> String {
    let Counts { requests, streams, jobs, handed_over, cut, .. } = operation.receipt.total();
    let lost = operation.receipt.total().lost();
    let outcome = operation.outcome.map_or("open".into(), |outcome| outcome.to_string());
    let cut_over = operation.cut_over.map(|at| format!(", cut over after {}", at.since(operation.began)));
    format!(
        "  {:>2} {:<8} {outcome}{}: of {}, finished {}, {}, {}; handed over {handed_over}, lost {lost}, cut {cut}",
        operation.id,
        operation.kind.to_string(),
        cut_over.unwrap_or_default(),
        plural(operation.receipt.instances.len() as u64, "retired instance"),
        plural(requests, "request"),
        plural(streams, "stream"),
        plural(jobs, "job"),
    )
}

fn table(books: &Books, receipts: &Counts, lost: &Counts) -> String {
    let rows = [
        ("requests, both tiers", books.answered() + books.by_engines(), receipts.requests),
        ("websockets", books.closed(), receipts.streams),
        ("jobs", books.done.len() as u64, receipts.jobs),
        (
            "failed, cut or lost",
            books.failures() + (books.cut.len() + books.missing().len()) as u64,
            lost.lost() + lost.cut,
        ),
    ];
    let mut text = format!("  {:<22}{:>10}{:>10}\n", "", "books", "receipts");
    for (what, book, receipt) in rows {
        text.push_str(&format!("  {what:<22}{book:>10}{receipt:>10}\n"));
    }
    text.trim_end().to_string()
}
