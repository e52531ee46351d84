//! `naru completions`: a script that teaches a shell what can be typed.

use crate::cli::args::Cli;
use crate::cli::fail::{Code, Fail};
use crate::cli::session::Session;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// What `naru completions` takes.
#[derive(Args, Debug)]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn run(self, session: &Session) -> Result<Code, Fail> {
        let mut script = vec![];
        clap_complete::generate(self.shell, &mut Cli::command(), "naru", &mut script);
        session.printer.data(&String::from_utf8_lossy(&script))?;
        Ok(Code::Done)
    }
}
