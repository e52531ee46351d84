//! Heads of HTTP/1.1, as the edge itself writes and reads them inside the process.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use naru_carry::End;
use naru_wire::Framing;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

/// Longest head: what the edge writes itself is a little longer than the longest that it takes.
const HEAD: usize = 60 * 1024;

/// Reads the next head from a pipe, with the empty line at its end. `None`: the peer has said the end before it.
/// `else_if` is asked meanwhile whether waiting is of use.
pub(crate) async fn head(
    from: &End,
    mut else_if: impl FnMut(&mut Context<'_>) -> Poll<io::Error>,
) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let more = poll_fn(|cx| {
            if let Poll::Ready(error) = else_if(cx) {
                return Poll::Ready(Err(error));
            }
            from.poll_arrived(cx)
        });
        if !more.await? {
            return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let whole = from.take(|bytes| {
            let before = head.len();
            head.extend_from_slice(bytes);
            let from = before.saturating_sub(3);
            match head[from..].windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => {
                    head.truncate(from + at + 4);
                    (head.len() - before, true)
                }
                None => (bytes.len(), false),
            }
        });
        if whole {
            return Ok(Some(head));
        }
        if head.len() > HEAD {
            return Err(io::Error::other("the head is too long"));
        }
    }
}

/// A head's first line and its fields. Those that concern one connection are left out, `Host` is told apart.
pub(crate) struct Head {
    pub(crate) first: String,
    pub(crate) host: Option<HeaderValue>,
    pub(crate) fields: HeaderMap,
    pub(crate) framing: Option<Framing>,
    /// The protocol that is changed to.
    pub(crate) upgrade: Option<HeaderValue>,
}

impl Head {
    /// `None`: it is no head.
    pub(crate) fn read(head: Vec<u8>) -> Option<Head> {
        let head = Bytes::from(head);
        let end = head.windows(2).position(|two| two == b"\r\n")?;
        let mut read = Head {
            first: String::from_utf8(head[..end].to_vec()).ok()?,
            host: None,
            fields: HeaderMap::with_capacity(16),
            framing: None,
            upgrade: None,
        };
        let mut at = end + 2;
        while at + 2 < head.len() {
            let length = head[at..].windows(2).position(|two| two == b"\r\n")?;
            let colon = head[at..at + length].iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&head[at..at + colon]).ok()?;
            let value = head.slice(at + colon + 1..at + length);
            read.field(name, HeaderValue::from_maybe_shared(value.slice_ref(value.trim_ascii())).ok()?)?;
            at += length + 2;
        }
        Some(read)
    }

    fn field(&mut self, name: HeaderName, value: HeaderValue) -> Option<()> {
        match name {
            CONNECTION => {}
            HOST => self.host = Some(value),
            UPGRADE => self.upgrade = Some(value),
            // The edge writes no other coding.
            TRANSFER_ENCODING => self.framing = Some(Framing::Chunked),
            CONTENT_LENGTH => {
                self.framing = Some(Framing::Length(value.to_str().ok()?.parse().ok()?));
                self.fields.append(name, value);
            }
            _ if is_of_connection(&name) => {}
            _ => drop(self.fields.append(name, value)),
        }
        Some(())
    }
}

/// Whether a field concerns one connection, and must not be in HTTP/2 (RFC 9113, 8.2.2).
fn is_of_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" | "te"
    )
}

/// Writes a field as a line.
pub(crate) fn line(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes fields as lines, but those of `but` and those that concern one connection.
pub(crate) fn lines(fields: &HeaderMap, but: &[HeaderName], out: &mut Vec<u8>) {
    for (name, value) in fields {
        if !but.contains(name) && !is_of_connection(name) {
            line(name, value.as_bytes(), out);
        }
    }
}

/// Fields of trailers, from their lines.
pub(crate) fn trailers(lines: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value)
            && !is_of_connection(&name)
        {
            fields.append(name, value);
        }
    }
    fields
}

/// Waits until the peer of a pipe is gone.
pub(crate) async fn left(end: &End) -> io::Error {
    poll_fn(|cx| end.poll_unread(cx)).await;
    io::ErrorKind::BrokenPipe.into()
}
