//! Distinguished names (RFC 4514), so far as two of them can be compared: by what they mean, not by how they are written.

use std::fmt::Write as _;

/// Longer ones are none.
const DN_MAX: usize = 4_096;

/// A name in the one form that all spellings of it have: types and values in small letters, spaces once, escapes undone
/// and done again alike. `None`: it is no such name.
///
/// Directories compare most values without regard to case; that a name which differs in case alone is another one is not
/// known of any.
pub(crate) fn canonical(dn: &str) -> Option<String> {
    if dn.is_empty() || dn.len() > DN_MAX {
        return None;
    }
    let mut out = String::new();
    for part in split(dn, &[',', ';'])? {
        let mut pairs = vec![];
        for pair in split(part, &['+'])? {
            let (kind, value) = pair.split_once('=')?;
            pairs.push(format!("{}={}", kind_of(kind)?, value_of(value)?));
        }
        pairs.sort();
        if !out.is_empty() {
            out.push(',');
        }
        out += &pairs.join("+");
    }
    Some(out)
}

/// Parts between separators that are not escaped. `None`: an escape is not ended.
fn split<'a>(text: &'a str, separators: &[char]) -> Option<Vec<&'a str>> {
    let (mut parts, mut begin, mut escaped, mut quoted) = (vec![], 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            c if !quoted && separators.contains(&c) => {
                parts.push(&text[begin..at]);
                begin = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!escaped && !quoted).then_some(parts)
}

fn kind_of(kind: &str) -> Option<String> {
    let kind = kind.trim().to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (!kind.is_empty() && kind.chars().all(fits)).then_some(kind)
}

fn value_of(value: &str) -> Option<String> {
    let bytes = unescaped(value)?;
    let text = String::from_utf8(bytes).ok()?;
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return None;
    }
    let mut out = String::new();
    for c in words.join(" ").to_lowercase().chars() {
        if ",+\"\\<>;=#".contains(c) || c.is_control() {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                // A String takes all that is written to it.
                let _ = write!(out, "\\{byte:02x}");
            }
        } else {
            out.push(c);
        }
    }
    Some(out)
}

/// A value without its escapes, quotes, and the spaces around it that are not escaped.
fn unescaped(value: &str) -> Option<Vec<u8>> {
    let value = value.trim_start_matches(' ');
    let quoted = value.strip_prefix('"').and_then(|rest| rest.trim_end_matches(' ').strip_suffix('"'));
    let mut rest = quoted.unwrap_or(value).as_bytes();
    let (mut bytes, mut solid) = (vec![], 0);
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            if *first != b' ' || quoted.is_some() {
                solid = bytes.len();
            }
            continue;
        }
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match rest {
            [a, b, after @ ..] if hex(*a).is_some() && hex(*b).is_some() => {
                bytes.push(hex(*a)? * 16 + hex(*b)?);
                rest = after;
            }
            [one, after @ ..] => {
                bytes.push(*one);
                rest = after;
            }
            [] => return None,
        }
        solid = bytes.len();
    }
    bytes.truncate(solid);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn spellings_of_a_name_are_one() {
        let same = [
            "uid=Kim,ou=People,dc=example,dc=com",
            "UID = kim , OU=people;dc=EXAMPLE, dc=com",
            "uid=\\6bim,ou=people,dc=example,dc=com",
            "uid=\"kim\",ou=people,dc=example,dc=com",
        ];
        for one in same {
            assert_eq!(canonical(one).as_deref(), Some("uid=kim,ou=people,dc=example,dc=com"), "{one}");
        }
        assert_eq!(canonical("cn=Lee\\, An+uid=lee,dc=x"), canonical("uid=LEE+cn=\"lee, an\",dc=x"));
        assert_eq!(canonical("cn=Jo\u{e3}o,dc=x"), canonical("cn=Jo\\c3\\a3o,dc=x"));
        assert_ne!(canonical("cn=a\\,b,dc=x"), canonical("cn=a,b=c,dc=x"));
        assert_ne!(canonical("cn=a,dc=x"), canonical("cn=a,dc=x,dc=y"));
    }

    #[test]
    fn what_is_no_name_is_none() {
        for odd in ["", "kim", "kim@example.com", "=x", "uid=", "uid=kim,", "uid=kim\\", "uid=\"kim", "u d=x"]
        {
            assert_eq!(canonical(odd), None, "{odd}");
        }
    }
}
