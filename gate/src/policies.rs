//! The administrator's policies on disk: `policies/*.cedar` of the home, read again when they change.

use naru_rights::{Policies, PolicyFault};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The folder of the home.
pub const FOLDER: &str = "policies";

const FILES_MAX: usize = 64;
const FILE_MAX: u64 = 256 << 10;

/// What was changed on disk holds so soon.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the files were when they were read.
type Stamp = Vec<(PathBuf, u64, i64, i64, u64)>;

/// The policies in force.
pub(crate) struct Folder {
    dir: PathBuf,
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    policies: Arc<Policies>,
}

impl Folder {
    /// That of a home. Until its policies can be read, nobody but the owner may do anything.
    pub(crate) fn new(home: &Path) -> Folder {
        let closed = Arc::new(Policies::closed());
        Folder { dir: home.join(FOLDER), looked: None, stamp: None, policies: closed }
    }

    /// Those in force. What cannot be read does not take the place of what could.
    pub(crate) fn newest(&mut self) -> Arc<Policies> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.look();
            self.looked = Some(Instant::now());
        }
        self.policies.clone()
    }

    fn look(&mut self) {
        let stamp = match stamp(&self.dir) {
            Ok(stamp) => stamp,
            Err(error) => {
                return tracing::error!(%error, "the policies cannot be read; those before stay in force");
            }
        };
        if self.stamp.as_ref() == Some(&stamp) {
            return;
        }
        match read_folder(&self.dir) {
            Ok(policies) => {
                tracing::info!(count = policies.count, "policies of the administrator");
                self.policies = Arc::new(policies);
            }
            Err(faults) => {
                let first = faults.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(
                    faults = faults.len(),
                    first,
                    "the policies are not taken; those before stay in force"
                );
            }
        }
        self.stamp = Some(stamp);
    }
}

/// The policies' files of a folder, in the order of their names.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries?,
    };
    let mut files = vec![];
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "cedar") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(io::Error::other(format!("there are more than {FILES_MAX} files in it")));
        }
    }
    files.sort();
    Ok(files)
}

fn stamp(dir: &Path) -> io::Result<Stamp> {
    let one = |path: PathBuf| {
        let about = fs::metadata(&path)?;
        Ok((path, about.ino(), about.mtime(), about.mtime_nsec(), about.len()))
    };
    files(dir)?.into_iter().map(one).collect()
}

/// The policies of a folder; a folder that is not there has none.
///
/// # Errors
/// All that is wrong with them, each with its place.
pub fn read_folder(dir: &Path) -> Result<Policies, Vec<PolicyFault>> {
    let fault = |file: &Path, error: io::Error| {
        vec![PolicyFault { file: file.display().to_string(), line: 1, column: 1, error: error.to_string() }]
    };
    let mut texts = BTreeMap::new();
    for path in files(dir).map_err(|error| fault(dir, error))? {
        let text = text(&path).map_err(|error| fault(&path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        texts.insert(name, text);
    }
    Policies::read(&texts)
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is over {} KiB", FILE_MAX >> 10)));
    }
    Ok(text)
}
