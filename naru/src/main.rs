//! The binary: one program for every role, and the command line.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    // A shim is one process for each instance: it is to be small, and it forks, so nothing comes before it.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|role| role == "shim") {
        return naru_process::shim_main(args);
    }
    cli::main()
}
