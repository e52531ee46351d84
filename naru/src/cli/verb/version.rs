//! `naru version`: of this binary, and of the server that runs.

use crate::cli::fail::{Code, Fail};
use crate::cli::session::Session;
use clap::Args;
use serde_json::json;

/// What `naru version` takes.
#[derive(Args, Debug)]
pub struct Version {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Version {
    /// Prints versions. No server is no error.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let own = env!("CARGO_PKG_VERSION");
        let server = session.client()?.status().await.ok();
        if self.json {
            session.printer.json(&json!({"naru": own, "server": server}))?;
            return Ok(Code::Done);
        }
        let server = match server {
            Some(status) => {
                format!("server {}, process {}, up {}\n", status.version, status.pid, status.uptime)
            }
            None => String::new(),
        };
        session.printer.data(&format!("naru {own}\n{server}"))?;
        Ok(Code::Done)
    }
}
