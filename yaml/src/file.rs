//! The files of NARU_HOME that a person writes, and those that they name: how they are read, and why they are not.

use crate::Errors;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a file with a secret holds at most, in bytes.
const SECRET_MAX: u64 = 4 << 10;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// What is in it is wrong.
    #[error(transparent)]
    Wrong(#[from] Errors),
    /// A file that it names does not do.
    #[error("{path}: {why}")]
    Named {
        /// The file.
        path: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
}

/// The text of a file of at most so many bytes.
///
/// # Errors
/// It is not there, cannot be read, is longer, or is no text.
pub fn content(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it is over {most} bytes")));
    }
    Ok(text)
}

/// The same; `None` where there is no such file.
///
/// # Errors
/// It cannot be read, is longer, or is no text.
pub fn content_if_any(path: &Path, most: u64) -> Result<Option<String>, FileError> {
    match content(path, most) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Unreadable { path: path.display().to_string(), source }),
        Ok(text) => Ok(Some(text)),
    }
}

/// The one line of a file that only its owner may read. `what` it is stands in the error, such as `password`.
///
/// # Errors
/// It cannot be read, others may read it, or it is not one line.
pub fn secret(path: &Path, what: &str) -> Result<String, FileError> {
    let named = |why: String| FileError::Named { path: path.display().to_string(), why };
    let about = fs::metadata(path).map_err(|error| named(format!("it cannot be read: {error}")))?;
    if !about.is_file() || about.mode() & 0o077 != 0 {
        let mode = about.mode() & 0o7777;
        return Err(named(format!("others may read this {what} (mode {mode:o}): chmod 600")));
    }
    let text = content(path, SECRET_MAX).map_err(|error| named(format!("it cannot be read: {error}")))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() || secret.contains(['\0', '\n']) {
        return Err(named(format!("a {what} is one line that is not empty")));
    }
    Ok(secret.into())
}
