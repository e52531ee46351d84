//! How text from outside is written into a log, so that no client can write lines of its own, or make a terminal do
//! what it likes; and what of it is left out.

use std::io::Write;

/// Parts of parameters' names whose values are nobody's business: they are written as `***`.
const SECRET: [&str; 13] = [
    "token",
    "secret",
    "pass",
    "pwd",
    "key",
    "sign",
    "auth",
    "session",
    "credential",
    "jwt",
    "ticket",
    "otp",
    "saml",
];

/// The same for whole names.
const SECRET_NAMES: [&str; 5] = ["sig", "code", "pin", "sid", "state"];

/// Longest name of a parameter that is looked at; what has a longer one is left out.
const NAME: usize = 64;

/// Writes a text in quotes, as JSON has it. Bytes that are no UTF-8 become U+FFFD.
pub(super) fn json(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
                // Separators of lines, in some eyes, and what turns the direction of writing.
                '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escape(c, out),
                c if c.is_control() => escape(c, out),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn escape(c: char, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "\\u{:04x}", c as u32);
}

/// Writes a text as Apache does: quotes and backslashes with a backslash before them, what is not plain ASCII as
/// `\xhh`. Nothing is a dash.
pub(super) fn apache(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return out.push(b'-');
    }
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
}

/// Appends a query with the values of secret parameters left out.
pub(super) fn query(query: &[u8], out: &mut Vec<u8>) {
    for (at, pair) in query.split(|byte| *byte == b'&').enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        match pair.iter().position(|byte| *byte == b'=') {
            Some(end) if is_secret(&pair[..end]) => {
                out.extend_from_slice(&pair[..=end]);
                out.extend_from_slice(b"***");
            }
            _ => out.extend_from_slice(pair),
        }
    }
}

/// Appends an address with its query as [`query`] writes it, and without its fragment.
pub(super) fn address(address: &[u8], out: &mut Vec<u8>) {
    let address = address.split(|byte| *byte == b'#').next().unwrap_or_default();
    match address.iter().position(|byte| *byte == b'?') {
        Some(end) => {
            out.extend_from_slice(&address[..=end]);
            query(&address[end + 1..], out);
        }
        None => out.extend_from_slice(address),
    }
}

fn is_secret(name: &[u8]) -> bool {
    let mut plain = [0; NAME];
    let mut length = 0;
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let coded = match (byte, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let Some(place) = plain.get_mut(length) else { return true };
        *place = coded.unwrap_or(byte).to_ascii_lowercase();
        length += 1;
        rest = if coded.is_some() { &after[2..] } else { after };
    }
    // What is no text here is no name of those.
    let Ok(name) = std::str::from_utf8(&plain[..length]) else { return false };
    SECRET.iter().any(|part| name.contains(part)) || SECRET_NAMES.contains(&name)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::{address, apache, json, query};

    fn written(how: fn(&[u8], &mut Vec<u8>), text: &[u8]) -> String {
        let mut out = Vec::new();
        how(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_holds_any_bytes_on_one_line() {
        let hostile = b"a\"\\\r\n\x1b[31m\x7f\xc2\x85\xff\xe2\x80\xae \xea\xb0\x80";
        let line = written(json, hostile);
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
        assert_eq!(line, r#""a\"\\\u000d\u000a\u001b[31m\u007f\u0085�\u202e 가""#);
        let read: String = serde_json::from_str(&line).unwrap();
        assert_eq!(read, String::from_utf8_lossy(hostile));
    }

    #[test]
    fn apaches_form_holds_any_bytes_in_plain_ascii() {
        assert_eq!(written(apache, b""), "-");
        assert_eq!(written(apache, b"a \"b\"\\\n\xff"), r#"a \"b\"\\\x0a\xff"#);
    }

    #[test]
    fn secrets_of_a_query_are_left_out() {
        let said = |text: &str| written(query, text.as_bytes());
        assert_eq!(said("page=2&access_token=abc&x"), "page=2&access_token=***&x");
        assert_eq!(
            said("API%4bey=1&X-Amz-Signature=2&%63ode=3"),
            "API%4bey=***&X-Amz-Signature=***&%63ode=***"
        );
        assert_eq!(said("codes=1&a=b=c&=&%zz=1"), "codes=1&a=b=c&=&%zz=1");
        assert_eq!(said(&format!("{}=1", "n".repeat(65))), format!("{}=***", "n".repeat(65)));
        assert_eq!(written(address, b"https://a/b?c=d&code=e#token=f"), "https://a/b?c=d&code=***");
        assert_eq!(written(address, b"/reset"), "/reset");
    }
}
