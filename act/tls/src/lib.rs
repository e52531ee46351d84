//! TLS that ends at the edge: certificates from files, chosen by the name that a client asks for, read again when the
//! files change.
//!
//! [`Seals`] keeps what the listeners of a table present. A file that cannot be read holds up no table: its listener
//! goes on with the certificate that it had, or refuses handshakes while it has none, and the [`Seals`] say what is the
//! matter. Neither a certificate's key nor any part of it is in what is said.

mod files;
mod names;
mod obtain;

pub use obtain::Home;

use files::{Loaded, Stamp};
use names::Shown;
use naru_model::{CertificateFiles, Terminate};
use obtain::Keeping;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::rustls::crypto::ring::{self, Ticketer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, version};

/// The versions of TLS that are spoken; what is older is broken.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// What a client may choose to speak inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inside {
    /// HTTP/2 or HTTP/1.1.
    Http,
    /// Anything: it is not asked.
    Bytes,
}

/// A certificate that cannot be presented, in words: which, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

/// What all listeners present.
pub struct Seals {
    /// Where certificates from authorities lie. `None`: none are had.
    home: Option<Home>,
    each: HashMap<(Terminate, Inside), Seal>,
}

/// What one listener presents, for as long as its table asks for the same.
struct Seal {
    config: Arc<ServerConfig>,
    shown: Arc<Chosen>,
    loaded: Vec<(CertificateFiles, Loaded)>,
    /// Ends with it.
    keeping: Option<Keeping>,
    named: bool,
}

/// The certificates of a listener, by name. A lock, since it is taken once a handshake, and a handshake takes a
/// thousand times as long.
#[derive(Default)]
struct Chosen(RwLock<Arc<Shown>>);

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chosen")
    }
}

impl Chosen {
    fn set(&self, shown: Shown) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
    }
}

impl ResolvesServerCert for Chosen {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        shown.find(hello.server_name())
    }
}

impl Seals {
    /// Nothing is presented yet.
    pub fn new(home: Option<Home>) -> Seals {
        Seals { home, each: HashMap::new() }
    }

    /// A new table is read: what it does not ask for is let go of at [`Seals::end`].
    pub fn begin(&mut self) {
        self.each.values_mut().for_each(|seal| seal.named = false);
    }

    /// How a listener of the new table ends TLS.
    pub fn get(&mut self, terminate: &Terminate, inside: Inside) -> Arc<ServerConfig> {
        let key = (terminate.clone(), inside);
        let seal = self.each.entry(key).or_insert_with(|| Seal::new(terminate, inside, self.home.as_ref()));
        seal.named = true;
        seal.config.clone()
    }

    /// The new table was read.
    pub fn end(&mut self) {
        self.each.retain(|_, seal| seal.named);
    }

    /// Another edge sees to certificates from here on. What is presented stays.
    pub fn rest(&mut self) {
        self.each.values_mut().for_each(|seal| seal.keeping = None);
    }

    /// Whether there is anything whose files may change.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Reads the files again that have changed, or could not be read.
    pub fn look_again(&mut self) {
        self.each.values_mut().for_each(Seal::look_again);
    }

    /// What a listener cannot present.
    pub fn faults(&self, terminate: &Terminate, inside: Inside) -> Vec<Fault> {
        let seal = self.each.get(&(terminate.clone(), inside));
        let faults = seal.into_iter().flat_map(|seal| seal.loaded.iter());
        faults.filter_map(|(_, loaded)| loaded.fault.clone()).collect()
    }
}

impl Seal {
    fn new(terminate: &Terminate, inside: Inside, home: Option<&Home>) -> Seal {
        let shown = Arc::new(Chosen::default());
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&VERSIONS);
        let builder = builder.expect("the provider has the ciphers of both versions");
        let mut config = builder.with_no_client_auth().with_cert_resolver(shown.clone());
        if inside == Inside::Http {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        // Without tickets each client that comes back costs a whole handshake, and nothing else.
        match Ticketer::new() {
            Ok(ticketer) => config.ticketer = ticketer,
            Err(error) => tracing::warn!(%error, "TLS sessions cannot be taken up again"),
        }
        let acme = terminate.acme.as_ref().zip(home);
        let had = acme.map(|(acme, home)| home.files(acme));
        let read = |files: CertificateFiles| {
            let loaded = Loaded::read(&files, None);
            (files, loaded)
        };
        let loaded = terminate.certificates.iter().cloned().chain(had).map(read).collect();
        let keeping = acme.and_then(|(acme, home)| Keeping::start(acme, home));
        let seal = Seal { config: Arc::new(config), shown, loaded, keeping, named: true };
        seal.show();
        seal
    }

    fn show(&self) {
        let present = self.loaded.iter().filter_map(|(_, loaded)| loaded.present.clone());
        self.shown.set(Shown::new(present));
    }

    fn look_again(&mut self) {
        let mut changed = false;
        for (files, loaded) in &mut self.loaded {
            if loaded.fault.is_none() && Stamp::of(files) == loaded.stamp {
                continue;
            }
            let before = loaded.present.take();
            *loaded = Loaded::read(files, before);
            changed = true;
        }
        if changed {
            self.show();
        }
    }
}
