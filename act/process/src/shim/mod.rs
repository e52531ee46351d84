//! The shim.
use std::ffi::OsString;
use std::process::ExitCode;

/// What `naru shim` does, with the arguments after `shim`. Call it first thing in `main`, while the process
/// has one thread: it forks.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args.into_iter().count();
    ExitCode::FAILURE
}
