//! Where texts come from: the disk, standard input, or a map in memory for tests, the demo and fuzzing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

/// The path that stands for standard input, as in `-f -`.
pub(crate) const STDIN: &str = "-";

/// Texts by absolute path, or by [`STDIN`].
#[derive(Debug)]
pub(crate) enum Files {
    Disk(Stdin),
    Memory(BTreeMap<String, String>),
}

/// Standard input, which can be read only once and is wanted several times.
#[derive(Debug, Default)]
pub(crate) struct Stdin(OnceLock<Result<Vec<u8>, String>>);

/// The largest file that is read, 1 MiB: fifty times the largest of 638 public files.
const LARGEST: u64 = 1 << 20;

impl Files {
    /// The text of a file. Errors: it is not there, not readable, too large, or not UTF-8.
    pub fn read(&self, path: &str) -> io::Result<String> {
        String::from_utf8(self.read_bytes(path)?).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// What is in a file. Errors: it is not there, not readable, or too large.
    pub fn read_bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        let bytes = match self {
            Files::Memory(texts) => {
                texts.get(path).map(|text| text.clone().into_bytes()).ok_or(io::ErrorKind::NotFound)?
            }
            Files::Disk(stdin) if path == STDIN => stdin.read()?,
            Files::Disk(_) => bounded(File::open(path)?)?,
        };
        match bytes.len() as u64 > LARGEST {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(bytes),
        }
    }

    /// Whether there is such a file.
    pub fn exists(&self, path: &str) -> bool {
        match self {
            Files::Disk(_) => std::path::Path::new(path).is_file(),
            Files::Memory(texts) => texts.contains_key(path),
        }
    }
}

impl Stdin {
    fn read(&self) -> io::Result<Vec<u8>> {
        let read = self.0.get_or_init(|| bounded(io::stdin()).map_err(|error| error.to_string()));
        read.clone().map_err(io::Error::other)
    }
}

/// All of it, or as much as shows that it is too large: a device may have no end.
fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Why a file cannot be read, in a person's words.
pub(crate) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not there".into(),
        io::ErrorKind::PermissionDenied => "its permissions do not allow it".into(),
        io::ErrorKind::IsADirectory => "it is a folder".into(),
        io::ErrorKind::FileTooLarge => format!("it is larger than {LARGEST} bytes"),
        io::ErrorKind::InvalidData => "it is not UTF-8 text".into(),
        _ => error.to_string(),
    }
}

/// What to do about a file that cannot be read.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "let this user read it, or run as one who may",
        io::ErrorKind::IsADirectory => "name a file in it",
        io::ErrorKind::FileTooLarge => "see whether it is the right file; several -f are merged",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "check its path",
    }
}
