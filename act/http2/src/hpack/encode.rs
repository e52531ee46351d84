//! Writing an answer's fields: what the standard's table has by its index, everything else spelled out. None is added to
//! the client's table, so that there is nothing to keep in step.

/// Says that the edge's table is empty, and stays so (RFC 7541, 6.3): due where a client has changed how large it may be.
pub(crate) const NO_TABLE: u8 = 0x20;

/// Names up to this length, which all of the standard's table are, are lowered in one go.
pub(crate) const SHORT: usize = 48;

/// What each byte is in a name: in lower case; `COLON`, or 0 if it is none of a name's.
static LOWER: [u8; 256] = lower();

const COLON: u8 = 1;

/// What a field of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// One that goes on.
    Field,
    /// `Content-Length`, which goes on.
    Length,
    /// `Transfer-Encoding`, which does not.
    Coding,
    /// Another that concerns one connection, and does not go on (RFC 9113, 8.2.2).
    Connection,
}

/// Appends `:status`, of three digits.
pub(crate) fn status(digits: &[u8], out: &mut Vec<u8>) {
    let index = match digits {
        b"200" => 8,
        b"204" => 9,
        b"206" => 10,
        b"304" => 11,
        b"400" => 12,
        b"404" => 13,
        b"500" => 14,
        other => {
            out.extend_from_slice(&[0x08, 3]);
            return out.extend_from_slice(other);
        }
    };
    out.push(0x80 | index);
}

/// Room for a name that is not long.
pub(crate) type Short = [u8; SHORT];

/// Puts the name at the beginning of a line, which a colon ends, in lower case into `room`, and says how long it is.
/// `None`: the colon is not there, or far away.
pub(crate) fn lowered(line: &[u8], room: &mut Short) -> Option<usize> {
    for (length, (byte, to)) in line.iter().zip(room).enumerate() {
        let lower = LOWER[usize::from(*byte)];
        if lower <= COLON {
            return (lower == COLON).then_some(length);
        }
        *to = lower;
    }
    None
}

/// Appends a field, whose name is in lower case, if it goes on.
pub(crate) fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Answered {
    let (answered, index) = meaning(name);
    if matches!(answered, Answered::Coding | Answered::Connection) {
        return answered;
    }
    match index {
        Some(index @ ..15) => out.push(index),
        Some(index) => out.extend_from_slice(&[0x0f, index - 15]),
        None => spelled(name, out),
    }
    string(value, out);
    answered
}

/// Appends a field with a long name.
pub(crate) fn long_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    spelled(name, out);
    string(value, out);
}

