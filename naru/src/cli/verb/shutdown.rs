//! `naru shutdown`: server, agent and edge end. Refused while instances run, unless they are to be cut.

use crate::cli::fail::{Code, Fail};
use crate::cli::moment::now;
use crate::cli::paint;
use crate::cli::printer::Answer;
use crate::cli::session::Session;
use crate::cli::verb::work::table;
use clap::Args;
use naru_api::ShutdownOrder;
use naru_model::{Ending, plural};
use naru_roles::keeper::{self, Ended};

/// What `naru shutdown` takes.
#[derive(Args, Debug)]
pub struct Shutdown {
    /// End the instances too, with the work that is in progress on them. Asks first
    #[arg(long)]
    cut: bool,
    /// Answer yes to the question that `--cut` asks
    #[arg(short, long, requires = "cut")]
    yes: bool,
}

impl Shutdown {
    /// Ends the background processes. Where none run, there is nothing to do.
    ///
    /// # Errors
    /// Instances run.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let ending = if self.cut { Ending::Cut } else { Ending::Finish };
        if self.cut && !self.yes {
            confirm(session).await?;
        }
        let said = match keeper::shutdown(session.settings.home()?, ShutdownOrder { ending }).await? {
            Ended::Now => "server, agent and edge have ended",
            Ended::Before => "no server is running: nothing to do",
        };
        session.printer.result(said);
        Ok(Code::Done)
    }
}

async fn confirm(session: &Session) -> Result<(), Fail> {
    if !session.printer.can_ask() {
        return Err(Fail::usage("`--cut` asks before it ends work, and there is no terminal to ask on")
            .help("add `--yes`, or `naru down --all` first: then the work finishes"));
    }
    let client = session.client()?;
    let running = match client.instances(None).await {
        Err(error) if error.is_no_server() => return Ok(()),
        instances => instances?.len() as u64,
    };
    let work = client.work(None).await?;
    if !work.is_empty() {
        session.printer.raw(&format!("{}\n{}", paint::bold("this work is cut:"), table(&work, now())));
    }
    match session.printer.ask(&format!("End {} and their work?", plural(running, "instance")))? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Fail { code: Code::Refused, ..Fail::new("not confirmed: nothing was changed") }),
    }
}
