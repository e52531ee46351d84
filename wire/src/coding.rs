//! Which coding of a body a client takes (RFC 9110, section 12.5.3), and which bodies are worth one.

use std::fmt;

/// A coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli, RFC 7932.
    Brotli,
    /// Zstandard, RFC 8878.
    Zstd,
    /// Gzip, RFC 1952.
    Gzip,
}

impl Coding {
    /// The best first, where a client takes several alike.
    pub const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The end of a file's name that holds a body coded so.
    pub fn extension(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }

    /// The one of `offered` (the best first) that the client prefers, by its `Accept-Encoding`. `None`: the body as
    /// it is.
    pub fn accepted(accept: &[u8], offered: &[Coding]) -> Option<Coding> {
        let mut best: Option<(u16, Coding)> = None;
        for coding in offered {
            let quality = quality(accept, coding.name());
            if quality > best.map_or(0, |(quality, _)| quality) {
                best = Some((quality, *coding));
            }
        }
        best.map(|(_, coding)| coding)
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How much a client likes a coding, in thousandths; 0: it does not take it.
fn quality(accept: &[u8], name: &str) -> u16 {
    let mut any = 0;
    for item in accept.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let (coding, parameters) = match item.iter().position(|byte| *byte == b';') {
            Some(at) => (item[..at].trim_ascii(), &item[at + 1..]),
            None => (item, &[][..]),
        };
        if coding.eq_ignore_ascii_case(name.as_bytes())
            || (name == "gzip" && coding.eq_ignore_ascii_case(b"x-gzip"))
        {
            return thousandths(parameters);
        }
        if coding == b"*" {
            any = thousandths(parameters);
        }
    }
    any
}

/// `q=0.5`; 1 where nothing is said, 0 where it makes no sense.
fn thousandths(parameters: &[u8]) -> u16 {
    let parameters = parameters.trim_ascii();
    if parameters.is_empty() {
        return 1000;
    }
    let Some(value) = parameters.strip_prefix(b"q=").or_else(|| parameters.strip_prefix(b"Q=")) else {
        return 0;
    };
    match value {
        [b'1', rest @ ..] if rest.iter().all(|byte| matches!(byte, b'.' | b'0')) => 1000,
        [b'0'] => 0,
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            let scale = [1000, 100, 10, 1][digits.len()];
            digits.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0')) * scale
        }
        _ => 0,
    }
}

/// Whether bodies of a type get smaller by a coding. Images, films and archives are coded already.
pub fn is_compressible(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|byte| *byte == b';').unwrap_or(content_type.len());
    let essence = content_type[..end].trim_ascii().to_ascii_lowercase();
    let is = |name: &[u8]| essence == name;
    // Server-sent events have to arrive one by one.
    (essence.starts_with(b"text/") && !is(b"text/event-stream"))
        || essence.ends_with(b"+json")
        || essence.ends_with(b"+xml")
        || [&b"application/json"[..], b"application/javascript", b"application/xml", b"application/wasm"]
            .into_iter()
            .any(is)
        || [&b"application/x-ndjson"[..], b"application/manifest+json", b"image/svg+xml", b"font/ttf"]
            .into_iter()
            .any(is)
}

#[cfg(test)]
mod tests {
    use super::{Coding, is_compressible};

    #[track_caller]
    fn check(accept: &str, want: Option<Coding>) {
        assert_eq!(Coding::accepted(accept.as_bytes(), &Coding::ALL), want, "{accept}");
    }

    #[test]
    fn the_client_chooses_and_the_edge_prefers_among_equals() {
        check("", None);
        check("identity", None);
        check("gzip", Some(Coding::Gzip));
        check("x-gzip", Some(Coding::Gzip));
        check("gzip, deflate, br, zstd", Some(Coding::Brotli));
        check("gzip;q=1.0, br;q=0.5", Some(Coding::Gzip));
        check("br;q=0, *", Some(Coding::Zstd));
        check("*;q=0", None);
        check("gzip ; q=0.001", Some(Coding::Gzip));
        check("gzip;q=nonsense", None);
        check("gzip;q=0.0001", None);
    }

    #[test]
    fn what_is_coded_already_is_left_alone() {
        for kind in
            ["text/html; charset=utf-8", "application/json", "application/problem+json", "IMAGE/SVG+XML"]
        {
            assert!(is_compressible(kind.as_bytes()), "{kind}");
        }
        for kind in ["", "image/png", "application/zip", "text/event-stream", "video/mp4", "application/grpc"]
        {
            assert!(!is_compressible(kind.as_bytes()), "{kind}");
        }
    }
}
