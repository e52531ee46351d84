//! Certificates from an authority: a thread for each set of names, for as long as a table asks for it.

use naru_acme::{Wanted, certificate_files};
use naru_model::{Acme, CertificateFiles};
use std::path::PathBuf;
use std::thread;
use tokio::sync::oneshot;

/// Where accounts and certificates lie, and in it the answers to challenges.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

/// Longest token of a challenge: an authority's has 43 characters.
const TOKEN: usize = 128;

/// Where the authority looks.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

impl Home {
    /// A folder that only its owner may enter; made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Home {
        Home(folder.into())
    }

    /// The certificate's files, whether they are there yet or not.
    pub(crate) fn files(&self, acme: &Acme) -> CertificateFiles {
        certificate_files(acme, &self.0)
    }

    fn challenges(&self) -> PathBuf {
        self.0.join("challenges")
    }

    /// What is answered to an authority that looks for its challenge, if the path is that of one that is open.
    pub fn challenge(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(CHALLENGES)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_token = !token.is_empty() && token.len() <= TOKEN && token.bytes().all(is_plain);
        if is_token { std::fs::read_to_string(self.challenges().join(token)).ok() } else { None }
    }
}

/// Sees to one certificate; dropped, it stops.
pub(crate) struct Keeping {
    _stop: oneshot::Sender<()>,
}

impl Keeping {
    /// `None`: the system gives no thread, which is told.
    pub(crate) fn start(acme: &Acme, home: &Home) -> Option<Keeping> {
        let wanted = Wanted { acme: acme.clone(), folder: home.0.clone(), challenges: home.challenges() };
        let (stop, stopped) = oneshot::channel();
        let begun = runtime().and_then(|runtime| {
            thread::Builder::new().name("edge-acme".into()).spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = wanted.keep() => {}
                    }
                });
            })
        });
        match begun {
            Ok(_) => Some(Keeping { _stop: stop }),
            Err(error) => {
                tracing::error!(%error, domains = ?acme.domains, "nobody sees to the certificate");
                None
            }
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
