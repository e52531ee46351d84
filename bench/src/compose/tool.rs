//! The two that are measured, as a user runs them: `naru` and Docker Compose, on the same engine.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Output, Stdio};
use std::time::Instant;
use tokio::process::Command;

/// Docker Compose: its program, and what it says of its version.
#[derive(Clone, Debug)]
pub struct Reference {
    words: Vec<PathBuf>,
    version: String,
}

impl Reference {
    /// The program that is given; without one, `docker-compose` in PATH, or `docker compose`.
    ///
    /// # Errors
    /// There is none.
    pub fn find(given: Option<&Path>) -> io::Result<Reference> {
        let candidates = match given {
            Some(given) => vec![vec![given.canonicalize()?]],
            None => vec![vec!["docker-compose".into()], vec!["docker".into(), "compose".into()]],
        };
        candidates.into_iter().find_map(Reference::asked).ok_or_else(|| {
            io::Error::other("there is no Docker Compose: name one by --docker-compose; bench/README.md says where to get it")
        })
    }

    fn asked(words: Vec<PathBuf>) -> Option<Reference> {
        let mut command = Blocking::new(words.first()?);
        command.args(&words[1..]).args(["version", "--short"]).stdin(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Some(Reference { words, version })
    }

    /// What it says of its version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Which of the two.
#[derive(Clone, Debug)]
pub enum Which {
    /// This `naru`.
    Naru(PathBuf),
    /// Docker Compose.
    Compose(Reference),
}

/// One of the two, with the files of a stack in a folder of its own.
pub struct Tool {
    which: Which,
    folder: tempfile::TempDir,
    socket: PathBuf,
    files: Vec<String>,
}

impl Tool {
    /// `socket` is the engine's.
    ///
    /// # Errors
    /// There is no place for a folder.
    pub fn new(which: Which, socket: PathBuf) -> io::Result<Tool> {
        let folder = tempfile::Builder::new().prefix("naru-compose-").tempdir()?;
        Ok(Tool { which, folder, socket, files: vec![] })
    }

    /// Writes a file of the stack; a later one is merged into the earlier.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, name: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.folder.path().join(name), text)?;
        if !self.files.iter().any(|known| known == name) {
            self.files.push(name.to_owned());
        }
        Ok(())
    }

    /// Brings the stack to what its files say, and waits until it serves. How long that took, in ms.
    ///
    /// # Errors
    /// It fails; its own words say how.
    pub async fn up(&self) -> io::Result<f64> {
        let began = Instant::now();
        match &self.which {
            Which::Naru(_) => self.run("up", &["--progress", "quiet"]).await?,
            Which::Compose(_) => self.run("up", &["-d", "--wait"]).await?,
        };
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// As [`Tool::up`], without waiting for more than the command waits for by itself.
    ///
    /// # Errors
    /// As there.
    pub async fn up_plainly(&self) -> io::Result<f64> {
        let began = Instant::now();
        match &self.which {
            Which::Naru(_) => self.run("up", &["--progress", "quiet"]).await?,
            Which::Compose(_) => self.run("up", &["-d"]).await?,
        };
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// Takes the stack down, as fast as it goes.
    ///
    /// # Errors
    /// It fails.
    pub async fn down(&self) -> io::Result<()> {
        match &self.which {
            Which::Naru(_) => self.run("down", &["--cut", "--yes", "--progress", "quiet"]).await?,
            Which::Compose(_) => self.run("down", &["--volumes", "--timeout", "0"]).await?,
        };
        Ok(())
    }

    /// Takes the stack down and ends what was started for it.
    ///
    /// # Errors
    /// It fails.
    pub async fn end(self) -> io::Result<()> {
        self.down().await?;
        if let Which::Naru(_) = self.which {
            self.run("shutdown", &[]).await?;
        }
        Ok(())
    }

    /// Runs one command of it; an exit status other than 0 is an error that shows what it said.
    ///
    /// # Errors
    /// As said.
    pub async fn run(&self, verb: &str, args: &[&str]) -> io::Result<Output> {
        let output = self.command(verb, args).output().await?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("{verb} ended with {}: {said}", output.status)))
    }

    fn command(&self, verb: &str, args: &[&str]) -> Command {
        let files = self.files.iter().flat_map(|file| ["-f", file.as_str()]);
        let mut command;
        match &self.which {
            Which::Naru(exe) => {
                command = Command::new(exe);
                command.arg(verb).args(args);
                if verb == "up" {
                    command.args(files);
                }
                command.env("NARU_HOME", self.folder.path().join("home")).env("NO_COLOR", "1");
            }
            Which::Compose(reference) => {
                command = Command::new(&reference.words[0]);
                command.args(&reference.words[1..]).args(["--progress", "quiet"]).args(files);
                command.arg(verb).args(args);
            }
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }
}
