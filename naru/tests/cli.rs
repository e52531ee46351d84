//! Whole terminal sessions, as text: what is typed, and all that is shown.
//!
//! `naru/tests/cli/*.txt` hold sessions; each runs in a folder and a NARU_HOME of its own. A session is a list
//! of blocks:
//!
//! ```text
//! # A remark.
//! @ compose.yaml          the lines that follow, up to an empty one, are written to this file
//! $ naru ps               a command, run by `sh -c`; what follows, up to the next `$`, `@` or `#`, is shown
//! ```
//!
//! What a command writes to standard output comes first, then each line of standard error with `! ` before
//! it, then `= CODE` where the exit code is not 0. Times, ports and paths that differ from run to run are
//! replaced ([`steady`]). At last, `docs/cli.md` is compared with what the program says of itself. `UPDATE=1` writes what was seen; the difference is for a person to read.
//!
//! The same program is also the service that the sessions deploy: `cli service …`, see [`service`].

#[path = "cli/book.rs"]
mod book;
#[path = "cli/service.rs"]
mod service;
#[path = "cli/steady.rs"]
mod steady;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == "service") {
        return service::main(&args.split_off(1));
    }
    let filter = args.into_iter().find(|arg| !arg.starts_with('-'));
    let mut sessions: Vec<PathBuf> = listed(&folder());
    sessions.retain(|path| filter.as_ref().is_none_or(|filter| path.to_string_lossy().contains(filter)));
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut results: Vec<_> = sessions.iter().map(|path| (name(path), book::run(path))).collect();
    if filter.is_none_or(|filter| "reference".contains(&filter)) {
        results.push(("reference".into(), book::reference()));
    }
    for (name, result) in &results {
        match result {
            Ok(()) => println!("test {name} ... ok"),
            Err(difference) => println!("test {name} ... FAILED\n{difference}"),
        }
    }
    let failed = results.iter().filter(|(_, result)| result.is_err()).count();
    let (word, passed) = (if failed == 0 { "ok" } else { "FAILED" }, results.len() - failed);
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli")
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the sessions lie beside this file");
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "txt"));
    paths.sort();
    paths
}
