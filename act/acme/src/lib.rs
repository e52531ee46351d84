//! Certificates from an authority, by ACME (RFC 8555): had when there is none, and had anew when two thirds of the
//! life of the one before are over.
//!
//! Everything that lasts is a file: the account, the certificate and its key, and, while the authority looks, the
//! answer to its challenge (`http-01`), which the edges of the node give at `/.well-known/acme-challenge/`. So whoever
//! ends TLS needs to know of nothing but two files that change now and then.

mod issue;
mod store;

pub use issue::Failure;
pub use store::{Kept, certificate_files};

use naru_model::Acme;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The first wait after a failure; it doubles up to [`LAST_WAIT`]. Authorities bound failed validations (Let's
/// Encrypt: five an hour for a name).
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// The longest: a name that is set right is served within that.
const LAST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// A certificate is looked at this often at least: a suspended machine's clock jumps.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// One certificate that is to be had, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From whom, and for which names.
    pub acme: Acme,
    /// The folder of accounts and certificates; only its owner may read it.
    pub folder: PathBuf,
    /// The folder in which the answers to challenges lie, by token.
    pub challenges: PathBuf,
}

impl Wanted {
    /// Sees to the certificate for ever. Safe to cancel: what was begun is begun anew.
    pub async fn keep(&self) {
        let mut wait = FIRST_WAIT;
        loop {
            let now = SystemTime::now();
            let rest = match Kept::read(&self.acme, &self.folder) {
                Some(kept) if kept.due() > now => {
                    let due = kept.due().duration_since(now).unwrap_or_default();
                    wait = FIRST_WAIT;
                    due.min(LOOK_AGAIN)
                }
                _ => match self.obtain().await {
                    Ok(()) => {
                        tracing::info!(domains = ?self.acme.domains, "a certificate was had");
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(domains = ?self.acme.domains, %error, ?wait, "no certificate was had");
                        let rest = wait;
                        wait = (wait * 2).min(LAST_WAIT);
                        rest
                    }
                },
            };
            tokio::time::sleep(rest).await;
        }
    }

    /// Has a certificate once.
    ///
    /// # Errors
    /// The authority cannot be reached, refuses, or does not see the answer to its challenge; or a file cannot be
    /// written.
    pub async fn obtain(&self) -> Result<(), Failure> {
        issue::issue(self).await
    }
}
