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
        extend(out, &[persistence.line()]);
        extend(out, &["X-Naru-Reason: ", self.reason, "\r\nContent-Type: text/plain\r\n"]);
        extend(out, &["Content-Length: ", &length, "\r\n\r\n"]);
        if method != Method::Head {
            extend(out, &[self.reason, "\n"]);
        }
    }
}

/// The usual words beside a status; none where they are not known.
pub fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400..500 => client_phrase(status),
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

fn client_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}
