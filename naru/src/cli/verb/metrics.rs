//! `naru metrics`: what the edge has counted, as a text for Prometheus.

use crate::cli::fail::{Code, Fail};
use crate::cli::session::Session;
use clap::Args;
use naru_chain::admin;

/// What `naru metrics` takes.
#[derive(Args, Debug)]
pub struct Metrics {}

impl Metrics {
    /// Prints the text.
    ///
    /// # Errors
    /// No edge.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        session.printer.data(&admin::metrics(session.settings.home()?).await?)?;
        Ok(Code::Done)
    }
}
