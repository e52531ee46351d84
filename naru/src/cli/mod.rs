//! The command line: what can be typed, what is done, what is shown.
//!
//! [`args`] says what can be typed. [`settings`] is what arguments and environment say together, resolved
//! once. [`session`] holds both ways to the outside, server and files, and the one [`printer`]. Each verb is a
//! module of [`verb`]; those that order something go through [`order`], and [`follow`] shows how it goes.
//! Errors become one shape and one exit code in [`fail`].

mod args;
mod fail;
mod follow;
mod load;
mod moment;
mod order;
mod paint;
mod printer;
mod reference;
#[cfg(test)]
mod sample;
mod session;
mod settings;
mod table;
mod verb;

use args::{Cli, ProjectArgs, Verb};
use clap::Parser;
use clap::error::ErrorKind;
use fail::{Code, Fail};
use printer::Printer;
use session::Session;
use settings::Settings;
use std::process::ExitCode;

/// Does what was typed.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_parsed(error),
    };
    let after = project(&cli.verb).cloned().unwrap_or_default();
    let (code, printer) = match Settings::resolve(cli.project, after, cli.output) {
        Ok(settings) => {
            let session = Session { printer: Printer::new(&settings), settings };
            (run(cli.verb, &session), session.printer)
        }
        Err(fail) => (Err(fail), Printer::plain()),
    };
    let code = code.unwrap_or_else(|fail| {
        printer.fail(&fail);
        fail.code
    });
    code.into()
}

/// Help and versions are no errors, and are shown as they are.
fn not_parsed(error: clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error.exit(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {
            let fail = Fail::typed(&error, std::env::args().skip(1));
            Printer::plain().fail(&fail);
            fail.code.into()
        }
    }
}

fn run(verb: Verb, session: &Session) -> Result<Code, Fail> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fail::new)?;
    let code = runtime.block_on(dispatch(verb, session));
    // A question on the terminal, or a file on a dead disk, must not hold the end of the command.
    runtime.shutdown_background();
    code
}

async fn dispatch(verb: Verb, session: &Session) -> Result<Code, Fail> {
    match verb {
        Verb::Up(up) => up.run(session).await,
        Verb::Plan(plan) => plan.run(session).await,
        Verb::Ps(ps) => ps.run(session).await,
        Verb::Logs(logs) => logs.run(session).await,
        Verb::Work(work) => work.run(session).await,
        Verb::Routes(routes) => routes.run(session).await,
        Verb::Ls(ls) => ls.run(session).await,
        Verb::Scale(scale) => scale.run(session).await,
        Verb::Stop(stop) => stop.run(session).await,
        Verb::Start(start) => start.run(session).await,
        Verb::Restart(restart) => restart.run(session).await,
        Verb::Down(down) => down.run(session).await,
        Verb::Pause(pause) => pause.run(session).await,
        Verb::Resume(resume) => resume.run(session).await,
        Verb::Promote(promote) => promote.run(session).await,
        Verb::Abort(abort) => abort.run(session).await,
        Verb::Rollback(rollback) => rollback.run(session).await,
        Verb::History(history) => history.run(session).await,
        Verb::Receipt(receipt) => receipt.run(session).await,
        Verb::Config(config) => config.run(session),
        Verb::Schema => session.printer.json(&naru_compose::schema()).map(|()| Code::Done),
        Verb::Shutdown(shutdown) => shutdown.run(session).await,
        Verb::Completions(completions) => completions.run(session),
        Verb::Version(version) => version.run(session).await,
        Verb::Reference => session.printer.data(&reference::markdown()).map(|()| Code::Done),
    }
}

/// What stands behind the verb about the stack.
fn project(verb: &Verb) -> Option<&ProjectArgs> {
    match verb {
        Verb::Up(up) => Some(&up.project),
        Verb::Plan(plan) => Some(&plan.project),
        Verb::Ps(ps) => Some(&ps.project),
        Verb::Logs(logs) => Some(&logs.project),
        Verb::Work(work) => Some(&work.project),
        Verb::Routes(routes) => Some(&routes.project),
        Verb::Scale(scale) => Some(&scale.project),
        Verb::Stop(stop) => Some(&stop.project),
        Verb::Start(start) => Some(&start.project),
        Verb::Restart(restart) => Some(&restart.project),
        Verb::Down(down) => Some(&down.project),
        Verb::Pause(pause) => Some(&pause.project),
        Verb::Resume(resume) => Some(&resume.project),
        Verb::Promote(promote) => Some(&promote.project),
        Verb::Abort(abort) => Some(&abort.project),
        Verb::Rollback(rollback) => Some(&rollback.project),
        Verb::History(history) => Some(&history.project),
        Verb::Receipt(receipt) => Some(&receipt.project),
        Verb::Config(config) => Some(&config.project),
        Verb::Ls(_)
        | Verb::Schema
        | Verb::Shutdown(_)
        | Verb::Completions(_)
        | Verb::Version(_)
        | Verb::Reference => None,
    }
}
