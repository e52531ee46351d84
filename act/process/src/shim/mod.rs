//! The shim: one small blocking process for each running instance, and a short-lived one for each command.
//!
//! `shim DIR` is started by the agent with the folder's locked `lock` as stdin and a pipe for one
//! [`Report`] as stdout. It forks at once and the parent ends, so that it is nobody's child; it takes a
//! session of its own and blocks every signal that can be blocked, so that neither the agent's death nor its
//! terminal's Ctrl-C touches it. Nothing is sent to it afterwards: an end is ordered by a signal to the main
//! process, and the shim does the rest.
//!
//! Killed with SIGKILL all the same, it takes the pipes with it: the instance goes on, gets EPIPE (or
//! SIGPIPE) when it writes to stdout or stderr, and its exit status is unknown in the end.

mod attach;
mod child;
mod exec;
mod plumbing;
mod pump;
mod reap;
mod run;

pub(crate) use attach::{AttachReport, AttachRequest, STREAMS};
pub(crate) use exec::{ExecReport, ExecRequest};
pub(crate) use run::Report;

use crate::folder::Folder;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// The second argument that asks for a command beside a running instance.
pub(crate) const EXEC: &str = "exec";
/// The second argument that asks for one that somebody is attached to.
pub(crate) const ATTACH: &str = "attach";

/// What `naru shim` does, with the arguments after `shim`: `DIR` holds an instance, `DIR exec` runs a
/// command beside it, `DIR attach` one that somebody is attached to. Only a runtime starts it. Call it first thing in `main`, while the process has one
/// thread: it forks.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let Some(dir) = args.next() else {
        eprintln!("a shim is started by the agent, for an instance's folder: shim DIR");
        return ExitCode::from(2);
    };
    let folder = Folder::at(PathBuf::from(dir));
    match args.next() {
        None => run::run(&folder),
        Some(word) if word == EXEC => exec::run(&folder),
        Some(word) if word == ATTACH => attach::run(&folder),
        Some(word) => {
            eprintln!("shim: unknown argument {word:?}");
            ExitCode::from(2)
        }
    }
}
