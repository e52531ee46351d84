//! `naru stats`: what instances use of the machine, now and again each second.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::printer::terminal_size;
use crate::cli::screen::Screen;
use crate::cli::session::Session;
use crate::cli::table::{Table, cut};
use clap::Args;
use naru_api::{Duplex, ReachOrder};
use naru_reach::{Usage, Usages};
use serde_json::json;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The time between two readings.
const TICK: Duration = Duration::from_secs(1);

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
                session.printer.data(&table(&now, &before))?;
            }
            return Ok(Code::Done);
        }
        self.watch(usages, before).await
    }

    async fn watch(&self, mut usages: Usages<impl Duplex>, mut before: Vec<Usage>) -> Result<Code, Fail> {
        let (mut ends, mut hangs_up) = (
            signal(SignalKind::terminate()).map_err(Fail::new)?,
            signal(SignalKind::hangup()).map_err(Fail::new)?,
        );
        let mut screen = Screen::open().map_err(Fail::new)?;
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                key = screen.key() => if matches!(key, b'q' | b'Q') { return Ok(Code::Done) },
                _ = tick.tick() => {
                    let now = self.read(&mut usages).await?;
                    let (columns, height) = terminal_size();
                    let text = table(&now, &before);
                    let lines: Vec<String> = text.lines().take(height).map(|line| cut(line, columns)).collect();
                    screen.show(&lines.join("\n")).map_err(Fail::new)?;
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

fn table(now: &[Usage], before: &[Usage]) -> String {
    let head = ["INSTANCE", "CPU %", "MEMORY", "LIMIT", "NET IN / OUT", "DISK READ / WRITTEN", "TASKS"];
    let mut table = Table::new(&head);
    let pair =
        |pair: Option<(u64, u64)>| pair.map_or("-".into(), |(a, b)| format!("{} / {}", size(a), size(b)));
    for one in now {
        table.row([
            one.instance.to_string(),
            percent(one, before).map_or("-".into(), |cpu| format!("{cpu:.1}")),
            size(one.memory),
            one.memory_limit.map_or("-".into(), size),
            pair(one.network),
            pair(one.disk),
            one.tasks.to_string(),
        ]);
    }
    table.render()
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
    use super::{size, table};
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
        assert_eq!(strip_str(&table(&[web, new], &[before])).to_string(), want);
        assert_eq!([0, 1023, 1024, 200 << 20].map(size), ["0 B", "1023 B", "1.0 KiB", "200 MiB"]);
    }
}
