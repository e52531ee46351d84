//! From the files of NARU_HOME to a directory that can be asked; and again when they change.

use crate::config::Server;
use crate::directory::Directory;
use crate::file::{self, FILE};
use naru_yaml::Errors;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// The whole file, certificates, and a password.
const FILE_MAX: u64 = 1 << 20;
const CA_MAX: u64 = 1 << 20;
const PASSWORD_MAX: u64 = 4_096;

/// What was changed on disk holds so soon.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// What is in it is wrong.
    #[error(transparent)]
    Wrong(#[from] Errors),
    /// A file that it names does not do.
    #[error("{path}: {why}")]
    Named {
        /// The file.
        path: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
}

/// The directory that a home's file names; `None` where there is no file.
///
/// # Errors
/// The file, or one that it names, does not do.
pub fn load(home: &Path) -> Result<Option<Directory>, FileError> {
    let path = home.join(FILE);
    let name = path.display().to_string();
    let text = match content(&path, FILE_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| FileError::Unreadable { path: name.clone(), source })?,
    };
    let config = file::read(&name, &text)?;
    let tls = tls(config.ca.as_ref().map(|ca| home.join(ca)).as_deref())?;
    let service = config.service.as_ref();
    let password = service.map(|service| password(&home.join(&service.password_file))).transpose()?;
    Ok(Some(Directory::new(config, Arc::new(tls), password)))
}

fn content(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it is over {most} bytes")));
    }
    Ok(text)
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, FileError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            // What of the system's certificates is none is left out, as everywhere.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let named = |why: String| FileError::Named { path: path.display().to_string(), why };
            let text = content(path, CA_MAX).map_err(|error| named(format!("it cannot be read: {error}")))?;
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
            let all = all.map_err(|error| named(format!("it is no PEM: {error}")))?;
            if all.is_empty() {
                return Err(named(
                    "there is no certificate in it: it begins -----BEGIN CERTIFICATE-----".into(),
                ));
            }
            for one in all {
                roots.add(one).map_err(|error| named(format!("a certificate in it does not do: {error}")))?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("ring has both versions of TLS");
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn password(path: &Path) -> Result<String, FileError> {
    let named = |why: String| FileError::Named { path: path.display().to_string(), why };
    let about = fs::metadata(path).map_err(|error| named(format!("it cannot be read: {error}")))?;
    if !about.is_file() || about.mode() & 0o077 != 0 {
        let mode = about.mode() & 0o7777;
        return Err(named(format!("others may read this password (mode {mode:o}): chmod 600")));
    }
    let text = content(path, PASSWORD_MAX).map_err(|error| named(format!("it cannot be read: {error}")))?;
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() || password.contains(['\0', '\n']) {
        return Err(named("a password is one line that is not empty".into()));
    }
    Ok(password.into())
}

/// The directory as it is configured now.
#[derive(Clone)]
pub enum State {
    /// There is none.
    Off,
    /// There is one.
    On(Arc<Directory>),
    /// There would be one, but its file was never right: nobody comes in by it.
    Broken(Arc<str>),
}

/// What the files were when they were read.
type Stamp = Vec<Option<(u64, i64, i64, u64, u32)>>;

/// A home's directory, read again when its files change. A file that is wrong does not take the place of one that was
/// right.
pub struct Watched {
    home: PathBuf,
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    state: State,
    /// Why the files are not taken as they are.
    error: Option<String>,
}

impl Watched {
    /// That of a home.
    pub fn new(home: &Path) -> Watched {
        Watched { home: home.into(), looked: None, stamp: None, state: State::Off, error: None }
    }

    /// As it is now.
    pub fn newest(&mut self) -> State {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.look_now();
            self.looked = Some(Instant::now());
        }
        self.state.clone()
    }

    /// Looks at the files, whenever that was done last.
    pub fn look_now(&mut self) {
        // What was wrong may have been in a file that is named there: it is tried again.
        if self.error.is_none() && self.stamp.as_ref() == Some(&self.now()) {
            return;
        }
        // Before it is read: what changes meanwhile is seen the next time.
        let before = self.now();
        let error = match load(&self.home) {
            Ok(read) => {
                self.take(read);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = error.as_ref().filter(|error| self.error.as_ref() != Some(error)) {
            if let State::On(_) = self.state {
                tracing::error!(error, "{FILE} is not taken; what was read before stays in force");
            } else {
                tracing::error!(error, "{FILE} is not taken; nobody comes in by it");
                self.state = State::Broken(error.as_str().into());
            }
        }
        self.error = error;
        // With the files that it names now.
        let after = self.now();
        self.stamp = Some(if after.first() == before.first() { after } else { before });
    }

    fn take(&mut self, read: Option<Directory>) {
        let Some(directory) = read else {
            self.state = State::Off;
            return;
        };
        let servers: Vec<String> = directory.config().servers.iter().map(Server::url).collect();
        tracing::info!(servers = servers.join(" "), "people may come in by the directory");
        if !directory.looks_up() {
            tracing::warn!(
                "the directory has no service account: whoever came in signs in again when stale_max is over"
            );
        }
        self.state = State::On(Arc::new(directory));
    }

    fn now(&self) -> Stamp {
        let mut paths = vec![self.home.join(FILE)];
        if let State::On(directory) = &self.state {
            paths.extend(directory.config.ca.iter().map(|ca| self.home.join(ca)));
            paths.extend(directory.config.service.iter().map(|one| self.home.join(&one.password_file)));
        }
        let one = |path: PathBuf| {
            let about = fs::metadata(path).ok()?;
            Some((about.ino(), about.mtime(), about.mtime_nsec(), about.len(), about.mode()))
        };
        paths.into_iter().map(one).collect()
    }
}
