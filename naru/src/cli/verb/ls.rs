//! `naru ls`: the stacks of this server.

use crate::cli::fail::{Code, Fail};
use crate::cli::paint::{self, Tone};
use crate::cli::session::Session;
use crate::cli::table::Table;
use clap::Args;
use naru_model::{Operation, StackView};

/// What `naru ls` takes.
#[derive(Args, Debug)]
pub struct Ls {
    /// Print the stacks as JSON
    #[arg(long)]
    json: bool,
    /// Print only their names
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

impl Ls {
    /// Lists stacks.
    ///
    /// # Errors
    /// No server.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let client = session.client()?;
        let stacks = client.stacks().await?;
        if self.json {
            session.printer.json(&stacks)?;
        } else if self.quiet {
            let names: String = stacks.iter().map(|stack| format!("{}\n", stack.name)).collect();
            session.printer.data(&names)?;
        } else if stacks.is_empty() {
            session.printer.note("no stack runs");
        } else {
            let mut open = vec![];
            for id in stacks.iter().filter_map(|stack| stack.steering) {
                open.push(client.operation(id).await?);
            }
            session.printer.data(&render(&stacks, &open))?;
        }
        Ok(Code::Done)
    }
}

/// `open` are the operations that steer them.
fn render(stacks: &[StackView], open: &[Operation]) -> String {
    let mut table = Table::new(&["STACK", "RELEASE", "SERVICES", "READY", "RETIRING", "STATE"]);
    for stack in stacks {
        let sum = |count: fn(&naru_model::ServiceView) -> u32| stack.services.iter().map(count).sum::<u32>();
        let (ready, wanted) = (sum(|service| service.ready), sum(|service| service.wanted));
        let retiring = sum(|service| service.retiring);
        let tone = if ready < wanted { Tone::Busy } else { Tone::Good };
        table.row([
            stack.name.to_string(),
            stack.serving.map(|release| release.to_string()).unwrap_or_default(),
            stack.services.len().to_string(),
            paint::tone(tone, format!("{ready} of {wanted}")),
            if retiring > 0 { retiring.to_string() } else { String::new() },
            state(stack, open),
        ]);
    }
    table.render()
}

fn state(stack: &StackView, open: &[Operation]) -> String {
    let steering = open.iter().find(|one| Some(one.id) == stack.steering);
    match (steering, stack.target, stack.serving) {
        (Some(one), ..) => paint::tone(Tone::Busy, format!("operation {}: {}", one.id, one.phase)),
        (None, None, _) => paint::dim("down"),
        (None, Some(_), None) => paint::tone(Tone::Bad, "does not serve"),
        (None, Some(_), Some(_)) => "serves".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::cli::sample;
    use anstream::adapter::strip_str;
    use naru_model::{OperationId, ReleaseNo, ServiceView, StackView};

    #[test]
    fn a_stack_is_one_line() {
        let service = ServiceView {
            name: "api".into(),
            wanted: 3,
            ready: 2,
            retiring: 1,
            addresses: vec![],
            power: None,
        };
        let stack = StackView {
            name: "shop".into(),
            serving: Some(ReleaseNo(4)),
            target: Some(ReleaseNo(5)),
            steering: Some(OperationId(7)),
            services: vec![service],
            addresses: vec![],
        };
        let want = "\
STACK  RELEASE  SERVICES  READY   RETIRING  STATE
shop   4        1         2 of 3  1         operation 7: running
";
        assert_eq!(strip_str(&render(&[stack], &[sample::deploy("shop")])).to_string(), want);
    }
}
