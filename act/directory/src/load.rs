//! From the files of NARU_HOME to a directory that can be asked; and again when they change.

use crate::config::Server;
use crate::directory::Directory;
use crate::file::{self, FILE};
use naru_yaml::file::{FileError, content, content_if_any, secret};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// The whole file, and certificates.
const FILE_MAX: u64 = 1 << 20;
const CA_MAX: u64 = 1 << 20;

/// What was changed on disk holds so soon.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The directory that a home's file names; `None` where there is no file.
///
/// # Errors
/// The file, or one that it names, does not do.
pub fn load(home: &Path) -> Result<Option<Directory>, FileError> {
    let path = home.join(FILE);
    let Some(text) = content_if_any(&path, FILE_MAX)? else { return Ok(None) };
    let config = file::read(&path.display().to_string(), &text)?;
    let tls = tls(config.ca.as_ref().map(|ca| home.join(ca)).as_deref())?;
    let service = config.service.as_ref();
    let password =
        service.map(|service| secret(&home.join(&service.password_file), "password")).transpose()?;
    Ok(Some(Directory::new(config, Arc::new(tls), password)))
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
