//! Programs in Python that tests use, from PyPI, each in a folder of the target's that is made when a test first needs it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of a Python with these packages, of which the first gives it its name. `None`, and told as skipped, where
/// they cannot be installed.
pub fn installed(test: &str, packages: &[&str]) -> Option<PathBuf> {
    match made(packages) {
        Ok(folder) => Some(folder),
        Err(why) => {
            skip(test, &why);
            None
        }
    }
}

/// Made by the first that needs it, while the others wait.
fn made(packages: &[&str]) -> Result<PathBuf, String> {
    let target =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    let tools = target.ok_or("there is no workspace")?.join("target/tools");
    let folder = tools.join(packages[0].replace("==", "-"));
    fs::create_dir_all(&tools).map_err(|error| error.to_string())?;
    let lock = File::create(folder.with_extension("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let done = folder.join("installed");
    if done.is_file() {
        return Ok(folder);
    }
    // One that was broken off is made anew.
    let _ = fs::remove_dir_all(&folder);
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(packages))?;
    fs::write(done, "").map_err(|error| error.to_string())?;
    Ok(folder)
}

fn run(command: &mut Command) -> Result<(), String> {
    let failed = |why: String| format!("it cannot be installed from PyPI: {why}");
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default().to_string();
    output.status.success().then_some(()).ok_or_else(|| failed(last))
}

/// Says that a test could not run.
fn skip(test: &str, why: &str) {
    let Some(path) = std::env::var_os("NARU_TEST_SKIPS") else { panic!("{why}") };
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    writeln!(file, "{test}: {why}").unwrap();
}
