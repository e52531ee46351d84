//! What is in secrets and configs: files of NARU_HOME that only its owner may read, each named by its digest.
//!
//! They are handed over before the order that names them, and kept as long as a release does. The records and the API
//! have only the digests.

use crate::{Home, put_file};
use naru_model::{ContentId, Stack, Template};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// The folder's name in NARU_HOME.
const FOLDER: &str = "contents";

/// What no release names is kept for so long: it may be of an order that is about to come.
const SPARED: Duration = Duration::from_secs(3600);

/// The contents. Clones are the same.
#[derive(Clone)]
pub struct Contents {
    folder: PathBuf,
    /// Two writers of one file would be in each other's way.
    writing: Arc<Mutex<()>>,
}

impl Contents {
    /// Those of this home.
    pub fn of(home: &Home) -> Contents {
        Contents { folder: home.path(FOLDER), writing: Arc::default() }
    }

    /// Keeps a content. One that is there already counts as just handed over. Blocks.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, home: &Home, content: &[u8]) -> io::Result<ContentId> {
        let id = ContentId::of(content);
        let path = home.folder(FOLDER)?.join(id.as_str());
        let _alone = self.writing.lock().expect("no code panics with the lock held");
        match File::options().append(true).open(&path) {
            Ok(file) => file.set_modified(SystemTime::now())?,
            Err(_) => put_file(&path, content)?,
        }
        Ok(id)
    }

    /// What the stack names and was not handed over: which secret or config of which service. Blocks.
    pub fn missing(&self, stack: &Stack) -> Vec<String> {
        let mut missing = Vec::new();
        for (name, template, _) in stack.templates() {
            let absent = files(template).filter(|file| !self.folder.join(file.content.as_str()).is_file());
            missing.extend(absent.map(|file| format!("{} `{}` of {name}", file.kind.word(), file.name)));
        }
        missing
    }

    /// Forgets what is not among `named`, and was not handed over just now. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read, or a file not removed.
    pub fn sweep(&self, named: &BTreeSet<ContentId>) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let _alone = self.writing.lock().expect("no code panics with the lock held");
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_named = ContentId::try_from(name).is_ok_and(|id| named.contains(&id));
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if !is_named && age > SPARED {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The contents that a stack names.
pub fn named(stack: &Stack) -> impl Iterator<Item = ContentId> {
    stack.templates().flat_map(|(_, template, _)| files(template)).map(|file| file.content.clone())
}

fn files(template: &Template) -> impl Iterator<Item = &naru_model::ContentFile> {
    template.run.container().into_iter().flat_map(|container| &container.files)
}

#[cfg(test)]
mod tests {
    use super::{Contents, FOLDER, SPARED};
    use crate::Home;
    use naru_model::ContentId;
    use std::collections::BTreeSet;
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    #[test]
    fn contents_are_their_owner_s_and_go_with_the_last_that_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let contents = Contents::of(&home);
        contents.sweep(&BTreeSet::new()).unwrap();
        let ids: Vec<ContentId> =
            ["a", "b", "c"].map(|text| contents.keep(&home, text.as_bytes()).unwrap()).to_vec();
        assert_eq!(ids[0], ContentId::of(b"a"));
        let path = |id: &ContentId| home.path(FOLDER).join(id.as_str());
        assert_eq!(fs::read(path(&ids[0])).unwrap(), b"a");
        assert_eq!(fs::metadata(path(&ids[0])).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(home.path(FOLDER)).unwrap().permissions().mode() & 0o777, 0o700);
        // Two are old; one of them is named, and one is handed over again.
        let old = SystemTime::now() - SPARED * 2;
        let age =
            |id: &ContentId| File::options().append(true).open(path(id)).unwrap().set_modified(old).unwrap();
        ids.iter().for_each(age);
        contents.keep(&home, b"c").unwrap();
        contents.sweep(&BTreeSet::from([ids[0].clone()])).unwrap();
        let there: Vec<bool> = ids.iter().map(|id| path(id).exists()).collect();
        assert_eq!(there, [true, false, true]);
    }
}
