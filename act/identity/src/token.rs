//! Tokens: `naru_ID_SECRET`. The id finds the record; the secret is 32 random bytes, and kept nowhere.

use sha2::{Digest, Sha256};
use std::fmt::Write;
use subtle::ConstantTimeEq;

const BEGIN: &str = "naru_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// A token that was just made.
pub struct Minted {
    /// Which one; no secret.
    pub id: String,
    /// What is kept of its secret part.
    pub hash: String,
    /// The token itself: shown once.
    pub token: String,
}

/// Makes a token.
///
/// # Errors
/// The system gives no random bytes.
pub fn mint() -> Result<Minted, getrandom::Error> {
    let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
    getrandom::fill(&mut id)?;
    getrandom::fill(&mut secret)?;
    let (id, secret) = (hex(&id), hex(&secret));
    Ok(Minted { hash: hash(&secret), token: format!("{BEGIN}{id}_{secret}"), id })
}

/// The id and the secret part of what may be a token.
pub fn parts(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.strip_prefix(BEGIN)?.split_once('_')?;
    let is_hex =
        |text: &str, bytes: usize| text.len() == 2 * bytes && text.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES)).then_some((id, secret))
}

/// Whether a secret part is that of a hash.
pub fn fits(secret: &str, hash: &str) -> bool {
    self::hash(secret).as_bytes().ct_eq(hash.as_bytes()).into()
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // A String takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{fits, mint, parts};

    #[test]
    fn a_token_fits_what_is_kept_of_it() {
        let (one, other) = (mint().unwrap(), mint().unwrap());
        let (id, secret) = parts(&one.token).unwrap();
        assert_eq!(id, one.id);
        assert!(fits(secret, &one.hash) && !fits(secret, &other.hash));
        assert!(!one.hash.contains(secret));
        for odd in ["", "naru_", "naru_a_b", &one.token[1..], &format!("{}0", one.token)] {
            assert!(parts(odd).is_none(), "{odd}");
        }
    }
}
