//! Passwords: argon2id with the parameters that OWASP recommends (19 MiB, two passes), which are its library's defaults.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use std::sync::LazyLock;

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashError(String);

/// The hash as a PHC text, with a salt of its own. Takes tens of milliseconds and 19 MiB.
///
/// # Errors
/// The system gives no random bytes.
pub fn hash_password(password: &str) -> Result<String, HashError> {
    let hash: Result<PasswordHash, _> = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| HashError(error.to_string()))
}

/// Stands in for the hash of whoever has none.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_password("there is no such user").unwrap_or_default());

/// Whether it is the password of this hash; takes as long without one. An empty password is nobody's.
pub fn is_password(password: &str, hash: Option<&str>) -> bool {
    let known = hash.unwrap_or(&NOBODY);
    let fits = PasswordHash::new(known)
        .is_ok_and(|known| Argon2::default().verify_password(password.as_bytes(), &known).is_ok());
    fits && hash.is_some() && !password.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{hash_password, is_password};

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let hash = hash_password("correct horse battery").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hash_password("correct horse battery").unwrap(), "the salt differs");
        assert!(is_password("correct horse battery", Some(&hash)));
        assert!(!is_password("correct horse batterz", Some(&hash)));
        assert!(!is_password("", Some(&hash)) && !is_password("", None));
        assert!(!is_password("there is no such user", None), "the stand-in lets nobody in");
        assert!(!is_password("x", Some("no hash")));
    }
}
