//! Channels, ready to send: from the files of NARU_HOME.

use crate::file::{self, Config, FILE, Transport};
use crate::mail::Post;
use crate::notice::Notice;
use crate::webhook::Hook;
use http::Uri;
use naru_yaml::Errors;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const FILE_MAX: u64 = 1 << 20;
const SECRET_MAX: u64 = 4 << 10;

/// Why a notice was not sent. No secret, and no address that is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may go the next time.
    #[error("{0}")]
    Passing(String),
    /// It would never go.
    #[error("{0}")]
    Lasting(String),
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
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

/// A way to people.
pub struct Channel(Way);

enum Way {
    Webhook(Box<Hook>),
    Mail(Box<Post>),
}

impl Channel {
    /// Sends a notice; answered within half a minute.
    ///
    /// # Errors
    /// It was not taken.
    pub async fn send(&self, notice: &Notice) -> Result<(), Fault> {
        match &self.0 {
            Way::Webhook(hook) => hook.send(notice).await,
            Way::Mail(post) => post.send(notice).await,
        }
    }
}

/// All channels, and what goes to which.
pub struct Channels {
    /// What the file says.
    pub config: Config,
    /// By name.
    pub channels: BTreeMap<String, Channel>,
}

/// What a home's file names; `None` where there is no file.
///
/// # Errors
/// The file, or one that it names, does not do.
pub fn load(home: &Path) -> Result<Option<Channels>, FileError> {
    let path = home.join(FILE);
    let name = path.display().to_string();
    let text = match content(&path, FILE_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| FileError::Unreadable { path: name.clone(), source })?,
    };
    let config = file::read(&name, &text)?;
    let mut channels = BTreeMap::new();
    for (name, transport) in &config.channels {
        channels.insert(name.clone(), channel(home, transport)?);
    }
    Ok(Some(Channels { config, channels }))
}

fn channel(home: &Path, transport: &Transport) -> Result<Channel, FileError> {
    match transport {
        Transport::Webhook(hook) => {
            let path = home.join(&hook.url_file);
            let uri = address(&secret(&path)?)
                .map_err(|why| FileError::Named { path: path.display().to_string(), why })?;
            let secret = hook.secret_file.as_ref().map(|file| secret(&home.join(file))).transpose()?;
            Ok(Channel(Way::Webhook(Box::new(Hook::new(uri, secret)))))
        }
        Transport::Mail(mail) => {
            let password = mail.password_file.as_ref().map(|file| secret(&home.join(file))).transpose()?;
            let ca = mail.ca.as_ref().map(|file| {
                let path = home.join(file);
                content(&path, FILE_MAX)
                    .map_err(|source| FileError::Unreadable { path: path.display().to_string(), source })
            });
            let post = Post::new(mail, password, ca.transpose()?.as_deref());
            let named = |why| FileError::Named { path: home.join(FILE).display().to_string(), why };
            Ok(Channel(Way::Mail(Box::new(post.map_err(named)?))))
        }
    }
}

/// https, or this machine.
fn address(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| "there is no address in it: https://…".to_string())?;
    let here = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match uri.scheme_str() {
        Some("https") if uri.host().is_some() => Ok(uri),
        Some("http") if here => Ok(uri),
        _ => Err("a webhook's address is https://…; http:// leads to this machine only".into()),
    }
}

fn content(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it is over {most} bytes")));
    }
    Ok(text)
}

fn secret(path: &Path) -> Result<String, FileError> {
    let named = |why: String| FileError::Named { path: path.display().to_string(), why };
    let about = fs::metadata(path).map_err(|error| named(format!("it cannot be read: {error}")))?;
    if !about.is_file() || about.mode() & 0o077 != 0 {
        let mode = about.mode() & 0o7777;
        return Err(named(format!("others may read this secret (mode {mode:o}): chmod 600")));
    }
    let text = content(path, SECRET_MAX).map_err(|error| named(format!("it cannot be read: {error}")))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() || secret.contains(['\0', '\n']) {
        return Err(named("a secret is one line that is not empty".into()));
    }
    Ok(secret.into())
}
