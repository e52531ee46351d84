//! A role's own log: a file each in the folder `log`, kept within a bound.

use super::{Home, Role};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;

/// A log is put aside at this size; with the one before it, a role takes at most twice that. Weeks of an
/// ordinary role's words.
const SIZE_MAX: u64 = 8 << 20;

/// What is logged: `NARU_LOG`, in the notation of `tracing`, or `info`.
const FILTER: &str = "NARU_LOG";

/// From now on what this process says is logged as the role's words.
///
/// # Errors
/// The file cannot be made.
pub fn begin(home: &Home, role: Role) -> io::Result<()> {
    let file = LogFile::open(home.path("log").join(format!("{role}.log")))?;
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file));
    // Set already only where a test runs a role within its own process.
    let _ = subscriber.try_init();
    Ok(())
}

struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<LogFile> {
        let file = append(&path)?;
        let size = file.metadata()?.len();
        let mut log = LogFile { path, file, size };
        log.rotate_if_full()?;
        Ok(log)
    }

    fn rotate_if_full(&mut self) -> io::Result<()> {
        if self.size < SIZE_MAX {
            return Ok(());
        }
        fs::rename(&self.path, self.path.with_extension("log.1"))?;
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A log that cannot be rotated goes on in the file that it has.
        let _ = self.rotate_if_full();
        let written = self.file.write(line)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::{LogFile, SIZE_MAX};
    use std::io::Write;

    #[test]
    fn a_full_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edge.log");
        std::fs::write(&path, vec![b'x'; SIZE_MAX as usize]).unwrap();
        let mut log = LogFile::open(path.clone()).unwrap();
        log.write_all(b"new\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
        assert_eq!(std::fs::metadata(dir.path().join("edge.log.1")).unwrap().len(), SIZE_MAX);
        log.size = SIZE_MAX;
        log.write_all(b"newer\n").unwrap();
        assert_eq!(std::fs::read(dir.path().join("edge.log.1")).unwrap(), b"new\n");
    }
}
