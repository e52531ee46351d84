//! `naru work`: the work in progress; and `naru work run`, which holds a lease while a command runs.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::moment::{now, whole};
use crate::cli::session::Session;
use crate::cli::table::{Table, foreign};
use clap::{Args, Subcommand};
use naru_model::{Span, Time, WorkView};
use naru_show::percent;
use naru_work::RunConfig;

/// What `naru work` takes.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Work {
    #[command(subcommand)]
    verb: Option<WorkVerb>,
    /// Print the work as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

#[derive(Debug, Subcommand)]
enum WorkVerb {
    /// Run a command as a job of the instance that this is typed in
    Run(Run),
}

/// What `naru work run` takes.
#[derive(Args, Debug)]
struct Run {
    /// The job's name, instead of the command itself
    #[arg(long)]
    name: Option<String>,
    /// Without a sign of life for so long, the job counts as lost
    #[arg(long, value_name = "DURATION", value_parser = naru_work::parse_span)]
    ttl: Option<Span>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Work {
    /// Lists work, or runs a command as a job and ends with its exit status.
    ///
    /// # Errors
    /// No server; or no lease for the command.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        match self.verb {
            Some(WorkVerb::Run(run)) => hold(session, run).await,
            None => list(session, self.json).await,
        }
    }
}

async fn hold(session: &Session, run: Run) -> Result<Code, Fail> {
    let url = session.settings.work_url();
    let config = RunConfig { url, name: run.name, ttl: run.ttl, command: run.command };
    let ended = naru_work::run(config).await;
    ended
        .map(Code::Command)
        .map_err(|error| Fail { code: Code::Command(error.exit_status()), ..Fail::new(error) })
}

async fn list(session: &Session, json: bool) -> Result<Code, Fail> {
    let scope = session.scope()?;
    let work = session.client()?.work(scope.as_ref()).await?;
    if json {
        session.printer.json(&work)?;
    } else if work.is_empty() {
        session.printer.note("no work is in progress");
    } else {
        session.printer.data(&table(&work, now()))?;
    }
    Ok(Code::Done)
}

/// The work as a table.
pub fn table(work: &[WorkView], now: Time) -> String {
    let mut table = Table::new(&["INSTANCE", "WORK", "NAME", "AGE", "PROGRESS", "LEFT", "NOTE"]);
    for view in work {
        let (id, name) = view.job.clone().unwrap_or_default();
        let kind = if view.count == 1 { view.kind.trim_end_matches('s') } else { view.kind.as_str() };
        table.row([
            view.instance.to_string(),
            format!("{} {kind} {}", view.count, foreign(&id)).trim_end().to_string(),
            foreign(&name),
            view.began.map(|began| whole(now.since(began))).unwrap_or_default(),
            view.progress.map(percent).unwrap_or_default(),
            view.estimate.map(|left| format!("about {left}")).unwrap_or_default(),
            view.note.as_deref().map(foreign).unwrap_or_default(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::table;
    use anstream::adapter::strip_str;
    use naru_model::{Span, Time, WorkView};

    #[test]
    fn a_job_tells_how_far_it_is() {
        let job = WorkView {
            instance: "shop.api.1.1".into(),
            kind: "job".into(),
            count: 1,
            job: Some(("9".into(), "쪽 3".into())),
            began: Some(Time(60_000)),
            progress: Some(0.4),
            note: Some("line\none".into()),
            estimate: Some(Span::mins(2)),
        };
        let (kind, count) = ("requests".into(), 12);
        let requests =
            WorkView { kind, count, job: None, progress: None, note: None, estimate: None, ..job.clone() };
        let want = "\
INSTANCE      WORK         NAME  AGE   PROGRESS  LEFT         NOTE
shop.api.1.1  1 job 9      쪽 3  60 s  40 %      about 2 min  line one
shop.api.1.1  12 requests        60 s
";
        assert_eq!(strip_str(&table(&[job, requests], Time(120_000))).to_string(), want);
    }
}
