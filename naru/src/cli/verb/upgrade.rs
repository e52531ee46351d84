//! `naru upgrade`: server, agent and edge of this binary take the place of those that run, and nothing that is
//! in progress ends.

use crate::cli::fail::{Code, Fail};
use crate::cli::printer::Printer;
use crate::cli::session::Session;
use clap::Args;
use naru_chain::{Standing, standing};
use naru_home::Home;
use naru_model::DrainingEdge;
use naru_model::plural;
use naru_roles::keeper::{self, EdgeRenewed, Renewed, Scope};
use serde::Serialize;
use std::time::Duration;

/// What `naru upgrade` takes.
#[derive(Args, Debug)]
pub struct Upgrade {
    /// Replace only the edge, and the keeper that starts it
    #[arg(long)]
    edge: bool,
    /// Replace nothing: show the old edges that still carry connections
    #[arg(long, conflicts_with = "edge")]
    show: bool,
    /// Print what was done, or is, as JSON
    #[arg(long)]
    json: bool,
}

/// An old edge tells the new one within milliseconds what it carries; one that does not is shown as it is.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// The JSON of it.
#[derive(Serialize)]
struct Told<'a> {
    done: Option<&'a Renewed>,
    edge: Option<&'a Standing>,
}

impl Upgrade {
    /// Replaces what runs.
    ///
    /// # Errors
    /// Nothing runs, or the old processes go on.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let dir = session.settings.home()?;
        let home = Home::open(dir).map_err(Fail::new)?;
        let scope = if self.edge { Scope::Edge } else { Scope::All };
        let done = if self.show { None } else { keeper::upgrade(dir, scope).await? };
        let edge = match done {
            Some(_) => settled(&home).await?,
            None => standing(&home).await.map_err(Fail::new)?,
        };
        let printer = &session.printer;
        if self.json {
            printer.json(&Told { done: done.as_ref(), edge: edge.as_ref() })?;
        } else if done.is_none() && edge.is_none() {
            printer.result("nothing runs here: nothing to replace, and the next command starts this version");
        } else {
            tell(printer, done.as_ref(), edge.as_ref());
        }
        match done.map(|done| done.edge) {
            Some(EdgeRenewed::Refused(why)) => Err(Fail::new(format!("the old edge goes on: {why}"))),
            _ => Ok(Code::Done),
        }
    }
}

/// How the edge stands once the old one has said what it carries, or ended.
async fn settled(home: &Home) -> Result<Option<Standing>, Fail> {
    let give_up = tokio::time::Instant::now() + SETTLES_WITHIN;
    loop {
        let now = standing(home).await.map_err(Fail::new)?;
        let is_settled = now
            .as_ref()
            .is_some_and(|now| now.draining.iter().all(|one| one.pid != 0 && one.connections > 0));
        if is_settled || tokio::time::Instant::now() > give_up {
            return Ok(now);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn tell(printer: &Printer, done: Option<&Renewed>, edge: Option<&Standing>) {
    let version = env!("CARGO_PKG_VERSION");
    if let Some(done) = done {
        match done.edge {
            EdgeRenewed::Over => printer.result("edge: a new one accepts on the same sockets"),
            EdgeRenewed::Alone => printer.result("edge: a new one serves; there was none"),
            EdgeRenewed::Refused(_) => {}
        }
        done.roles.iter().for_each(|role| printer.result(format_args!("{role}: a new one is at work")));
        printer.result(format_args!("this is version {version}; no instance was touched"));
    }
    if let Some(edge) = edge {
        printer.result(carried(edge));
    }
}

/// What old edges still carry.
fn carried(edge: &Standing) -> String {
    if edge.draining.is_empty() {
        return "no old edge carries anything".into();
    }
    let line = |one: &DrainingEdge| {
        let pid = if one.pid == 0 { "not heard of yet".into() } else { format!("pid {}", one.pid) };
        format!("\n  {pid}: {}", plural(one.connections, "connection"))
    };
    let lines: String = edge.draining.iter().map(line).collect();
    match edge.draining.len() as u64 {
        1 => format!("1 old edge carries what was open, and ends with it:{lines}"),
        n => format!("{n} old edges carry what was open, and end with it:{lines}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, carried};
    use naru_model::DrainingEdge;

    #[track_caller]
    fn check(connections: &[(u32, u64)], expected: &str) {
        let draining = connections
            .iter()
            .map(|(pid, connections)| DrainingEdge { pid: *pid, connections: *connections });
        let standing = Standing { pid: 1, connections: 5, draining: draining.collect() };
        assert_eq!(carried(&standing), expected);
    }

    #[test]
    fn old_edges_are_listed_with_what_they_carry() {
        check(&[], "no old edge carries anything");
        check(&[(7, 1)], "1 old edge carries what was open, and ends with it:\n  pid 7: 1 connection");
        check(
            &[(7, 12), (0, 0)],
            "2 old edges carry what was open, and end with it:\n  pid 7: 12 connections\n  not heard of yet: 0 connections",
        );
    }
}
