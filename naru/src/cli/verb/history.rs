//! `naru history`: the operations, newest first.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::moment::{ago, now};
use crate::cli::paint::{self, Tone};
use crate::cli::session::Session;
use crate::cli::table::{Table, foreign};
use clap::Args;
use naru_model::{Counts, Operation, Time};
use naru_show::how_it_went;
use std::collections::BTreeSet;

/// What `naru history` takes.
#[derive(Args, Debug)]
pub struct History {
    /// Show so many, the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print the operations as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl History {
    /// Lists operations.
    ///
    /// # Errors
    /// No server.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let stack = session.scope()?;
        let one_more = self.limit.saturating_add(1);
        let mut operations = session.client()?.operations(stack.as_ref(), one_more).await?;
        let older = operations.len() > self.limit;
        operations.truncate(self.limit);
        if self.json {
            session.printer.json(&operations)?;
        } else if operations.is_empty() {
            session.printer.note("nothing has been done yet");
        } else {
            session.printer.data(&render(&operations, now()))?;
            if older {
                session.printer.note(format!("there are older ones: `naru history -n {}`", self.limit * 5));
            }
        }
        Ok(Code::Done)
    }
}

fn render(operations: &[Operation], now: Time) -> String {
    let stacks: BTreeSet<&str> = operations.iter().map(|one| one.stack.as_str()).collect();
    let mut table = Table::new(&[
        "ID",
        "STACK",
        "WHAT",
        "RELEASE",
        "WHEN",
        "BY",
        "STATE",
        "CUT OVER",
        "WORK LOST",
        "WORK CUT",
        "MESSAGE",
    ]);
    for one in operations {
        let total = one.receipt.total();
        table.row([
            one.id.to_string(),
            if stacks.len() > 1 { one.stack.to_string() } else { String::new() },
            one.kind.to_string(),
            one.release.map(|release| release.to_string()).unwrap_or_default(),
            ago(one.began, now),
            foreign(&one.actor),
            how_it_went(one),
            one.cut_over.map(|at| format!("in {}", at.since(one.began))).unwrap_or_default(),
            count(total, Counts::lost),
            count(total, |total| total.cut),
            one.message.as_deref().map(foreign).unwrap_or_default(),
        ]);
    }
    table.render()
}

fn count(total: Counts, which: impl Fn(&Counts) -> u64) -> String {
    match which(&total) {
        0 => String::new(),
        n => paint::tone(Tone::Bad, n),
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::cli::sample;
    use anstream::adapter::strip_str;
    use naru_model::{OperationOutcome, OperationPhase, Time};

    #[test]
    fn an_operation_is_one_line() {
        let mut done = sample::deploy("shop");
        done.outcome = Some(OperationOutcome::Succeeded);
        done.phase = OperationPhase::Retiring;
        done.cut_over = Some(Time(61_250));
        let shown = render(&[done], Time(200_000));
        let want = "\
ID  WHAT    RELEASE  WHEN       BY    STATE                CUT OVER  MESSAGE
7   deploy  2        2 min ago  mina  succeeded, retiring  in 1.2 s  new model
";
        assert_eq!(strip_str(&shown).to_string(), want);
    }
}
