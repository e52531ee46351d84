//! Files that only their owner reads, written whole.

use crate::WorkError;
use crate::error::OnFile;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder of mode 0700, with those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), WorkError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).on_file("making", path)
}

/// Whether what is written must outlive the machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// It is synced.
    Yes,
    /// It is not: it outlives this process, and that is enough.
    No,
}

/// Writes a file of mode 0600 under another name, then renames it: whole or not at all.
pub(crate) fn write_whole(path: &Path, contents: &[u8], durable: Durable) -> Result<(), WorkError> {
    let draft = path.with_extension("new");
    let sync = |file: &File| if durable == Durable::Yes { file.sync_all() } else { Ok(()) };
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(contents)?;
        sync(&file)?;
        fs::rename(&draft, path)?;
        sync(&File::open(path.parent().unwrap_or(Path::new("/")))?)
    };
    write().on_file("writing", path)
}

/// 128 bits of the system's randomness, as 32 hex digits.
pub(crate) fn token() -> Result<String, WorkError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0u8; 16];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).on_file("reading", source)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
