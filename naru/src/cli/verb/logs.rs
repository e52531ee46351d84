//! `naru logs`: what instances wrote, each line with the instance that wrote it.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::moment::{now, parse_since, stamp};
use crate::cli::paint;
use crate::cli::session::Session;
use crate::cli::table::{pad, width};
use clap::Args;
use naru_api::{Client, LogLine, LogQuery, LogSource};
use naru_model::{InstanceId, InstanceView, StackName, Time};
use std::collections::BTreeSet;

/// What `naru logs` takes.
#[derive(Args, Debug)]
#[command(mut_arg("file", |file| file.short(None)))]
pub struct Logs {
    /// Only these services or instances
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
    /// Go on with lines as they are written, of instances that are yet to come too
    #[arg(short, long)]
    follow: bool,
    /// The last so many lines of each instance; `all` for all that are kept
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = parse_tail)]
    tail: Tail,
    /// Only lines since then: `10m`, `1h30m`, or a date
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// Leave the instance's name out
    #[arg(long)]
    no_log_prefix: bool,
    /// Print each line as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// How many lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// All that are kept.
    All,
    /// So many.
    Last(u64),
}

/// A number of lines, or `all`.
///
/// # Errors
/// It is neither.
pub fn parse_tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail::All),
        _ => text.parse().map(Tail::Last).map_err(|_| "write a number, or `all`".into()),
    }
}

impl Logs {
    /// Logs of these instances.
    pub fn of(names: Vec<String>, follow: bool, tail: Tail) -> Logs {
        Logs {
            names,
            follow,
            tail,
            since: None,
            timestamps: false,
            no_log_prefix: false,
            json: false,
            project: ProjectArgs::default(),
        }
    }

    /// Prints logs, in the order of time over all instances.
    ///
    /// # Errors
    /// No server, or no such service.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let client = session.client()?;
        let scope = session.scope()?;
        let instances = client.instances(scope.as_ref()).await?;
        check(&client, scope.as_ref(), &self.names, &instances).await?;
        self.show(session, &client, scope).await
    }

    /// Prints them.
    ///
    /// # Errors
    /// No server.
    pub async fn show(
        self,
        session: &Session,
        client: &Client,
        scope: Option<StackName>,
    ) -> Result<Code, Fail> {
        let from =
            self.since.as_deref().map(|since| parse_since(since, now())).transpose()?.unwrap_or(Time(0));
        let mut instances = client.instances(scope.as_ref()).await?;
        instances.retain(|view| self.names.is_empty() || self.names.iter().any(|name| is_called(view, name)));
        let tail = if let Tail::Last(n) = self.tail { Some(n) } else { None };
        let mut lines =
            client.logs(&LogQuery { stack: scope, tail, follow: self.follow, ..LogQuery::default() }).await?;
        let mut writer = Writer { session, logs: &self, names: BTreeSet::new(), widest: 0 };
        writer.meet(instances.iter().map(|view| &view.id));
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                _ = tokio::signal::ctrl_c() => return Ok(Code::Done),
            };
            let Some(line) = line else { break };
            if line.time >= from && self.wants(&line) {
                writer.write(&line)?;
            }
        }
        Ok(Code::Done)
    }

    fn wants(&self, line: &LogLine) -> bool {
        let named = |name: &String| *name == line.service.as_str() || *name == line.instance.as_str();
        self.names.is_empty() || self.names.iter().any(named)
    }
}

/// A name that is neither a service's nor an instance's would show nothing, and say nothing.
async fn check(
    client: &Client,
    stack: Option<&StackName>,
    names: &[String],
    instances: &[InstanceView],
) -> Result<(), Fail> {
    if names.is_empty() {
        return Ok(());
    }
    let stacks = client.stacks().await?;
    let mine = stacks.iter().filter(|view| stack.is_none_or(|stack| *stack == view.name));
    let services: BTreeSet<&str> =
        mine.flat_map(|view| &view.services).map(|service| service.name.as_str()).collect();
    let known = |name: &str| services.contains(name) || instances.iter().any(|view| is_called(view, name));
    match names.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(stranger) => Err(Fail::usage(format!("there is no service or instance `{stranger}`"))
            .help(format!("services: {}", services.into_iter().collect::<Vec<_>>().join(", ")))),
    }
}

fn is_called(view: &InstanceView, name: &str) -> bool {
    view.id.as_str() == name || view.service.as_str() == name
}

struct Writer<'a> {
    session: &'a Session,
    logs: &'a Logs,
    /// The instances met so far: each has a colour, and the widest sets the column.
    names: BTreeSet<InstanceId>,
    widest: usize,
}

impl Writer<'_> {
    /// Makes room for all these at once, so that the column does not move.
    fn meet<'i>(&mut self, instances: impl Iterator<Item = &'i InstanceId>) {
        for instance in instances.filter(|_| !self.logs.no_log_prefix) {
            self.names.insert(instance.clone());
            self.widest = self.widest.max(width(instance.as_str()));
        }
    }

    fn write(&mut self, line: &LogLine) -> Result<(), Fail> {
        self.meet(std::iter::once(&line.instance));
        if self.logs.json {
            let object = serde_json::to_string(line).map_err(Fail::new)?;
            return self.session.printer.data(&format!("{object}\n"));
        }
        let mut text = String::new();
        if !self.logs.no_log_prefix {
            let place = self.names.iter().position(|name| *name == line.instance).unwrap_or(0);
            let name = pad(line.instance.as_str(), self.widest);
            text += &format!("{} ", paint::tag(place, format!("{name} |")));
        }
        if self.logs.timestamps {
            text += &format!("{} ", paint::dim(stamp(line.time)));
        }
        text += &match line.stream {
            LogSource::Note => paint::warning(format!("naru: {}", line.line)),
            LogSource::Stdout | LogSource::Stderr => line.line.clone(),
        };
        self.session.printer.data(&format!("{text}\n"))
    }
}
