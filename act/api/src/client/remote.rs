//! A server beyond this machine: TLS, whose certificate is known by its fingerprint, and a token.

use crate::ClientError;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version};

/// A server that is far away answers within this time, or is none.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The SHA-256 of a certificate: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate's bytes (DER).
    pub fn of(certificate: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::from("sha256:");
        for byte in self.0 {
            write!(text, "{byte:02x}")?;
        }
        f.pad(&text)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// With or without colons between the bytes.
    fn from_str(text: &str) -> Result<Fingerprint, String> {
        let odd = || format!("{text:?} is no fingerprint: `sha256:` and 64 hexadecimal digits");
        let digits: String =
            text.strip_prefix("sha256:").unwrap_or(text).chars().filter(|c| *c != ':').collect();
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(odd());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| odd())?;
        }
        Ok(Fingerprint(bytes))
    }
}

/// A server on the network.
#[derive(Clone)]
pub struct Remote {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its certificate's.
    pub fingerprint: Fingerprint,
    /// What is shown to it.
    pub token: Option<String>,
}

/// Without the token.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}:{}", self.host, self.port)
    }
}

impl Remote {
    pub(super) async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let verifier =
            Pinned { wanted: Some(self.fingerprint), seen: Mutex::default(), provider: provider() };
        handshake(&self.host, self.port, Arc::new(verifier)).await
    }
}

/// The fingerprint of the certificate that a server shows. Nothing is said to it.
///
/// # Errors
/// There is no server, or it speaks no TLS.
pub async fn fingerprint(host: &str, port: u16) -> Result<Fingerprint, ClientError> {
    let verifier = Arc::new(Pinned { wanted: None, seen: Mutex::default(), provider: provider() });
    let shaken = handshake(host, port, verifier.clone()).await;
    let seen = *verifier.seen.lock().unwrap_or_else(PoisonError::into_inner);
    match (seen, shaken) {
        (Some(seen), _) => Ok(seen),
        (None, Err(source)) => Err(ClientError::NoServer { at: format!("https://{host}:{port}"), source }),
        (None, Ok(_)) => Err(ClientError::Protocol("the server showed no certificate".into())),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

async fn handshake(host: &str, port: u16, verifier: Arc<Pinned>) -> io::Result<TlsStream<TcpStream>> {
    let builder = ClientConfig::builder_with_provider(verifier.provider.clone());
    let builder = builder.with_protocol_versions(&[&version::TLS13]).map_err(io::Error::other)?;
    let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
    let shaken = async {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    tokio::time::timeout(CONNECT_WITHIN, shaken).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Takes the one certificate that was agreed on, whatever name or date is in it; and makes sure, as always, that the
/// server has its key.
#[derive(Debug)]
struct Pinned {
    /// `None`: only a look is wanted.
    wanted: Option<Fingerprint>,
    seen: Mutex<Option<Fingerprint>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let seen = Fingerprint::of(certificate);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        match self.wanted {
            Some(wanted) if wanted == seen => Ok(ServerCertVerified::assertion()),
            Some(_) => Err(Error::General(format!(
                "the server shows another certificate than before ({seen}): it was renewed, or this is another server; \
                 `naru login` again, once its owner has told you the new fingerprint"
            ))),
            None => Err(Error::General("only a look".into())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let print = Fingerprint::of(b"certificate");
        assert_eq!(print.to_string().parse(), Ok(print));
        let digits = print.to_string().replace("sha256:", "").to_uppercase();
        let pairs: Vec<String> =
            digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into()).collect();
        assert_eq!(pairs.join(":").parse(), Ok(print));
        assert!(
            "sha256:12".parse::<Fingerprint>().is_err() && "é".repeat(32).parse::<Fingerprint>().is_err()
        );
    }
}
