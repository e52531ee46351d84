//! `naru stats`: what instances use of the machine, now and again each second.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::session::Session;
use clap::Args;
use naru_api::{Duplex, ReachOrder};
use naru_live::{Act, Page, Screen};
use naru_model::plural;
use naru_reach::{Usage, Usages};
use naru_show::{Entry, Sheet};
use serde_json::json;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The time between two readings.
const TICK: Duration = Duration::from_secs(1);

const HEAD: [&str; 7] =
    ["INSTANCE", "CPU %", "MEMORY", "LIMIT", "NET IN / OUT", "DISK READ / WRITTEN", "TASKS"];

/// What `naru stats` takes.
#[derive(Args, Debug)]
pub struct Stats {
    /// Only these services or instances
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
    /// Print once, after a second, and end; so it is as well where standard output is no terminal
    #[arg(long)]
    no_stream: bool,
    /// Print once, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Stats {
    /// Shows what instances use.
    ///
    /// # Errors
    /// No server, or no agent.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let (client, order) = (session.client()?, ReachOrder::Usage(session.scope()?));
        let mut usages = Usages::new(client.reach(&order).await?);
        let before = self.read(&mut usages).await?;
        if self.json || self.no_stream || !std::io::stdout().is_terminal() || session.settings.is_dumb() {
            tokio::time::sleep(TICK).await;
            let now = self.read(&mut usages).await?;
            if self.json {
                let rows: Vec<_> = now.iter().map(|one| object(one, percent(one, &before))).collect();
                session.printer.json(&rows)?;
            } else if now.is_empty() {
                session.printer.note("nothing runs");
            } else {
                session.printer.data(&sheet(&now, &before).render())?;
            }
            return Ok(Code::Done);
        }
        self.watch(session, usages, before).await
    }

    async fn watch(
        &self,
        session: &Session,
        mut usages: Usages<impl Duplex>,
        mut before: Vec<Usage>,
    ) -> Result<Code, Fail> {
        let (mut ends, mut hangs_up) = (
            signal(SignalKind::terminate()).map_err(Fail::new)?,
            signal(SignalKind::hangup()).map_err(Fail::new)?,
        );
        let mut screen = Screen::open(session.settings.colours()).map_err(Fail::new)?;
        let mut tick = tokio::time::interval(TICK);
        let mut page = page(Sheet::new(&HEAD));
        loop {
            screen.show(&page).map_err(Fail::new)?;
            tokio::select! {
                act = screen.act() => if act == Act::End { return Ok(Code::Done) },
                _ = tick.tick() => {
                    let now = self.read(&mut usages).await?;
                    page = self::page(sheet(&now, &before));
                    before = now;
                }
                _ = tokio::signal::ctrl_c() => return Ok(Code::Done),
                _ = ends.recv() => return Ok(Code::Done),
                _ = hangs_up.recv() => return Ok(Code::Done),
            }
        }
    }

    async fn read(&self, usages: &mut Usages<impl Duplex>) -> Result<Vec<Usage>, Fail> {
        let mut all = usages.next().await.map_err(Fail::new)?;
        // STACK.SERVICE.RELEASE.N, and services may have dots.
        let service =
            |id: &str| id.split_once('.').and_then(|(_, rest)| rest.rsplitn(3, '.').nth(2).map(String::from));
        let is = |id: &str, name: &String| name == id || service(id).as_ref() == Some(name);
        all.retain(|one| {
            self.names.is_empty() || self.names.iter().any(|name| is(one.instance.as_str(), name))
        });
        Ok(all)
    }
}

fn percent(now: &Usage, before: &[Usage]) -> Option<f64> {
    now.cpu_percent(before.iter().find(|one| one.instance == now.instance)?)
}

fn object(one: &Usage, cpu: Option<f64>) -> serde_json::Value {
    let pair = |pair: Option<(u64, u64)>, names: [&str; 2]| {
        pair.map(|(a, b)| json!({ (names[0]): a, (names[1]): b }))
    };
    json!({
        "instance": one.instance,
        "cpu_percent": cpu,
        "memory": one.memory,
        "memory_limit": one.memory_limit,
        "network": pair(one.network, ["received", "sent"]),
        "disk": pair(one.disk, ["read", "written"]),
        "tasks": one.tasks,
    })
}

fn page(sheet: Sheet) -> Page {
    let said = plural(sheet.rows.len() as u64, "instance");
    Page { title: "naru stats", said, note: None, sheet, keys: vec![] }
}

fn sheet(now: &[Usage], before: &[Usage]) -> Sheet {
    let mut sheet = Sheet::new(&HEAD);
    let bytes = |count: u64| Entry::number(count as f64, size(count));
    let pair = |pair: Option<(u64, u64)>| {
        pair.map_or_else(Entry::unknown, |(a, b)| {
            Entry::number(a as f64 + b as f64, format!("{} / {}", size(a), size(b)))
        })
    };
    for one in now {
        let cpu = percent(one, before);
        sheet.rows.push(vec![
            Entry::word(one.instance.as_str()),
            cpu.map_or_else(Entry::unknown, |cpu| Entry::number(cpu, format!("{cpu:.1}"))),
            bytes(one.memory),
            one.memory_limit.map_or_else(Entry::unknown, bytes),
            pair(one.network),
            pair(one.disk),
            Entry::number(one.tasks as f64, one.tasks.to_string()),
        ]);
    }
    sheet
}

fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::{sheet, size};
    use anstream::adapter::strip_str;
    use naru_model::Time;
    use naru_reach::Usage;

    #[test]
    fn an_instance_is_one_line() {
        let before = Usage::none("shop.web.1.1".into(), Time(1_000));
        let now = Usage { at: Time(2_000), cpu_us: 250_000, memory: 3 << 20, tasks: 2, ..before.clone() };
        let web = Usage { network: Some((2_000, 10)), memory_limit: Some(1 << 30), ..now.clone() };
        let new = Usage { instance: "shop.web.1.2".into(), disk: Some((0, 1)), ..now };
        let want = "\
INSTANCE      CPU %  MEMORY   LIMIT    NET IN / OUT    DISK READ / WRITTEN  TASKS
shop.web.1.1  25.0   3.0 MiB  1.0 GiB  2.0 KiB / 10 B  -                    2
shop.web.1.2  -      3.0 MiB  -        -               0 B / 1 B            2
";
        assert_eq!(strip_str(&sheet(&[web, new], &[before]).render()).to_string(), want);
        assert_eq!([0, 1023, 1024, 200 << 20].map(size), ["0 B", "1023 B", "1.0 KiB", "200 MiB"]);
    }
}
