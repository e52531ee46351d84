//! Where texts come from: the disk, or a map in memory for tests, the demo and fuzzing.

use std::collections::BTreeMap;
use std::io;

/// Texts by absolute path.
#[derive(Clone, Debug)]
pub(crate) enum Files {
    Disk,
    Memory(BTreeMap<String, String>),
}

/// The largest file that is read, 1 MiB: fifty times the largest of 638 public files.
const LARGEST: u64 = 1 << 20;

impl Files {
    /// The text of a file. Errors: it is not there, not readable, too large, or not UTF-8.
    pub fn read(&self, path: &str) -> io::Result<String> {
        let text = match self {
            Files::Memory(texts) => return texts.get(path).cloned().ok_or(io::ErrorKind::NotFound.into()),
            Files::Disk => std::fs::metadata(path).and_then(|about| match about.len() {
                size if size > LARGEST => Err(io::Error::other(format!("it is larger than {LARGEST} bytes"))),
                _ => std::fs::read(path),
            })?,
        };
        String::from_utf8(text).map_err(|_| io::Error::other("it is not UTF-8 text"))
    }

    /// Whether there is such a file.
    pub fn exists(&self, path: &str) -> bool {
        match self {
            Files::Disk => std::path::Path::new(path).is_file(),
            Files::Memory(texts) => texts.contains_key(path),
        }
    }
}

/// Why a file cannot be read, in a person's words.
pub(crate) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not there".into(),
        io::ErrorKind::PermissionDenied => "its permissions do not allow it".into(),
        _ => error.to_string(),
    }
}
