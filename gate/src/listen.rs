//! Being reached from the network: at which address, with which certificate.

use naru_api::Fingerprint;
use naru_home::{Failure, Home, put_file, take_file};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version;

const FILE: &str = "listen.json";
const FOLDER: &str = "tls";

/// Longest file that is read: chains of a dozen certificates are a tenth of it.
const FILE_MAX: u64 = 256 << 10;

/// Where the API is served on the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// `ADDRESS:PORT`.
    pub address: String,
    /// The certificate's file; `None`: one that was made here and signs itself.
    pub certificate: Option<PathBuf>,
    /// Its key's.
    pub key: Option<PathBuf>,
}

/// What the server of a home listens at, beside its socket.
///
/// # Errors
/// The file that keeps it cannot be read.
pub fn wanted(home: &Home) -> Result<Option<Listen>, Failure> {
    let file = take_file(&home.path(FILE))?;
    Ok(file.map(|text| serde_json::from_slice(&text)).transpose()?)
}

/// Keeps what the server of a home is to listen at.
///
/// # Errors
/// It cannot be written.
pub fn keep(home: &Home, listen: Option<&Listen>) -> io::Result<()> {
    match listen {
        Some(listen) => put_file(&home.path(FILE), &serde_json::to_vec(listen)?),
        None => match fs::remove_file(home.path(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// TLS for it, and the certificate's fingerprint. Makes a certificate where none is given, the first time.
///
/// # Errors
/// The files cannot be read, or do not fit together.
pub fn acceptor(home: &Home, listen: &Listen) -> Result<(TlsAcceptor, Fingerprint), Failure> {
    let (certificate, key) = match (&listen.certificate, &listen.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        (None, None) => own(home, listen)?,
        _ => return Err("a certificate and its key belong together: name both".into()),
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(&certificate)?).collect();
    let chain = chain.map_err(|_| format!("the certificate {} is not PEM", certificate.display()))?;
    let first = chain.first().ok_or_else(|| format!("no certificate is in {}", certificate.display()))?;
    let fingerprint = Fingerprint::of(first);
    // Nothing of a key is in what is said about it.
    let private = PrivateKeyDer::from_pem_slice(&bytes(&key)?)
        .map_err(|_| format!("no key can be read from {}", key.display()))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&version::TLS13])?.with_no_client_auth();
    let mut config = builder
        .with_single_cert(chain, private)
        .map_err(|_| format!("the key {} does not belong to {}", key.display(), certificate.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), fingerprint))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || -> io::Result<Vec<u8>> {
        let about = fs::metadata(path)?;
        if !about.is_file() || about.len() > FILE_MAX {
            return Err(io::Error::other("it is no file, or longer than 256 KiB"));
        }
        fs::read(path)
    };
    read().map_err(|error| format!("{} cannot be read: {error}", path.display()).into())
}

/// A certificate that was made here: whoever connects knows it by its fingerprint.
fn own(home: &Home, listen: &Listen) -> Result<(PathBuf, PathBuf), Failure> {
    let folder = home.folder(FOLDER)?;
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if !certificate.exists() || !key.exists() {
        let host = listen.address.rsplit_once(':').map_or(listen.address.as_str(), |(host, _)| host);
        let host = host.trim_matches(['[', ']']).to_string();
        let names = vec![host, home.node()?.to_string(), "localhost".into()];
        let made = rcgen::generate_simple_self_signed(names)?;
        put_file(&key, made.signing_key.serialize_pem().as_bytes())?;
        put_file(&certificate, made.cert.pem().as_bytes())?;
    }
    Ok((certificate, key))
}