const fn lower() -> [u8; 256] {
    let mut lower = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_of_name = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        if is_of_name {
            lower[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    lower[b':' as usize] = COLON;
    lower
}

/// A new name.
fn spelled(name: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    integer(name.len(), out);
    out.extend(name.iter().map(u8::to_ascii_lowercase));
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    integer(text.len(), out);
    out.extend_from_slice(text);
}

/// An integer in bytes of which the first has seven bits of it.
#[inline]
fn integer(value: usize, out: &mut Vec<u8>) {
    let Some(mut rest) = value.checked_sub(0x7f) else { return out.push(value as u8) };
    out.push(0x7f);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What a name in lower case means, and its index.
fn meaning(name: &[u8]) -> (Answered, Option<u8>) {
    let one = |of: &[(&[u8], u8)]| {
        let found = of.iter().find(|(known, _)| *known == name);
        (Answered::Field, found.map(|(_, index)| *index))
    };
    let of_connection = || (Answered::Connection, None);
    match name.len() {
        2 if name == b"te" => of_connection(),
        3 => one(&[(b"age", 21), (b"via", 60)]),
        4 => one(&[(b"date", 33), (b"vary", 59), (b"etag", 34), (b"link", 45)]),
        5 => one(&[(b"allow", 22)]),
        6 => one(&[(b"server", 54)]),
        7 if name == b"upgrade" => of_connection(),
        7 => one(&[(b"expires", 36), (b"refresh", 52)]),
        8 => one(&[(b"location", 46)]),
        10 if name == b"connection" || name == b"keep-alive" => of_connection(),
        10 => one(&[(b"set-cookie", 55)]),
        11 => one(&[(b"retry-after", 53)]),
        12 => one(&[(b"content-type", 31)]),
        13 => one(&[
            (b"cache-control", 24),
            (b"last-modified", 44),
            (b"accept-ranges", 18),
            (b"content-range", 30),
        ]),
        14 if name == b"content-length" => (Answered::Length, Some(28)),
        16 if name == b"proxy-connection" => of_connection(),
        16 => one(&[
            (b"content-encoding", 26),
            (b"content-language", 27),
            (b"content-location", 29),
            (b"www-authenticate", 61),
        ]),
        17 if name == b"transfer-encoding" => (Answered::Coding, None),
        18 => one(&[(b"proxy-authenticate", 48)]),
        19 => one(&[(b"content-disposition", 25)]),
        25 => one(&[(b"strict-transport-security", 56)]),
        27 => one(&[(b"access-control-allow-origin", 20)]),
        _ => (Answered::Field, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{Answered, SHORT, field, integer, long_field, lowered, status};
    use crate::hpack::Decoder;

    fn read(block: &[u8]) -> Vec<(String, String)> {
        let mut read = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Decoder::default().decode(block, |field| read.push((text(field.name), text(field.value)))).unwrap();
        read
    }

    fn write(name: &str, value: &[u8], out: &mut Vec<u8>) -> Answered {
        let mut room = [0; SHORT];
        match lowered(format!("{name}:").as_bytes(), &mut room) {
            Some(length) => field(&room[..length], value, out),
            None => {
                assert!(name.len() >= SHORT);
                long_field(name.as_bytes(), value, out);
                Answered::Field
            }
        }
    }

    #[test]
    fn a_name_ends_with_its_colon() {
        let length = |line: &[u8]| lowered(line, &mut [0; SHORT]);
        assert_eq!(
            (length(b"X-a: b"), length(b":"), length(b"x y:"), length(b"x\r\n:")),
            (Some(3), Some(0), None, None)
        );
        assert_eq!((length(b""), length(b"x"), length(&[b'x'; 100])), (None, None, None));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let names = [
            "Age",
            "Via",
            "Date",
            "Vary",
            "ETag",
            "Link",
            "Allow",
            "Server",
            "Expires",
            "Refresh",
            "Location",
            "Set-Cookie",
            "Retry-After",
            "Content-Type",
            "Cache-Control",
            "Last-Modified",
            "Accept-Ranges",
            "Content-Range",
            "Content-Encoding",
            "Content-Language",
            "Content-Location",
            "WWW-Authenticate",
            "Proxy-Authenticate",
            "Content-Disposition",
            "Strict-Transport-Security",
            "Access-Control-Allow-Origin",
            "Content-Length",
            "X-Own",
            "x",
            "x-12",
            "X-A-Name-That-Is-Longer-Than-All-That-The-Table-Has",
        ];
        for name in names {
            for value in ["", "v", &"long ".repeat(1000)] {
                let mut out = Vec::new();
                let is_length = write(name, value.as_bytes(), &mut out) == Answered::Length;
                assert_eq!(is_length, name == "Content-Length");
                assert_eq!(read(&out), [(name.to_lowercase(), value.to_owned())]);
            }
        }
    }

    #[test]
    fn what_concerns_a_connection_is_left_out() {
        let mut out = Vec::new();
        for name in ["Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "TE", "Transfer-Encoding"] {
            let answered = write(name, b"x", &mut out);
            assert_eq!(answered == Answered::Coding, name == "Transfer-Encoding");
            assert!(out.is_empty(), "{name}");
        }
    }

    #[test]
    fn every_status_is_read_again() {
        for code in 100..1000 {
            let mut out = Vec::new();
            status(code.to_string().as_bytes(), &mut out);
            assert_eq!(read(&out), [(":status".to_owned(), code.to_string())]);
        }
    }

    /// RFC 7541, C.1, with a prefix of seven bits.
    #[test]
    fn integers() {
        let of = |value| {
            let mut out = Vec::new();
            integer(value, &mut out);
            out
        };
        assert_eq!((of(0), of(126), of(127)), (vec![0], vec![126], vec![127, 0]));
        assert_eq!((of(128), of(127 + 128), of(1337)), (vec![127, 1], vec![127, 128, 1], vec![127, 186, 9]));
    }
}
