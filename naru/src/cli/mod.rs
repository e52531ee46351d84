//! The command line: what can be typed, what is done, what is shown.
//!
//! [`args`] says what can be typed. [`settings`] is what arguments and environment say together, resolved
//! once. [`session`] holds both ways to the outside, server and files, and the one [`printer`]. Each verb is a
//! module of [`verb`]; those that order something go through [`order`], and [`follow`] shows how it goes.
//! Errors become one shape and one exit code in [`fail`].

mod args;
mod fail;
mod follow;
mod images;
mod load;
mod order;
mod printer;
mod reference;
mod session;
mod settings;
mod verb;

use args::{Cli, ProjectArgs, Verb};
use clap::Parser;
use clap::error::ErrorKind;
use fail::{Code, Fail};
use naru_home::Home;
use naru_roles::keeper::{self, Mode};
#[cfg(test)]
use naru_show::sample;
use naru_show::{moment, paint, table};
use printer::Printer;
use session::Session;
use settings::Settings;
use std::pin::Pin;
use std::process::ExitCode;

/// Does what was typed.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_parsed(error),
    };
    let after = project(&cli.verb).cloned().unwrap_or_default();
    let (code, printer) = match Settings::resolve(cli.project, after, cli.output, cli.server) {
        Ok(settings) if settings.server.is_some() && is_of_this_machine(&cli.verb) => {
            let error = "this is about this machine, and `--server` names another";
            (Err(Fail::usage(error).help("type it there, or without `--server`")), Printer::new(&settings))
        }
        Ok(settings) => {
            let session = Session { printer: Printer::new(&settings), settings };
            (run(cli.verb, &session), session.printer)
        }
        Err(fail) => (Err(fail), Printer::plain()),
    };
    code.unwrap_or_else(|fail| {
        printer.fail(&fail);
        fail.code.into()
    })
}

/// Whether a verb has to do with what is here only.
fn is_of_this_machine(verb: &Verb) -> bool {
    matches!(
        verb,
        Verb::Serve(_)
            | Verb::Upgrade(_)
            | Verb::Shutdown(_)
            | Verb::Top(_)
            | Verb::Metrics(_)
            | Verb::Demo(_)
            | Verb::Import(_)
    )
}

