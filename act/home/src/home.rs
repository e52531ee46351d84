//! NARU_HOME: where everything of one user's Naru lies. Nobody else may look into it.

use super::lock::{Lock, Post};
use super::seal::{put_file, take_file};
use naru_model::NodeId;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a folder cannot be NARU_HOME.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Somebody else's.
    #[error("{} belongs to another user (uid {owner}); set NARU_HOME to a folder of your own", path.display())]
    NotOwn {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// No folder.
    #[error("{} is not a folder; set NARU_HOME to another path", path.display())]
    NoFolder {
        /// What is no folder.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{} cannot be used as NARU_HOME: {source}", path.display())]
    System {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// An existing home, owned by this user, and closed to all others. Clones are the same home.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
    socket: PathBuf,
}

/// The longest path that a Unix socket's address holds, with its NUL.
const SOCKET_PATH_MAX: usize = 108;

/// What may follow a socket's name while it is not at its place yet: a dot and a process's number.
const OWN_NAME: usize = 11;

impl Home {
    /// The home at `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// It is somebody else's, is no folder, or cannot be made.
    pub fn open(dir: &Path) -> Result<Home, HomeError> {
        let system = |source| HomeError::System { path: dir.into(), source };
        make_folder(dir).map_err(system)?;
        let dir = dir.canonicalize().map_err(system)?;
        let found = fs::metadata(&dir).map_err(system)?;
        if !found.is_dir() {
            return Err(HomeError::NoFolder { path: dir });
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(HomeError::NotOwn { path: dir, owner: found.uid() });
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(&dir, Permissions::from_mode(0o700)).map_err(system)?;
        }
        make_folder(&dir.join("log")).map_err(system)?;
        let socket = socket(&dir, "api.sock").map_err(system)?;
        Ok(Home { socket, dir })
    }

    /// The folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The API's socket. Where the folder's path is too long for a socket's address, this leads through
    /// `/proc/self/fd`, and is good for this process only.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The path of another socket of the home, as [`Home::socket`]: to be asked for once, since a long one takes a
    /// file descriptor for good.
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn socket_at(&self, name: &str) -> io::Result<PathBuf> {
        socket(&self.dir, name)
    }

    /// A socket of the home, by a path that fits into a socket's address; see [`Home::socket`].
    pub fn beside(&self, name: &str) -> PathBuf {
        self.socket.with_file_name(name)
    }

    /// A file or folder of the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A folder of the home, made with mode 0700 if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.path(name);
        make_folder(&folder)?;
        Ok(folder)
    }

    /// Waits until nobody else holds the lock of a post, and takes it.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn lock(&self, post: Post) -> io::Result<Lock> {
        Lock::wait(&self.path(&post.file()))
    }

    /// Takes the lock of a post, if nobody holds it.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn try_lock(&self, post: Post) -> io::Result<Option<Lock>> {
        Lock::attempt(&self.path(&post.file()))
    }

    /// The process that holds a post's lock, if one does.
    ///
    /// # Errors
    /// The lock's file cannot be read.
    pub fn holder(&self, post: Post) -> io::Result<Option<rustix::process::Pid>> {
        Lock::holder(&self.path(&post.file()))
    }

    /// This machine's name as a node: the host's name when the home was first used. It stays the same when
    /// the host is called otherwise later, since instances are recorded under it.
    ///
    /// # Errors
    /// The file that keeps it cannot be read or written.
    pub fn node(&self) -> io::Result<NodeId> {
        let path = self.path("node");
        if let Some(name) = take_file(&path)? {
            return Ok(String::from_utf8_lossy(&name).trim().into());
        }
        let _first = self.lock(Post::Node)?;
        if let Some(name) = take_file(&path)? {
            return Ok(String::from_utf8_lossy(&name).trim().into());
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let plain = host.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c));
        let name = Some(plain.take(63).collect::<String>()).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| "localhost".into());
        put_file(&path, name.as_bytes())?;
        Ok(name.into())
    }
}

fn make_folder(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn socket(dir: &Path, name: &str) -> io::Result<PathBuf> {
    let plain = dir.join(name);
    if plain.as_os_str().len() + OWN_NAME < SOCKET_PATH_MAX {
        return Ok(plain);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(dir, flags, Mode::empty())?;
    // Never closed: the path has to be good for as long as anyone in this process has it.
    Ok(format!("/proc/self/fd/{}/{name}", folder.into_raw_fd()).into())
}

#[cfg(test)]
mod tests {
    use super::{Home, HomeError};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_home_is_closed_to_others_and_keeps_its_node_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let home = Home::open(&dir.path().join("deep/er")).unwrap();
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(home.dir().to_path_buf()), mode(home.path("log"))), (0o700, 0o700));
        let node = home.node().unwrap();
        assert_eq!(Home::open(home.dir()).unwrap().node().unwrap(), node);
        assert_eq!(mode(home.path("node")), 0o600);
    }

    #[test]
    fn a_file_is_no_home() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            Home::open(file.path()),
            Err(HomeError::System { .. } | HomeError::NoFolder { .. })
        ));
    }

    #[test]
    fn a_long_path_still_has_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("long-".repeat(40))).unwrap();
        assert!(home.path("api.sock").as_os_str().len() > 200);
        let listener = UnixListener::bind(home.socket()).unwrap();
        UnixStream::connect(Home::open(home.dir()).unwrap().socket()).unwrap();
        listener.accept().unwrap();
        assert!(home.path("api.sock").exists());
    }
}
