//! `naru top`: what goes through the edge now, by rule or by instance.
//!
//! Rates come from two readings of the edge's counts, a second apart; with `--once`, from one reading and the edge's
//! beginning.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::paint::{self, Tone};
use crate::cli::printer::terminal_size;
use crate::cli::screen::Screen;
use crate::cli::session::Session;
use crate::cli::settings::Colour;
use crate::cli::table::{Table, cut, foreign, width};
use anstream::adapter::strip_str;
use clap::Args;
use naru_chain::admin::{self, LookError};
use naru_model::{EdgeSnapshot, StackName};
use naru_show::{Rates, Traffic};
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
            session.printer.data(&(table(&traffic, by) + &draining))?;
            return Ok(Code::Done);
        }
        let view = View { session, scope, by, before: None, now: first, trouble: None };
        view.watch().await.map_err(|error| Fail::new(format!("the terminal cannot be written: {error}")))
    }
}

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rule,
    Instance,
}

/// The picture on a terminal.
struct View<'a> {
    session: &'a Session,
    scope: Option<StackName>,
    by: By,
    before: Option<EdgeSnapshot>,
    now: EdgeSnapshot,
    /// Why the newest reading could not be had.
    trouble: Option<String>,
}

impl View<'_> {
    async fn watch(mut self) -> std::io::Result<Code> {
        let home = self.session.settings.home().map_err(|fail| std::io::Error::other(fail.error))?;
        let (mut ends, mut hangs_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        let mut screen = Screen::open()?;
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
        loop {
            screen.show(&self.picture(terminal_size()))?;
            tokio::select! {
                key = screen.key() => match key {
                    b'q' | b'Q' => return Ok(Code::Done),
                    b'i' => self.by = if self.by == By::Rule { By::Instance } else { By::Rule },
                    _ => {}
                },
                _ = tick.tick() => self.take(admin::snapshot(home).await),
                _ = tokio::signal::ctrl_c() => return Ok(Code::Done),
                _ = ends.recv() => return Ok(Code::Done),
                _ = hangs_up.recv() => return Ok(Code::Done),
            }
        }
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

    fn picture(&self, (columns, height): (usize, usize)) -> String {
        let traffic = Traffic::of(&self.now, self.before.as_ref(), self.scope.as_ref());
        let what = if self.by == By::Rule { "instances" } else { "rules" };
        let all = traffic.total();
        let head = format!(
            "{}  {} requests/s, {} in progress   {}",
            paint::bold("naru top"),
            rate(all.requests_per_s),
            all.in_progress,
            paint::dim(format!("q ends, i shows {what}")),
        );
        let trouble = self.trouble.as_ref().map(|trouble| paint::tone(Tone::Bad, foreign(trouble)));
        let second = trouble.or_else(|| draining(&traffic)).unwrap_or_default();
        let mut lines: Vec<String> = vec![head, second];
        lines.extend(table(&traffic, self.by).lines().map(String::from));
        let more = (lines.len() + 1).saturating_sub(height);
        if more > 0 {
            lines.truncate(height.saturating_sub(2));
            lines.push(paint::dim(format!("… and {more} more")));
        }
        let colour = self.session.settings.colour;
        lines.iter().map(|line| format!("{}\n", fitted(line, columns, colour))).collect()
    }
}

fn fitted(line: &str, columns: usize, colour: Colour) -> String {
    match colour {
        _ if width(line) >= columns => cut(line, columns.saturating_sub(1)),
        Colour::Never => strip_str(line).to_string(),
        Colour::OnTerminals => line.into(),
    }
}

/// What old edge processes still finish, if there are any.
fn draining(traffic: &Traffic) -> Option<String> {
    let each: Vec<_> = traffic
        .draining
        .iter()
        .map(|one| match one.connections {
            1 => format!("process {} has 1 connection", one.pid),
            n => format!("process {} has {n} connections", one.pid),
        })
        .collect();
    let edges =
        if each.len() == 1 { "1 old edge drains".into() } else { format!("{} old edges drain", each.len()) };
    (!each.is_empty()).then(|| format!("{edges}: {}", each.join(", ")))
}

/// The busiest first.
fn table(traffic: &Traffic, by: By) -> String {
    match by {
        By::Rule => {
            let mut table = Table::new(&[
                "STACK", "SERVICE", "ADDRESS", "RULE", "REQ/S", "NOW", "P50", "P95", "P99", "4XX/S", "5XX/S",
                "QUEUE",
            ]);
            for row in &traffic.rules {
                let names = [&row.stack, &row.service, &row.address, &row.rule].map(|name| foreign(name));
                let queue = if row.queue > 0 { row.queue.to_string() } else { String::new() };
                table.row(names.into_iter().chain(cells(&row.rates)).chain([queue]));
            }
            table.render()
        }
        By::Instance => {
            let mut table =
                Table::new(&["INSTANCE", "RELEASE", "REQ/S", "NOW", "P50", "P95", "P99", "4XX/S", "5XX/S"]);
            for row in &traffic.instances {
                let release = row.release.map(|release| release.to_string()).unwrap_or_default();
                table.row([foreign(&row.instance), release].into_iter().chain(cells(&row.rates)));
            }
            table.render()
        }
    }
}

fn cells(rates: &Rates) -> impl Iterator<Item = String> {
    let errors = |per_s: f64, tone| {
        if per_s > 0.0 { paint::tone(tone, rate(per_s)) } else { paint::dim("0") }
    };
    [
        rate(rates.requests_per_s),
        rates.in_progress.to_string(),
        latency(rates.p50_ms),
        latency(rates.p95_ms),
        latency(rates.p99_ms),
        errors(rates.errors_4xx_per_s, Tone::Busy),
        errors(rates.errors_5xx_per_s, Tone::Bad),
    ]
    .into_iter()
}

/// With so many digits as say something.
fn rate(per_s: f64) -> String {
    match per_s {
        0.0 => "0".into(),
        few if few < 10.0 => format!("{few:.2}"),
        some if some < 100.0 => format!("{some:.1}"),
        many => format!("{many:.0}"),
    }
}

fn latency(ms: Option<f64>) -> String {
    match ms {
        None => "-".into(),
        Some(ms) if ms < 1.0 => format!("{:.0} µs", ms * 1000.0),
        Some(ms) if ms < 100.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 10_000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.0} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{By, draining, fitted, latency, rate, table};
    use crate::cli::sample;
    use crate::cli::settings::Colour;
    use crate::cli::table::width;
    use anstream::adapter::strip_str;
    use naru_model::{DrainingEdge, EdgeSnapshot, Time};
    use naru_show::Traffic;

    #[test]
    fn a_rule_and_an_instance_are_one_line_each() {
        let traffic = Traffic::of(&sample::traffic(Time(13_000), 30), None, None);
        let rules = "\
STACK  SERVICE  ADDRESS       REQ/S  NOW  P50     P95     P99     4XX/S  5XX/S  QUEUE
shop   api      0.0.0.0:8080  20.0   0    3.2 ms  3.3 ms  3.3 ms  0      10.0   3
";
        assert_eq!(strip_str(&table(&traffic, By::Rule)).to_string(), rules);
        let instances = "\
INSTANCE      RELEASE  REQ/S  NOW  P50     P95     P99     4XX/S  5XX/S
shop.api.2.1  2        10.0   0    3.2 ms  3.3 ms  3.3 ms  0      0
";
        assert_eq!(strip_str(&table(&traffic, By::Instance)).to_string(), instances);
    }

    #[test]
    fn old_edges_are_told_of() {
        let mut seen = sample::traffic(Time(13_000), 30);
        assert_eq!(draining(&Traffic::of(&seen, None, None)), None);
        let old = |pid, connections| DrainingEdge { pid, connections };
        seen.draining = vec![old(7, 1)];
        let line = |seen: &EdgeSnapshot| draining(&Traffic::of(seen, None, None)).unwrap();
        assert_eq!(line(&seen), "1 old edge drains: process 7 has 1 connection");
        seen.draining.push(old(8, 20));
        let two = "2 old edges drain: process 7 has 1 connection, process 8 has 20 connections";
        assert_eq!(line(&seen), two);
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        assert_eq!([0.0, 0.5, 12.34, 12_345.6].map(rate), ["0", "0.50", "12.3", "12346"]);
        let ms = [None, Some(0.05), Some(3.12), Some(314.1), Some(31_400.0)].map(latency);
        assert_eq!(ms, ["-", "50 µs", "3.1 ms", "314 ms", "31 s"]);
    }

    #[test]
    fn a_line_is_never_wider_than_the_terminal() {
        let traffic = Traffic::of(&sample::traffic(Time(13_000), 30), None, None);
        for line in table(&traffic, By::Rule).lines() {
            assert!((2..90).all(|columns| width(&fitted(line, columns, Colour::OnTerminals)) < columns));
        }
    }
}
