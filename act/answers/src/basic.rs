//! Names and passwords by HTTP's basic scheme, against a file as `htpasswd -B` writes it.
//!
//! Comparing a password with its hash takes tens of milliseconds by design, so it is done on another thread, and
//! what was right is remembered, as a keyed digest, until the file changes. A name that is not in the file takes as
//! long as a wrong password.

use crate::answer::Answer;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::SystemTime;

/// Digests that are remembered: as many people as use one rule within a file's life, by far.
const REMEMBERED: usize = 4096;

/// Longest value of `Authorization` that is looked at.
const LONGEST: usize = 1024;

/// What a name that nobody has is compared with. Nobody knows its password: it was drawn by chance.
const NOBODY: &str = "$2y$10$0FNLHNg0UJbpofRp6vXhDOU/tjBraJGFxPByoxZvVUUrLCGDuXvp6";

/// A file of names.
pub struct Basic {
    realm: String,
    path: String,
    known: RefCell<Known>,
}

#[derive(Default)]
struct Known {
    changed: Option<SystemTime>,
    hashes: BTreeMap<String, String>,
    right: BTreeSet<[u8; 32]>,
}

/// What is to be compared, elsewhere.
pub struct Claimed {
    digest: [u8; 32],
    password: Vec<u8>,
    hash: String,
    /// Whether the file has the name.
    is_known: bool,
}

/// What a request is found to be.
pub enum Shown {
    /// Right, as was seen before.
    Right,
    /// Wrong, or not there.
    Wrong,
    /// It has to be compared.
    Compare(Claimed),
}

impl Basic {
    /// The file that a rule names. It is read when it is first needed.
    pub fn new(auth: &naru_model::BasicAuth) -> Basic {
        Basic {
            realm: auth.realm.replace(['"', '\\'], ""),
            path: auth.file.clone(),
            known: RefCell::default(),
        }
    }

    /// Looks at a request's `Authorization`.
    ///
    /// # Errors
    /// The file of names cannot be read: nobody gets in.
    pub fn look(&self, authorization: Option<&[u8]>) -> Result<Shown, Answer> {
        let mut known = self.known.borrow_mut();
        if let Err(error) = known.refresh(&self.path) {
            tracing::error!(%error, file = self.path, "the names and passwords cannot be read; nobody gets in");
            return Err(Answer::told(500, "the names and passwords of this address cannot be read"));
        }
        let Some((name, password)) = authorization.and_then(credentials) else { return Ok(Shown::Wrong) };
        let hash = known.hashes.get(&name);
        let (is_known, hash) = (hash.is_some(), hash.cloned().unwrap_or_else(|| NOBODY.into()));
        // The hash has a salt of its own, so that the digest of one password is another for each name and file.
        let mut digest = Sha256::new_with_prefix(hash.as_bytes());
        digest.update([0]);
        digest.update(&password);
        let digest: [u8; 32] = digest.finalize().into();
        if is_known && known.right.contains(&digest) {
            return Ok(Shown::Right);
        }
        Ok(Shown::Compare(Claimed { digest, password, hash, is_known }))
    }

    /// Compares.
    pub async fn is_right(&self, claimed: Claimed) -> bool {
        let Claimed { digest, password, hash, is_known } = claimed;
        let compared = tokio::task::spawn_blocking(move || bcrypt::verify(&password, &hash).unwrap_or(false));
        let right = compared.await.unwrap_or(false) && is_known;
        let mut known = self.known.borrow_mut();
        if right && known.right.len() < REMEMBERED {
            known.right.insert(digest);
        }
        right
    }

    /// The answer to who is not right.
    pub fn refusal(&self) -> Answer {
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.realm);
        Answer::told(401, "a name and a password are needed").with("WWW-Authenticate", &challenge)
    }
}

impl Known {
    fn refresh(&mut self, path: &str) -> io::Result<()> {
        let changed = fs::metadata(path)?.modified()?;
        if self.changed == Some(changed) {
            return Ok(());
        }
        let text = fs::read_to_string(path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut hashes = BTreeMap::new();
        for line in lines {
            match line.split_once(':') {
                Some((name, hash)) if hash.starts_with("$2") => drop(hashes.insert(name.into(), hash.into())),
                // The line itself may be a password in clear.
                _ => tracing::warn!(
                    file = path,
                    "a line is no NAME:HASH as `htpasswd -B` writes it, and is left out"
                ),
            }
        }
        *self = Known { changed: Some(changed), hashes, right: BTreeSet::new() };
        Ok(())
    }
}

/// The name and the password of `Basic …`.
fn credentials(value: &[u8]) -> Option<(String, Vec<u8>)> {
    let value = value.get(..LONGEST.min(value.len())).filter(|cut| cut.len() == value.len())?;
    let scheme = value.get(..6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(value[6..].trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((String::from_utf8(decoded[..colon].to_vec()).ok()?, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::{Basic, Shown};
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", BASE64_STANDARD.encode(text)).into_bytes()
    }

    async fn right(names: &Basic, text: &str) -> bool {
        match names.look(Some(&basic(text))).unwrap_or_else(|_| panic!("the file is there")) {
            Shown::Right => true,
            Shown::Wrong => false,
            Shown::Compare(claimed) => names.is_right(claimed).await,
        }
    }

    #[tokio::test]
    async fn who_is_in_the_file_gets_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        let hash = bcrypt::hash("secret:1", 4).unwrap();
        std::fs::write(&path, format!("# people\nkim:{hash}\nlee:plain\n")).unwrap();
        let file = path.to_str().unwrap().to_string();
        let names = Basic::new(&naru_model::BasicAuth { realm: "shop".into(), file });
        assert!(right(&names, "kim:secret:1").await);
        assert!(matches!(names.look(Some(&basic("kim:secret:1"))), Ok(Shown::Right)), "it is remembered");
        for wrong in ["kim:secret", "kim:", "lee:plain", "park:secret:1", "kim"] {
            assert!(!right(&names, wrong).await, "{wrong}");
        }
        assert!(matches!(names.look(None), Ok(Shown::Wrong)));
        assert!(matches!(names.look(Some(b"Bearer abc")), Ok(Shown::Wrong)));
        std::fs::remove_file(&path).unwrap();
        assert!(names.look(Some(&basic("kim:secret:1"))).is_err(), "without the file nobody gets in");
    }
}
