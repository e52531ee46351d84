//! Which images this home brought to its engine, by pulling or building: nobody else's are ever removed.
//!
//! One empty file each, named by the engine's id, so that two processes of one home can write them side by side.

use crate::Error;
use naru_model::Time;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder's name in the runtime's own.
const FOLDER: &str = "images";

/// The books of what was brought.
#[derive(Clone, Debug)]
pub(crate) struct Brought {
    folder: PathBuf,
}

impl Brought {
    /// Of the home whose runtime has the folder `own`.
    pub(crate) fn of(own: &Path) -> Brought {
        Brought { folder: own.join(FOLDER) }
    }

    /// It came just now.
    pub(crate) fn enter(&self, id: &str) -> Result<(), Error> {
        let Some(name) = name_of(id) else { return Ok(()) };
        let path = self.folder.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        let entered = made.and_then(|()| File::create(&path));
        entered.map(drop).map_err(|source| Error::Disk { path, source })
    }

    /// It is about to be used: for a while it counts as just come. One that this home did not bring stays so.
    pub(crate) fn touch(&self, id: &str) {
        let known = name_of(id).map(|name| self.folder.join(name));
        let file = known.and_then(|path| File::options().append(true).open(path).ok());
        // What cannot be touched is only a little less sure to stay.
        file.into_iter().for_each(|file| drop(file.set_modified(SystemTime::now())));
    }

    /// All of them, by id, with the time of each.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, Time>, Error> {
        let disk = |source| Error::Disk { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries.map_err(disk)?,
        };
        let mut all = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(disk)?;
            let at = entry.metadata().and_then(|known| known.modified()).map_err(disk)?;
            let at = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
            all.insert(entry.file_name().to_string_lossy().replace('_', ":"), Time(at));
        }
        Ok(all)
    }

    /// It is gone.
    pub(crate) fn forget(&self, id: &str) -> Result<(), Error> {
        let Some(name) = name_of(id) else { return Ok(()) };
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::Disk { path, source }),
            _ => Ok(()),
        }
    }
}

/// `sha256:…` as a file's name. What has another form is not entered, and so never removed.
fn name_of(id: &str) -> Option<String> {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_plain.then(|| id.replace(':', "_"))
}

#[cfg(test)]
mod tests {
    use super::Brought;

    #[test]
    fn what_was_brought_is_known_until_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let brought = Brought::of(dir.path());
        assert!(brought.all().unwrap().is_empty());
        for id in ["sha256:ab12", "sha256:cd", "../x"] {
            brought.enter(id).unwrap();
        }
        assert_eq!(brought.all().unwrap().into_keys().collect::<Vec<_>>(), ["sha256:ab12", "sha256:cd"]);
        brought.forget("sha256:cd").unwrap();
        brought.forget("sha256:cd").unwrap();
        assert_eq!(brought.all().unwrap().len(), 1);
    }
}
