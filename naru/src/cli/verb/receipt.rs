//! `naru receipt`: who, what, why and when; how long it waited and for what; what became of each piece of
//! work.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::{Following, Until, Wish, follow};
use crate::cli::moment::now;
use crate::cli::session::Session;
use clap::Args;
use naru_model::{Operation, OperationId, Time};
use naru_show::{receipt, story};

/// What `naru receipt` takes.
#[derive(Args, Debug)]
pub struct ReceiptArgs {
    /// The operation's number; without it, the stack's newest
    id: Option<u64>,
    /// What happened, step by step, too
    #[arg(short, long, conflicts_with = "json")]
    log: bool,
    /// Follow the operation first, until it has ended and its receipt is final
    #[arg(long)]
    wait: bool,
    /// Print the operation as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl ReceiptArgs {
    /// Shows a receipt.
    ///
    /// # Errors
    /// No server, or no such operation.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let client = session.client()?;
        let mut operation = match self.id {
            Some(id) => client.operation(OperationId(id)).await?,
            None => newest(client.operations(session.scope()?.as_ref(), 1).await?)?,
        };
        if self.wait && operation.ended.is_none() {
            let (stack, id) = (operation.stack.clone(), operation.id);
            let what = Following { stack, id, until: Until::Ended, wish: Wish::Success, from: Time(0) };
            let code = follow(session, &client, what).await?;
            if code != Code::Done {
                return Ok(code);
            }
            operation = client.operation(id).await?;
        }
        if self.json {
            session.printer.json(&operation)?;
            return Ok(Code::Done);
        }
        let mut text = receipt(&operation, now());
        if self.log {
            text += &story(&operation);
        }
        session.printer.data(&text)?;
        Ok(Code::Done)
    }
}

fn newest(operations: Vec<Operation>) -> Result<Operation, Fail> {
    operations.into_iter().max_by_key(|operation| operation.id).ok_or_else(|| {
        Fail::new("there is no receipt: nothing has been done yet").help("`naru up` does something")
    })
}
