//! A certificate and its key, from their files.

use crate::Fault;
use naru_model::CertificateFiles;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// Longest file that is read: chains of a dozen certificates are a tenth of it.
const LONGEST: u64 = 256 * 1024;

/// A certificate that can be presented.
#[derive(Clone)]
pub(crate) struct Present {
    pub(crate) names: Arc<[String]>,
    pub(crate) key: Arc<CertifiedKey>,
}

/// What two files were, when they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([Option<(u64, i64, i64, u64)>; 2]);

impl Stamp {
    /// What they are now.
    pub(crate) fn of(files: &CertificateFiles) -> Stamp {
        let one = |path: &String| {
            let about = fs::metadata(path).ok()?;
            Some((about.ino(), about.mtime(), about.mtime_nsec(), about.len()))
        };
        Stamp([one(&files.cert), one(&files.key)])
    }
}

/// What came of reading them.
pub(crate) struct Loaded {
    pub(crate) stamp: Stamp,
    pub(crate) present: Option<Present>,
    pub(crate) fault: Option<Fault>,
}

impl Loaded {
    /// Reads them; `before` stays where they cannot be read, or do not fit.
    pub(crate) fn read(files: &CertificateFiles, before: Option<Present>) -> Loaded {
        let stamp = Stamp::of(files);
        match present(files) {
            Ok(present) => Loaded { stamp, present: Some(present), fault: None },
            Err(why) => {
                let goes_on = if before.is_some() { "; the one before is presented" } else { "" };
                Loaded { stamp, present: before, fault: Some(Fault(format!("{why}{goes_on}"))) }
            }
        }
    }
}

fn present(files: &CertificateFiles) -> Result<Present, String> {
    let CertificateFiles { cert, key } = files;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text("certificate", cert)?).collect();
    let chain = chain.map_err(|error| format!("the certificate {cert} is not PEM: {}", said(&error)))?;
    let first = chain.first().ok_or_else(|| format!("the file {cert} has no certificate in it"))?;
    let names = names(first).ok_or_else(|| format!("the first certificate of {cert} cannot be read"))?;
    let private = PrivateKeyDer::from_pem_slice(&text("key", key)?)
        .map_err(|error| format!("the key {key} cannot be read: {}", said(&error)))?;
    let signed = CertifiedKey::from_der(chain, private, &ring::default_provider());
    let signed = signed.map_err(|_| format!("the key {key} does not belong to the certificate {cert}"))?;
    Ok(Present { names, key: Arc::new(signed) })
}

fn text(what: &str, path: &str) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        let about = fs::metadata(path)?;
        if !about.is_file() || about.len() > LONGEST {
            return Err(io::Error::other("it is no file, or longer than 256 KiB"));
        }
        fs::read(path)
    };
    read().map_err(|error| format!("the {what} {path} cannot be read: {error}"))
}

/// The parser's words where they say something, without any of the file's content.
fn said(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "there is none in it",
        pem::Error::MissingSectionEnd { .. } => "its end line is missing",
        _ => "it is malformed",
    }
}

/// The names that a certificate is for.
fn names(certificate: &CertificateDer<'_>) -> Option<Arc<[String]>> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Some(names.collect())
}
