//! `naru events`: what happened, and what happens.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::moment::{now, parse_since, stamp};
use crate::cli::paint;
use crate::cli::session::Session;
use crate::cli::table::{foreign, pad};
use clap::Args;
use naru_api::{Event, EventQuery};

/// Columns of the longest kind.
const KIND: usize = "request-withdrawn".len();

/// What `naru events` takes.
#[derive(Args, Debug)]
#[command(mut_arg("file", |file| file.short(None)))]
pub struct Events {
    /// Only these services or instances
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    /// Only what happened since then: `10m`, `1h30m`, or a date
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Print each event as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Events {
    /// Prints events, oldest first.
    ///
    /// # Errors
    /// No server.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let since = self.since.as_deref().map(|since| parse_since(since, now())).transpose()?;
        let query =
            EventQuery { stack: session.scope()?, since: since.map(|since| since.0), follow: self.follow };
        let mut events = session.client()?.events(&query).await?;
        loop {
            let event = tokio::select! {
                event = events.next() => event?,
                _ = tokio::signal::ctrl_c() => return Ok(Code::Done),
            };
            match event {
                Some(event) if self.wants(&event) => session.printer.data(&self.line(&event)?)?,
                Some(_) => {}
                None => return Ok(Code::Done),
            }
        }
    }

    fn wants(&self, event: &Event) -> bool {
        let is = |name: &String| {
            event.service.as_ref().is_some_and(|service| *name == service.as_str())
                || event.instance.as_ref().is_some_and(|instance| *name == instance.as_str())
        };
        self.names.is_empty() || self.names.iter().any(is)
    }

    fn line(&self, event: &Event) -> Result<String, Fail> {
        if self.json {
            return Ok(serde_json::to_string(event).map_err(Fail::new)? + "\n");
        }
        let of = match (&event.instance, event.operation) {
            (Some(instance), _) => instance.to_string(),
            (None, Some(operation)) => format!("{} operation {operation}", event.stack),
            (None, None) => event.stack.to_string(),
        };
        let by = event.actor.as_deref().map(|actor| format!(" (by {})", foreign(actor))).unwrap_or_default();
        let (at, kind) = (paint::dim(stamp(event.time)), pad(event.kind.word(), KIND));
        Ok(format!("{at}  {kind}  {}  {}{by}\n", paint::bold(of), foreign(&event.text)))
    }
}
