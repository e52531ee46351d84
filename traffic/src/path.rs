//! Paths: one form of each, and whether a pattern fits.
//!
//! Two spellings of one path must not be two paths to rules, or a rule that guards `/admin` could be walked
//! around. The form that rules see has no percent-encoding of what needs none (RFC 3986, section 6.2.2.2), no `.` and
//! `..` segments, and no empty segments; `%2F` stays, since a slash would be another path.

use std::borrow::Cow;
use std::ops::Range;

/// Segments that a pattern may name.
pub const NAMED: usize = 8;

/// A path that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// The form of a path that rules see.
///
/// # Errors
/// A percent-encoding that is none, or a `..` that leads above the root: nothing sensible asks for that.
pub fn normal(path: &str) -> Result<Cow<'_, str>, Invalid> {
    let pairs = path.as_bytes().windows(2);
    let is_normal = !path.starts_with('%')
        && pairs.fold(true, |so_far, pair| so_far & !matches!(pair, [_, b'%'] | [b'/', b'/' | b'.']));
    if is_normal {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path)?;
    let mut segments: Vec<&str> = Vec::new();
    let parts = decoded.strip_prefix('/').unwrap_or(&decoded).split('/');
    for part in parts {
        match part {
            "" | "." => {}
            ".." => drop(segments.pop().ok_or(Invalid)?),
            part => segments.push(part),
        }
    }
    let last = decoded.rsplit('/').next().unwrap_or_default();
    let mut out = String::with_capacity(decoded.len());
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() || matches!(last, "" | "." | "..") {
        out.push('/');
    }
    Ok(Cow::Owned(out))
}

/// Decodes what needs no encoding, and writes the rest in capitals.
fn decode(path: &str) -> Result<String, Invalid> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let digits = rest.as_bytes().get(at + 1..at + 3).ok_or(Invalid)?;
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(Invalid);
        let byte = (digit(digits[0])? * 16 + digit(digits[1])?) as u8;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(digits.iter().map(|digit| char::from(digit.to_ascii_uppercase())));
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The segments that a pattern gave names to, as places in the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    places: [Range<u32>; NAMED],
}

impl Captures {
    /// The segment of the name with that number in its pattern.
    pub fn get<'a>(&self, number: usize, path: &'a str) -> &'a str {
        let place = self.places.get(number).cloned().unwrap_or_default();
        path.get(place.start as usize..place.end as usize).unwrap_or_default()
    }
}

/// Whether `path` is `prefix` or lies below it.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path fits a pattern, and what its names stand for.
pub(crate) fn fits(path: &str, pattern: &str) -> Option<Captures> {
    let mut captures = Captures::default();
    let mut named = 0;
    let mut at = 1;
    let mut segments = path.strip_prefix('/')?.split('/');
    for wanted in pattern.strip_prefix('/')?.split('/') {
        if wanted == "**" {
            return Some(captures);
        }
        let segment = segments.next()?;
        let is_name = wanted.starts_with('{') && wanted.ends_with('}');
        if is_name && !segment.is_empty() {
            if let Some(place) = captures.places.get_mut(named) {
                *place = at as u32..(at + segment.len()) as u32;
            }
            named += 1;
        } else if !(wanted == segment || (wanted == "*" && !segment.is_empty())) {
            return None;
        }
        at += segment.len() + 1;
    }
    segments.next().is_none().then_some(captures)
}

/// The names of a pattern, in order.
pub(crate) fn names(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use super::{Invalid, fits, is_below, normal};

    #[test]
    fn one_form_of_each_path() {
        let forms = [
            ("/a/b", "/a/b"),
            ("/%61dmin", "/admin"),
            ("//admin", "/admin"),
            ("/public/../admin", "/admin"),
            ("/public/%2e%2e/admin/", "/admin/"),
            ("/a/./b/..", "/a/"),
            ("/a%2fb", "/a%2Fb"),
            ("/%2F%zz", ""),
            ("/..", ""),
            ("/%", ""),
            ("/", "/"),
            ("//", "/"),
            ("/.hidden", "/.hidden"),
        ];
        for (path, want) in forms {
            match normal(path) {
                Ok(form) => assert_eq!(form, want, "{path}"),
                Err(Invalid) => assert_eq!("", want, "{path}"),
            }
        }
    }

    #[test]
    fn patterns() {
        for path in ["/api", "/api/", "/api/x"] {
            assert!(is_below(path, "/api") && is_below(path, "/"), "{path}");
        }
        assert!(!is_below("/apis", "/api"));
        let captures = fits("/users/kim/orders/7", "/users/{user}/orders/{id}").unwrap();
        assert_eq!(captures.get(0, "/users/kim/orders/7"), "kim");
        assert_eq!(captures.get(1, "/users/kim/orders/7"), "7");
        assert_eq!(captures.get(2, "/users/kim/orders/7"), "");
        assert!(fits("/a/b/c", "/a/*/c").is_some() && fits("/a/b/c", "/a/**").is_some());
        assert!(fits("/a", "/a/**").is_some() && fits("/a//c", "/a/*/c").is_none());
        assert!(fits("/a/b", "/a").is_none() && fits("/a", "/a/b").is_none());
    }
}
