//! Channels, ready to send: from the files of NARU_HOME.

use crate::file::{self, Config, FILE, Transport};
use crate::mail::Post;
use crate::notice::Notice;
use crate::webhook::Hook;
use http::Uri;
use naru_yaml::file::{FileError, content, content_if_any, secret};
use std::collections::BTreeMap;
use std::path::Path;

const FILE_MAX: u64 = 1 << 20;
/// What the files that are named there hold, for errors.
const SECRET: &str = "secret";

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
    let Some(text) = content_if_any(&path, FILE_MAX)? else { return Ok(None) };
    let config = file::read(&path.display().to_string(), &text)?;
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
            let named = |why| FileError::Named { path: path.display().to_string(), why };
            let uri = address(&secret(&path, SECRET)?).map_err(named)?;
            let secret =
                hook.secret_file.as_ref().map(|file| secret(&home.join(file), SECRET)).transpose()?;
            Ok(Channel(Way::Webhook(Box::new(Hook::new(uri, secret).map_err(named)?))))
        }
        Transport::Mail(mail) => {
            let password =
                mail.password_file.as_ref().map(|file| secret(&home.join(file), SECRET)).transpose()?;
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
