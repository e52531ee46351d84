//! One session: read, run, compared.

use super::steady::Steady;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A part of a session.
enum Block {
    /// Shown as it is.
    Remark(String),
    /// A file to be written.
    File { name: String, text: String },
    /// A command, and what it showed when the session was written down.
    Typed(String),
}

/// Runs a session; the error is what differs.
pub fn run(path: &Path) -> Result<(), String> {
    let written = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let place = Place::new()?;
    let mut seen = String::new();
    for block in read(&written) {
        match block {
            Block::Remark(remark) => seen += &remark,
            Block::File { name, text } => {
                fs::write(place.folder().join(&name), &text).map_err(|error| format!("{name}: {error}"))?;
                let _ = write!(seen, "@ {name}\n{text}\n");
            }
            Block::Typed(command) => {
                let _ = write!(seen, "$ {command}\n{}", place.show(&command)?);
            }
        }
    }
    compare(path, &written, &seen)
}

/// Compares `docs/cli.md` with what the program says of itself.
pub fn reference() -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    let output = Command::new(env!("CARGO_BIN_EXE_naru")).arg("reference").output();
    let output = output.map_err(|error| error.to_string())?;
    compare(&path, &written, &String::from_utf8_lossy(&output.stdout))
}

fn compare(path: &Path, written: &str, seen: &str) -> Result<(), String> {
    match std::env::var_os("UPDATE") {
        _ if seen == written => Ok(()),
        Some(_) => fs::write(path, seen).map_err(|error| error.to_string()),
        None => Err(difference(written, seen)),
    }
}

fn read(text: &str) -> Vec<Block> {
    let mut blocks = vec![];
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("$ ") {
            while lines.next_if(|next| !is_start(next)).is_some() {}
            blocks.push(Block::Typed(command.to_string()));
        } else if let Some(name) = line.strip_prefix("@ ") {
            let mut text = String::new();
            while let Some(next) = lines.next_if(|next| !next.is_empty()) {
                text += &format!("{next}\n");
            }
            lines.next();
            blocks.push(Block::File { name: name.to_string(), text });
        } else {
            blocks.push(Block::Remark(format!("{line}\n")));
        }
    }
    blocks
}

/// An empty line within what a command shows is written as `.`, so that one before a remark stays the
/// remark's.
fn is_start(line: &str) -> bool {
    line.is_empty() || ["$ ", "@ ", "# "].iter().any(|sign| line.starts_with(sign))
}

/// The folder and the NARU_HOME of one session. Whatever still runs in it is ended with it.
struct Place {
    dir: tempfile::TempDir,
    steady: Steady,
    /// A port that nobody has, as `$FREE`.
    free: String,
}

impl Place {
    fn new() -> Result<Place, String> {
        let dir =
            tempfile::Builder::new().prefix("naru-cli-").tempdir().map_err(|error| error.to_string())?;
        fs::create_dir(dir.path().join("shop")).map_err(|error| error.to_string())?;
        let steady = Steady::new(dir.path());
        let free = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let free = free.map_err(|error| error.to_string())?.port().to_string();
        Ok(Place { dir, steady, free })
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("shop")
    }

    fn command(&self, line: &str) -> Command {
        let naru = Path::new(env!("CARGO_BIN_EXE_naru"));
        let own = std::env::current_exe().expect("a running program has a path");
        let bin = naru.parent().expect("a program lies in a folder").display().to_string();
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder()).stdin(Stdio::null()).env_clear();
        command.env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap_or_default()));
        command.env("NARU_HOME", self.dir.path().join("home")).env("SERVICE", own).env("TZ", "UTC");
        command.env("FREE", &self.free);
        command
    }

    fn show(&self, line: &str) -> Result<String, String> {
        let output = self.command(line).output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| self.steady.text(&String::from_utf8_lossy(bytes));
        let mut shown = String::new();
        for line in text(&output.stdout).lines() {
            let _ = writeln!(shown, "{}", if line.is_empty() { "." } else { line });
        }
        for line in text(&output.stderr).lines() {
            let _ = writeln!(shown, "! {line}");
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => drop(writeln!(shown, "= {code}")),
            None => drop(writeln!(shown, "= {}", output.status)),
        }
        Ok(shown)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A session that failed half-way leaves its instances behind.
        let ended = self.command("naru shutdown --cut --yes").output();
        if let Ok(output) = ended
            && !output.status.success()
        {
            eprintln!("not ended: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

fn difference(written: &str, seen: &str) -> String {
    let diff = similar::TextDiff::from_lines(written, seen);
    let shown = diff.unified_diff().context_radius(3).header("written", "seen").to_string();
    format!("{shown}\nUPDATE=1 writes what was seen")
}
