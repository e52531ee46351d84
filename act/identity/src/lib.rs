//! How somebody shows who they are: passwords, tokens, and how often one may try.
//!
//! What is kept gives nothing away: a password's argon2id hash, and the SHA-256 of a token's secret part, which is random
//! and long. Comparisons take as long whether they fit or not, and a user who does not exist takes as long as one who does.

mod limit;
mod password;
mod token;

pub use limit::{Attempts, Limits, TooMany};
pub use password::{HashError, hash_password, is_password};
pub use token::{Minted, fits, mint, parts};
