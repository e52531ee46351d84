//! What keeps the ledger from being kept.

use std::io;
use std::path::{Path, PathBuf};

/// Why the ledger or its server does not work.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// A file or folder could not be read or written.
    #[error("{doing} {path}: {source}")]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A ledger's first line makes no sense.
    #[error("the work ledger {path} cannot be read ({why}): move it away to go on without the jobs in it")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The port that instances have in their environment is taken.
    #[error(
        "port {port} of 127.0.0.1 is taken ({source}); running instances report their jobs there: \
         end what listens on it, then start Naru again"
    )]
    Port {
        /// Which.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// No port is free.
    #[error("no port from 20000 to 29999 is free on 127.0.0.1")]
    NoPort,
    /// The ledger's writer is gone.
    #[error("the work ledger could not be written: {0}")]
    Unwritten(String),
}

/// Puts what was tried on which file before what the system said.
pub(crate) trait OnFile<T> {
    fn on_file(self, doing: &'static str, path: &Path) -> Result<T, WorkError>;
}

impl<T> OnFile<T> for io::Result<T> {
    fn on_file(self, doing: &'static str, path: &Path) -> Result<T, WorkError> {
        self.map_err(|source| WorkError::Disk { doing, path: path.to_owned(), source })
    }
}
