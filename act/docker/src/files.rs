//! Secrets and configs, as files that a container mounts.
//!
//! Each is copied into the instance's folder with the permissions and the owner that the file asks for, and mounted from
//! there, read-only. An agent that is not root cannot give files away: then they are its own, which an engine without
//! root maps to the container's root.

use crate::{Error, FileFrom};
use bollard::models::{Mount, MountType};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// The folder, in an instance's, that holds them.
const FILES: &str = "files";

/// Lays the contents out for one start and says how they are mounted. Blocks.
pub(crate) fn lay_out(folder: &Path, run: u64, files: &[FileFrom]) -> Result<Vec<Mount>, Error> {
    if files.is_empty() {
        return Ok(vec![]);
    }
    let dir = folder.join(FILES).join(run.to_string());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|source| disk(&dir, source))?;
    let place = |(number, one): (usize, &FileFrom)| {
        let path = dir.join(number.to_string());
        copy(one, &path).map_err(|source| disk(&path, source))?;
        Ok(Mount {
            typ: Some(MountType::BIND),
            source: Some(path.to_string_lossy().into_owned()),
            target: Some(one.file.target.clone()),
            read_only: Some(true),
            ..Mount::default()
        })
    };
    files.iter().enumerate().map(place).collect()
}

/// Removes what was laid out for starts other than `but`.
pub(crate) fn clear(folder: &Path, but: Option<u64>) {
    let kept = but.map(|run| run.to_string());
    for entry in fs::read_dir(folder.join(FILES)).into_iter().flatten().flatten() {
        if kept.as_deref() != entry.file_name().to_str() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let _ = fs::remove_dir(folder.join(FILES));
}

fn copy(one: &FileFrom, path: &Path) -> io::Result<()> {
    let bytes = fs::read(&one.source)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    file.set_permissions(Permissions::from_mode(one.file.mode))?;
    match chown(path, one.file.uid, one.file.gid) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn disk(path: &Path, source: io::Error) -> Error {
    Error::Disk { path: PathBuf::from(path), source }
}
