//! `naru top`: what goes through the edge now, by rule or by instance.
//!
//! Rates come from two readings of the edge's counts, a second apart; with `--once`, from one reading and the edge's
//! beginning.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::paint::Tone;
use crate::cli::session::Session;
use crate::cli::table::foreign;
use clap::Args;
use naru_chain::admin::{self, LookError};
use naru_live::{Act, Page, Screen};
use naru_model::{EdgeSnapshot, StackName};
use naru_show::{By, Traffic, draining, rate, traffic_sheet};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The time between two pictures.
const TICK: Duration = Duration::from_secs(1);

/// What `naru top` takes.
#[derive(Args, Debug)]
pub struct Top {
    /// One line for each instance, instead of one for each rule
    #[arg(long)]
    instances: bool,
    /// Print once, with rates since the edge began, and end; so it is as well where standard output is no terminal
    #[arg(long)]
    once: bool,
    /// Print once, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Top {
    /// Shows what goes through.
    ///
    /// # Errors
    /// No edge.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let scope = session.scope()?;
        let first = admin::snapshot(session.settings.home()?).await?;
        if self.json {
            session.printer.json(&Traffic::of(&first, None, scope.as_ref()))?;
            return Ok(Code::Done);
        }
        let by = if self.instances { By::Instance } else { By::Rule };
        if self.once || !std::io::stdout().is_terminal() || session.settings.is_dumb() {
            let traffic = Traffic::of(&first, None, scope.as_ref());
            let draining = draining(&traffic).map(|line| line + "\n").unwrap_or_default();
            session.printer.data(&(traffic_sheet(&traffic, by).render() + &draining))?;
            return Ok(Code::Done);
        }
        let watch = Watch { session, scope, by, before: None, now: first, trouble: None };
        watch.run().await.map_err(|error| Fail::new(format!("the terminal cannot be written: {error}")))
    }
}

/// What is seen on a terminal.
struct Watch<'a> {
    session: &'a Session,
    scope: Option<StackName>,
    by: By,
    before: Option<EdgeSnapshot>,
    now: EdgeSnapshot,
    /// Why the newest reading could not be had.
    trouble: Option<String>,
}

impl Watch<'_> {
    async fn run(mut self) -> std::io::Result<Code> {
        let home = self.session.settings.home().map_err(|fail| std::io::Error::other(fail.error))?;
        let (mut ends, mut hangs_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        let mut screen = Screen::open(self.session.settings.colours())?;
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
        loop {
            screen.show(&self.page())?;
            tokio::select! {
                act = screen.act() => match act {
                    Act::End => return Ok(Code::Done),
                    Act::Own('i') => self.by = self.other(),
                    Act::Own(_) | Act::Draw => {}
                },
                _ = tick.tick() => self.take(admin::snapshot(home).await),
                _ = tokio::signal::ctrl_c() => return Ok(Code::Done),
                _ = ends.recv() => return Ok(Code::Done),
                _ = hangs_up.recv() => return Ok(Code::Done),
            }
        }
    }

    fn other(&self) -> By {
        if self.by == By::Rule { By::Instance } else { By::Rule }
    }

    /// A reading, or none: an edge that is being replaced is back in a moment.
    fn take(&mut self, newest: Result<EdgeSnapshot, LookError>) {
        match newest {
            Ok(newest) => {
                self.before = Some(std::mem::replace(&mut self.now, newest));
                self.trouble = None;
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    fn page(&self) -> Page {
        let traffic = Traffic::of(&self.now, self.before.as_ref(), self.scope.as_ref());
        let what = if self.by == By::Rule { "shows instances" } else { "shows rules" };
        let all = traffic.total();
        let trouble = self.trouble.as_ref().map(|trouble| (foreign(trouble), Tone::Bad));
        Page {
            title: "naru top",
            said: format!("{} requests/s, {} in progress", rate(all.requests_per_s), all.in_progress),
            note: trouble.or_else(|| draining(&traffic).map(|line| (line, Tone::Busy))),
            sheet: traffic_sheet(&traffic, self.by),
            keys: vec![('i', what.into())],
        }
    }
}
