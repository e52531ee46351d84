//! The files: one folder for each authority, in it its account, and a certificate with its key for each set of
//! names.

use naru_model::{Acme, CertificateFiles};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::pem::Pem;

/// A certificate that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// It holds from then on.
    pub from: SystemTime,
    /// Until then.
    pub until: SystemTime,
}

impl Kept {
    /// The one for these names. `None` where there is none, or it makes no sense.
    pub fn read(acme: &Acme, folder: &Path) -> Option<Kept> {
        let pem = fs::read(certificate_files(acme, folder).cert).ok()?;
        let first = Pem::iter_from_buffer(&pem).next()?.ok()?;
        let certificate = first.parse_x509().ok()?;
        let moment = |seconds: i64| UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?));
        let validity = certificate.validity();
        Some(Kept {
            from: moment(validity.not_before.timestamp())?,
            until: moment(validity.not_after.timestamp())?,
        })
    }

    /// When it is to be had anew: a third of its life before its end.
    pub fn due(&self) -> SystemTime {
        let life = self.until.duration_since(self.from).unwrap_or_default();
        self.from + life * 2 / 3
    }
}

/// Where the certificate for these names lies, and its key; whether they are there or not.
pub fn certificate_files(acme: &Acme, folder: &Path) -> CertificateFiles {
    let mut domains = acme.domains.clone();
    domains.sort();
    let name = format!("{}-{}", domains.first().map_or("none", |name| name), digest(&domains.join(" ")));
    let path =
        |end: &str| authority(acme, folder).join(format!("{name}.{end}")).to_string_lossy().into_owned();
    CertificateFiles { cert: path("crt"), key: path("key") }
}

/// The account's file.
pub(crate) fn account(acme: &Acme, folder: &Path) -> PathBuf {
    authority(acme, folder).join("account.json")
}

fn authority(acme: &Acme, folder: &Path) -> PathBuf {
    folder.join(digest(&acme.directory))
}

fn digest(text: &str) -> String {
    Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file that only its owner may read; it is there whole or not at all.
pub(crate) fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a file without a folder"))?;
    make(folder)?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

/// Makes a folder that only its owner may enter.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::{Kept, certificate_files, put};
    use naru_model::Acme;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    fn acme(domains: &[&str]) -> Acme {
        let domains = domains.iter().map(|name| name.to_string()).collect();
        Acme { directory: "https://authority.test/dir".into(), domains, email: None, root: None }
    }

    #[test]
    fn a_certificate_is_due_after_two_thirds_of_its_life() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = acme(&["b.test", "a.test"]);
        assert_eq!(Kept::read(&wanted, folder.path()), None);
        let files = certificate_files(&wanted, folder.path());
        assert_eq!(
            files,
            certificate_files(&acme(&["a.test", "b.test"]), folder.path()),
            "the order is no matter"
        );
        assert_ne!(files, certificate_files(&acme(&["a.test"]), folder.path()));
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_string()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 3, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        put(Path::new(&files.cert), certificate.as_bytes()).unwrap();
        let kept = Kept::read(&wanted, folder.path()).unwrap();
        let day = Duration::from_secs(86400);
        assert_eq!(kept.due(), kept.from + day * 40);
        assert_eq!(kept.from, UNIX_EPOCH + Duration::from_secs(1_767_225_600));
        let mode = std::fs::metadata(&files.cert).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&files.cert, "no certificate").unwrap();
        assert_eq!(Kept::read(&wanted, folder.path()), None);
    }
}