/// The keeper has a runtime of its own, and its own way to end.
fn serve(args: naru_people::Serve, session: &Session) -> Result<ExitCode, Fail> {
    let home = Home::open(session.settings.home()?).map_err(Fail::new)?;
    if !keeper::is_renewed()
        && let Some(said) = args.prepare(&home)?
    {
        session.printer.note(said);
    }
    Ok(keeper::serve(&home, Mode::Foreground))
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

fn run(verb: Verb, session: &Session) -> Result<ExitCode, Fail> {
    let at_once = |done: Result<Code, Fail>| done.map(ExitCode::from);
    let work: Work<'_> = match verb {
        Verb::Up(up) => Box::pin(up.run(session)),
        Verb::Demo(demo) => Box::pin(demo.run(session)),
        Verb::Import(import) => Box::pin(import.run(session)),
        Verb::Plan(plan) => Box::pin(plan.run(session)),
        Verb::Pull(pull) => Box::pin(pull.run(session)),
        Verb::Build(build) => Box::pin(build.run(session)),
        Verb::Push(push) => Box::pin(push.run(session)),
        Verb::Prune(prune) => Box::pin(prune.run(session)),
        Verb::Ps(ps) => Box::pin(ps.run(session)),
        Verb::Logs(logs) => Box::pin(logs.run(session)),
        Verb::Events(events) => Box::pin(events.run(session)),
        Verb::Exec(exec) => Box::pin(exec.run(session)),
        Verb::Run(run) => Box::pin(run.run(session)),
        Verb::Cp(cp) => Box::pin(cp.run(session)),
        Verb::Work(work) => Box::pin(work.run(session)),
        Verb::Job(job) => Box::pin(job.run(session)),
        Verb::Routes(routes) => Box::pin(routes.run(session)),
        Verb::Top(top) => Box::pin(top.run(session)),
        Verb::Stats(stats) => Box::pin(stats.run(session)),
        Verb::Metrics(metrics) => Box::pin(metrics.run(session)),
        Verb::Ls(ls) => Box::pin(ls.run(session)),
        Verb::Assets(assets) => Box::pin(assets.run(session)),
        Verb::Scale(scale) => Box::pin(scale.run(session)),
        Verb::Stop(stop) => Box::pin(stop.run(session)),
        Verb::Start(start) => Box::pin(start.run(session)),
        Verb::Wake(wake) => Box::pin(wake.run(session)),
        Verb::Extend(extend) => Box::pin(extend.run(session)),
        Verb::Sleep(sleep) => Box::pin(sleep.run(session)),
        Verb::Power(power) => Box::pin(power.run(session)),
        Verb::Restart(restart) => Box::pin(restart.run(session)),
        Verb::Down(down) => Box::pin(down.run(session)),
        Verb::Pause(pause) => Box::pin(pause.run(session)),
        Verb::Resume(resume) => Box::pin(resume.run(session)),
        Verb::Promote(promote) => Box::pin(promote.run(session)),
        Verb::Abort(abort) => Box::pin(abort.run(session)),
        Verb::Rollback(rollback) => Box::pin(rollback.run(session)),
        Verb::History(history) => Box::pin(history.run(session)),
        Verb::Receipt(receipt) => Box::pin(receipt.run(session)),
        Verb::Upgrade(upgrade) => Box::pin(upgrade.run(session)),
        Verb::Shutdown(shutdown) => Box::pin(shutdown.run(session)),
        Verb::Version(version) => Box::pin(version.run(session)),
        Verb::Config(config) => return at_once(config.run(session)),
        Verb::Schema => return at_once(session.printer.json(&naru_compose::schema()).map(|()| Code::Done)),
        Verb::Completions(completions) => return at_once(completions.run(session)),
        Verb::Reference => return at_once(session.printer.data(&reference::markdown()).map(|()| Code::Done)),
        Verb::People(verb) => Box::pin(session.people(verb)),
        Verb::Serve(args) => return serve(args, session),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fail::new)?;
    let code = runtime.block_on(work);
    // A file on a dead disk must not hold the end of the command.
    runtime.shutdown_background();
    at_once(code)
}

type Work<'a> = Pin<Box<dyn Future<Output = Result<Code, Fail>> + 'a>>;

/// What stands behind the verb about the stack.
fn project(verb: &Verb) -> Option<&ProjectArgs> {
    match verb {
        Verb::Up(up) => Some(&up.project),
        Verb::Import(import) => Some(&import.project),
        Verb::Plan(plan) => Some(&plan.project),
        Verb::Pull(pull) => Some(&pull.project),
        Verb::Build(build) => Some(&build.project),
        Verb::Push(push) => Some(&push.project),
        Verb::Ps(ps) => Some(&ps.project),
        Verb::Logs(logs) => Some(&logs.project),
        Verb::Events(events) => Some(&events.project),
        Verb::Exec(exec) => Some(&exec.project),
        Verb::Run(run) => Some(&run.project),
        Verb::Cp(cp) => Some(&cp.project),
        Verb::Work(work) => Some(&work.project),
        Verb::Job(job) => Some(&job.project),
        Verb::Routes(routes) => Some(&routes.project),
        Verb::Top(top) => Some(&top.project),
        Verb::Stats(stats) => Some(&stats.project),
        Verb::Scale(scale) => Some(&scale.project),
        Verb::Stop(stop) => Some(&stop.project),
        Verb::Start(start) => Some(&start.project),
        Verb::Wake(wake) => Some(&wake.project),
        Verb::Extend(extend) => Some(&extend.project),
        Verb::Sleep(sleep) => Some(&sleep.project),
        Verb::Power(power) => Some(&power.project),
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
        | Verb::Assets(_)
        | Verb::Metrics(_)
        | Verb::Prune(_)
        | Verb::Schema
        | Verb::Demo(_)
        | Verb::Serve(_)
        | Verb::People(_)
        | Verb::Upgrade(_)
        | Verb::Shutdown(_)
        | Verb::Completions(_)
        | Verb::Version(_)
        | Verb::Reference => None,
    }
}
