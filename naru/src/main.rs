//! The binary: one program for every role, and the command line.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

mod cli;

/// What the edge holds for each connection is aligned to cache lines: the system's allocator takes a quarter more for
/// that, and longer. The figures are in bench/edge/README.md.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    // A shim is one process for each instance: it is to be small, and it forks, so nothing comes before it.
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(word) if word == "shim" => naru_process::shim_main(args),
        Some(word) if word == "role" => naru_roles::role::main(args),
        Some(word) if word == "demo-tier" => demo_tier(args),
        _ => cli::main(),
    }
}

/// The built-in workload of `naru demo`.
fn demo_tier(args: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    match naru_demo::tier::main(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
