//! Answers that the edge gives itself: each a status and one sentence.

use crate::head::{Method, Persistence, extend};

/// A status and the sentence that explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Reject {
    /// The status of the answer.
    pub status: u16,
    /// One sentence.
    pub reason: &'static str,
}

impl Reject {
    /// An answer of the edge's own.
    pub const fn new(status: u16, reason: &'static str) -> Reject {
        Reject { status, reason }
    }

    /// The message is not HTTP, or could be read in two ways.
    pub const fn bad(reason: &'static str) -> Reject {
        Reject::new(400, reason)
    }

    /// What the parser said of a head.
    pub(crate) fn parse(error: httparse::Error) -> Reject {
        match error {
            httparse::Error::HeaderName => Reject::bad("a field's name, or the space around it, is invalid"),
            httparse::Error::HeaderValue => Reject::bad("a field's value has an invalid byte"),
            httparse::Error::NewLine => Reject::bad("a line does not end with CRLF"),
            httparse::Error::Status => Reject::bad("the status line is invalid"),
            httparse::Error::Token => Reject::bad("the first line is invalid"),
            httparse::Error::TooManyHeaders => Reject::new(431, "too many fields"),
            httparse::Error::Version => Reject::new(505, "the version is neither HTTP/1.0 nor HTTP/1.1"),
        }
    }

    /// Writes the whole answer.
    pub fn write(&self, method: Method, persistence: Persistence, out: &mut Vec<u8>) {
        let status = self.status.to_string();
        let length = (self.reason.len() + 1).to_string();
        extend(out, &["HTTP/1.1 ", &status, " ", phrase(self.status), "\r\n"]);
        if self.status == 503 {
            extend(out, &["Retry-After: 1\r\n"]);
        }
        match persistence {
            Persistence::Close => extend(out, &["Connection: close\r\n"]),
            Persistence::Keep => {}
            Persistence::KeepTold => extend(out, &["Connection: keep-alive\r\n"]),
        }
        extend(out, &["X-Naru-Reason: ", self.reason, "\r\nContent-Type: text/plain\r\n"]);
        extend(out, &["Content-Length: ", &length, "\r\n\r\n"]);
        if method != Method::Head {
            extend(out, &[self.reason, "\n"]);
        }
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        417 => "Expectation Failed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
