//! `naru down`: everything of a stack, or of all, is retired.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::{Until, Wish};
use crate::cli::order::{Order, OrderArgs, see_through, send};
use crate::cli::session::Session;
use clap::Args;
use naru_model::{Change, StackName};

/// What `naru down` takes.
#[derive(Args, Debug)]
pub struct Down {
    /// Every stack
    #[arg(long, conflicts_with_all = ["file", "project_name"])]
    all: bool,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Down {
    /// Retires everything. Several stacks retire side by side.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let client = session.client()?;
        let stacks: Vec<StackName> = match self.all {
            true => client.stacks().await?.into_iter().map(|view| view.name).collect(),
            false => vec![session.stack(&client).await?],
        };
        if stacks.is_empty() {
            session.printer.result("no stack runs: nothing to do");
        }
        let mut open = vec![];
        for stack in stacks {
            let (change, args) = (Change::Down, self.order.clone());
            let order =
                Order { stack, change, args, until: Until::Ended, wish: Wish::Success, affects: None };
            open.extend(send(session, &client, order).await?);
        }
        for taken in open {
            let code = see_through(session, &client, taken).await?;
            if code != Code::Done {
                return Ok(code);
            }
        }
        Ok(Code::Done)
    }
}
