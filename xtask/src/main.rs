//! The repository's own chores, by `cargo xtask CHORE`.

mod sim;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

/// A chore that this program does.
struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

/// Why a chore did not come to a good end, for the person who asked for it.
pub struct Failure(pub String);

/// All chores. A new one is a line here and a module.
const CHORES: &[Chore] = &[
    Chore {
        name: "tidy",
        about: "checks the tree: layers, purity, lengths, dead files, words, links (--turn lowers the ratchet)",
        run: tidy::run,
    },
    Chore {
        name: "sim",
        about: "the real deciding code under faults: [--seeds N] [--from S] [--seed S] [--threads N] [--sabotage NAME]",
        run: sim::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((chore, rest)) = args.split_first().and_then(|(name, rest)| Some((find(name)?, rest))) else {
        eprintln!("usage: cargo xtask CHORE [OPTIONS]\n");
        for chore in CHORES {
            eprintln!("  {:<8} {}", chore.name, chore.about);
        }
        return ExitCode::from(2);
    };
    match (chore.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace, wherever the command was started.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}

fn find(name: &str) -> Option<&'static Chore> {
    CHORES.iter().find(|chore| chore.name == name)
}
