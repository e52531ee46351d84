//! Files on their way from one folder to another, as a tar, piece by piece: nothing is held in memory but a few pieces.
//!
//! What comes from the other end is not trusted: nothing is written outside of the folder that was named, whether by `..`, by an
//! absolute path, or through a link that came before.

use crate::PAYLOAD_MAX;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::{Receiver, Sender};

/// Pieces that may wait between the two.
pub(crate) const PIECES: usize = 4;

/// Packs a file or a folder, with links as links, under a name of its own. Blocks.
///
/// # Errors
/// It cannot be read, or nobody takes it any more.
pub fn pack(source: &Path, name: &str, to: Sender<Vec<u8>>) -> io::Result<()> {
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", source.display()));
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(PAYLOAD_MAX, ToPieces(to)));
    archive.follow_symlinks(false);
    let kind = fs::symlink_metadata(source).map_err(at)?.file_type();
    if kind.is_dir() {
        archive.append_dir_all(name, source).map_err(at)?;
    } else {
        archive.append_path_with_name(source, name).map_err(at)?;
    }
    archive.into_inner()?.flush()
}

/// Unpacks into a folder, which is there already; modes are kept, owners are not. Blocks.
///
/// # Errors
/// What comes makes no sense or leads outside, or cannot be written.
pub fn unpack(from: Receiver<Vec<u8>>, folder: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(FromPieces { from, piece: vec![], at: 0 });
    archive.set_preserve_permissions(true);
    // Folders that may not be written to come to their modes when all is in them.
    let mut folders = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if entry.header().entry_type().is_dir() {
            let mode = entry.header().mode()?;
            entry.set_preserve_permissions(false);
            folders.push((path.clone(), mode));
        }
        if !entry.unpack_in(folder)? {
            let error =
                format!("{} leads out of {}: nothing more is unpacked", path.display(), folder.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
    // To the end, so that whoever sends it is heard out.
    let mut rest = archive.into_inner();
    while rest.fill() {}
    folders.iter().rev().try_for_each(|(path, mode)| set_mode(folder, path, *mode))
}

/// Unpacks what has one root, which becomes `target`: within it, where it is a folder; else under its name.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_as(from: Receiver<Vec<u8>>, target: &Path) -> io::Result<()> {
    if target.is_dir() {
        return unpack(from, target);
    }
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", parent.display()));
    let staged = parent.join(format!(".naru-cp-{}", std::process::id()));
    fs::create_dir(&staged).map_err(at)?;
    let done = unpack(from, &staged).and_then(|()| {
        let first = fs::read_dir(&staged)?.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        fs::rename(first.path(), target)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", target.display())))
    });
    let _ = fs::remove_dir_all(&staged);
    done
}

/// By the folder's own path only where no link is on the way: the archive may have put one there meanwhile.
fn set_mode(folder: &Path, path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let inside: PathBuf =
        path.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    let whole = folder.join(inside);
    let real = whole.canonicalize()?;
    if !real.starts_with(folder.canonicalize()?) || !fs::symlink_metadata(&whole)?.is_dir() {
        return Ok(());
    }
    fs::set_permissions(real, fs::Permissions::from_mode(mode & 0o7777))
}

struct ToPieces(Sender<Vec<u8>>);

impl Write for ToPieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(PAYLOAD_MAX)];
        self.0.blocking_send(part.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct FromPieces {
    from: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl FromPieces {
    /// Whether there is more.
    fn fill(&mut self) -> bool {
        match self.from.blocking_recv() {
            Some(piece) => {
                (self.piece, self.at) = (piece, 0);
                true
            }
            None => false,
        }
    }
}

impl Read for FromPieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if !self.fill() {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECES, pack, unpack, unpack_as};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use tokio::sync::mpsc::channel;

    fn carried(source: &Path, name: &str, target: &Path) -> std::io::Result<()> {
        let (to, from) = channel(PIECES);
        std::thread::scope(|scope| {
            scope.spawn(|| pack(source, name, to));
            unpack_as(from, target)
        })
    }

    /// Unpacks an archive that somebody made up.
    fn unpacked(made: impl FnOnce(&mut tar::Builder<Vec<u8>>), folder: &Path) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(Vec::new());
        made(&mut archive);
        let bytes = archive.into_inner().unwrap();
        let (to, from) = channel(bytes.len());
        bytes.chunks(7).for_each(|piece| to.try_send(piece.to_vec()).unwrap());
        drop(to);
        unpack(from, folder)
    }

    fn entry(kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header
    }

    #[test]
    fn a_tree_comes_over_with_its_modes_and_links() {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::create_dir_all(from.join("inner")).unwrap();
        fs::write(from.join("inner/big"), vec![7; 3 << 20]).unwrap();
        fs::write(from.join("run"), "#!/bin/sh").unwrap();
        fs::set_permissions(from.join("run"), fs::Permissions::from_mode(0o750)).unwrap();
        fs::set_permissions(from.join("inner"), fs::Permissions::from_mode(0o500)).unwrap();
        symlink("run", from.join("link")).unwrap();
        carried(&from, "from", &to).unwrap();
        assert_eq!(fs::read(to.join("inner/big")).unwrap(), vec![7; 3 << 20]);
        assert_eq!(fs::metadata(to.join("run")).unwrap().permissions().mode() & 0o7777, 0o750);
        assert_eq!(fs::metadata(to.join("inner")).unwrap().permissions().mode() & 0o7777, 0o500);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("run"));
        // Into a folder that is there, twice.
        carried(&from.join("run"), "run", &to).unwrap();
        carried(&from.join("run"), "run", &to.join("other")).unwrap();
        assert_eq!(fs::read_to_string(to.join("other")).unwrap(), "#!/bin/sh");
        for folder in ["from/inner", "to/inner"] {
            fs::set_permissions(home.path().join(folder), fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn nothing_is_written_outside() {
        let home = tempfile::tempdir().unwrap();
        let (inside, outside) = (home.path().join("in"), home.path().join("out"));
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let target = outside.clone();
        let through_a_link = unpacked(
            |archive| {
                archive.append_link(&mut entry(tar::EntryType::Symlink, 0), "door", &target).unwrap();
                archive
                    .append_data(&mut entry(tar::EntryType::Regular, 3), "door/evil", &b"bad"[..])
                    .unwrap();
            },
            &inside,
        );
        assert!(through_a_link.is_err());
        let upwards = unpacked(
            |archive| {
                let mut header = entry(tar::EntryType::Regular, 3);
                let name = b"../out/evil";
                header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
                header.set_cksum();
                archive.append(&header, &b"bad"[..]).unwrap();
            },
            &inside,
        );
        assert!(upwards.unwrap_err().to_string().contains("leads out of"));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn what_breaks_off_is_no_file() {
        let home = tempfile::tempdir().unwrap();
        let (to, from) = channel(1);
        to.try_send(vec![b'x'; 600]).unwrap();
        drop(to);
        assert!(unpack_as(from, &home.path().join("file")).is_err());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
