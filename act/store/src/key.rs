//! Keys: paths of printable ASCII, so that they sort by byte everywhere and a person can type them.

use std::fmt;
use std::sync::Arc;

/// The longest key, in bytes: four names of 63 (a DNS label, the longest name that Compose's users have)
/// with separators and room to spare, and short enough that no index page is filled by one key.
pub const KEY_MAX: usize = 512;

/// A path such as `stack/ocr`: segments of printable ASCII, none empty, between slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// What a listing or a watch covers: all keys below a path. Either empty (everything) or ending in a slash,
/// so that `stack/ocr/` never takes in `stack/ocr2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(Arc<str>);

/// A text that is no key, or no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Over [`KEY_MAX`].
    #[error("the store key {0:?}… is {1} bytes long; at most {KEY_MAX} are allowed: shorten the names in it")]
    TooLong(String, usize),
    /// Empty, or with an empty segment.
    #[error("the store key {0:?} has an empty segment; write it as \"a/b/c\"")]
    EmptySegment(String),
    /// With something else than printable ASCII.
    #[error("the store key {0:?} has the character {1:?}; only printable ASCII without spaces is allowed")]
    Character(String, char),
    /// A prefix that is neither empty nor ends in a slash.
    #[error("the store prefix {0:?} has to end in \"/\", or be empty for everything")]
    PrefixEnd(String),
}

impl Key {
    /// The key with this path.
    ///
    /// # Errors
    /// When the text is too long, has an empty segment or a character that is not printable ASCII.
    pub fn new(path: impl AsRef<str>) -> Result<Key, InvalidKey> {
        let path = path.as_ref();
        check(path)?;
        Ok(Key(path.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For texts that the store itself has written, and has checked before.
    pub(crate) fn stored(path: &str) -> Key {
        Key(path.into())
    }
}

impl Prefix {
    /// The prefix with this path: `""`, or one that ends in a slash.
    ///
    /// # Errors
    /// As for a key, and when the slash at the end is missing.
    pub fn new(path: impl AsRef<str>) -> Result<Prefix, InvalidKey> {
        let path = path.as_ref();
        if path.is_empty() {
            return Ok(Prefix::everything());
        }
        let Some(folder) = path.strip_suffix('/') else {
            return Err(InvalidKey::PrefixEnd(path.into()));
        };
        check(folder)?;
        Ok(Prefix(path.into()))
    }

    /// The prefix that all keys have.
    pub fn everything() -> Prefix {
        Prefix("".into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key lies below this path.
    pub fn covers(&self, key: &Key) -> bool {
        key.0.starts_with(&*self.0)
    }

    /// The first text after all keys that this prefix covers.
    pub(crate) fn end(&self) -> String {
        format!("{}\u{7f}", self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn check(path: &str) -> Result<(), InvalidKey> {
    if path.len() > KEY_MAX {
        return Err(InvalidKey::TooLong(path.chars().take(40).collect(), path.len()));
    }
    if let Some(bad) = path.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(InvalidKey::Character(path.into(), bad));
    }
    if path.split('/').any(str::is_empty) {
        return Err(InvalidKey::EmptySegment(path.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{InvalidKey, KEY_MAX, Key, Prefix};

    #[test]
    fn keys_are_checked() {
        assert_eq!(Key::new("stack/ocr").unwrap().as_str(), "stack/ocr");
        assert!(Key::new("a".repeat(KEY_MAX)).is_ok());
        assert!(matches!(Key::new("a".repeat(KEY_MAX + 1)), Err(InvalidKey::TooLong(_, 513))));
        assert!(matches!(Key::new("a b"), Err(InvalidKey::Character(_, ' '))));
        assert!(matches!(Key::new("a/é"), Err(InvalidKey::Character(_, 'é'))));
        for empty in ["", "/a", "a/", "a//b"] {
            assert!(matches!(Key::new(empty), Err(InvalidKey::EmptySegment(_))), "{empty:?}");
        }
    }

    #[test]
    fn prefixes_cover_what_lies_below_and_nothing_else() {
        let ocr = Prefix::new("stack/ocr/").unwrap();
        assert!(ocr.covers(&Key::new("stack/ocr/1").unwrap()));
        assert!(!ocr.covers(&Key::new("stack/ocr2/1").unwrap()));
        assert!(!ocr.covers(&Key::new("stack/ocr").unwrap()));
        assert!(Prefix::everything().covers(&Key::new("~").unwrap()));
        assert!(Prefix::everything().end().as_str() > "~~~");
        assert!(matches!(Prefix::new("stack"), Err(InvalidKey::PrefixEnd(_))));
        assert!(matches!(Prefix::new("/"), Err(InvalidKey::EmptySegment(_))));
    }
}
