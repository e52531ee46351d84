//! Another service decides whether a request passes: it is asked with the request's own fields, and its answer is
//! either leave to pass, with fields for the instance, or the answer itself.
//!
//! The question is a GET without a body, on a connection of its own. A service that cannot be asked lets nobody
//! pass.

use naru_answers::{Answer, Content};
use naru_carry::{Inbox, Reader, Upstream, write_all};
use naru_model::ForwardAuth;
use naru_wire::{
    Answering, Body, Method, Nature, Persistence, Repeat, RequestHead, ResponseHead, Upgrade, Version, What,
    extend, find_end, response,
};
use std::net::SocketAddr;
use std::time::Duration;

/// Longest body of an answer that is passed on.
const BODY: usize = 64 * 1024;

/// How the question is read: as any GET.
const GET: RequestHead = RequestHead {
    method: Method::Other,
    version: Version::Http11,
    framing: naru_wire::Framing::None,
    persistence: Persistence::Close,
    upgrade: Upgrade::None,
    repeat: Repeat::Allowed,
};

/// Fields of a request that concern its body or one connection.
const OWN: [&str; 12] = [
    "host",
    "connection",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-connection",
    "http2-settings",
];

fn is_forwarded(name: &str) -> bool {
    name.eq_ignore_ascii_case("forwarded")
        || name.get(..12).is_some_and(|p| p.eq_ignore_ascii_case("x-forwarded-"))
}

/// A service that is asked.
pub(crate) struct Judge {
    host: String,
    path: String,
    pub(crate) copied: Vec<String>,
    timeout: Duration,
}

/// A question, written.
pub(crate) struct Question(Vec<u8>);

impl Judge {
    pub(crate) fn new(auth: &ForwardAuth) -> Judge {
        let rest = auth.url.strip_prefix("http://").unwrap_or(&auth.url);
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        Judge {
            host: host.into(),
            path: path.into(),
            copied: auth.copy_headers.clone(),
            timeout: Duration::from_millis(auth.timeout.0),
        }
    }

    /// Writes the question about a request: its fields, those that concern its body and its connection left out,
    /// and in `X-Forwarded-*` what it asks for.
    pub(crate) fn question(&self, asked: &super::Asked<'_>) -> Question {
        let mut text = Vec::new();
        extend(
            &mut text,
            &["GET ", &self.path, " HTTP/1.1\r\nHost: ", &self.host, "\r\nConnection: close\r\n"],
        );
        asked.fields.each(&mut |name, value| {
            if !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) && !is_forwarded(name) {
                extend(&mut text, &[name, ": "]);
                text.extend_from_slice(value);
                text.extend_from_slice(b"\r\n");
            }
        });
        let source = asked.source.to_string();
        extend(
            &mut text,
            &["X-Forwarded-Method: ", asked.method, "\r\nX-Forwarded-Uri: ", asked.target, "\r\n"],
        );
        extend(&mut text, &["X-Forwarded-Host: ", asked.host.unwrap_or_default(), "\r\nX-Forwarded-Proto: "]);
        extend(&mut text, &[asked.scheme, "\r\nX-Forwarded-For: ", &source, "\r\n\r\n"]);
        Question(text)
    }

    /// Asks. What comes back are lines for the instance.
    ///
    /// # Errors
    /// The answer that the client gets instead.
    pub(crate) async fn ask(&self, question: Question) -> Result<String, Answer> {
        match tokio::time::timeout(self.timeout, self.try_ask(&question)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => {
                tracing::warn!(service = self.host, %why, "the service that decides who passes cannot be asked");
                Err(Answer::told(502, "the service that decides who passes could not be asked"))
            }
            Err(_) => Err(Answer::told(504, "the service that decides who passes did not answer in time")),
        }
    }

    async fn try_ask(&self, question: &Question) -> std::io::Result<Result<String, Answer>> {
        let authority = if self.host.contains(':') { self.host.clone() } else { format!("{}:80", self.host) };
        let address: SocketAddr = tokio::net::lookup_host(authority)
            .await?
            .next()
            .ok_or_else(|| std::io::Error::other("its name has no address"))?;
        let mut upstream = Upstream::connect(address, self.timeout).await?;
        let (mut read, mut write, written) = upstream.split();
        write_all(&mut write, [&question.0, &[]], self.timeout, written).await?;
        let mut inbox = Inbox::default();
        let mut text = Vec::new();
        let head = loop {
            let bad = |reject: naru_wire::Reject| std::io::Error::other(reject.reason);
            if let Some(end) = find_end(inbox.bytes(), 0).map_err(bad)? {
                text.clear();
                let head = &inbox.bytes()[..end];
                let head =
                    response(head, &GET, Persistence::Keep, &Answering::default(), &mut text).map_err(bad)?;
                inbox.consume(end);
                if head.nature != Nature::Interim {
                    break head;
                }
            } else if inbox.is_full() || inbox.fill(&mut read).await? == 0 {
                return Err(std::io::Error::other("its answer is no answer"));
            }
        };
        if (200..300).contains(&head.status) {
            return Ok(Ok(self.copy(&text)));
        }
        let body = body(head, &mut inbox, &mut read).await?;
        Ok(Err(Answer {
            status: head.status,
            reason: "another service did not let it pass",
            lines: kept(&text),
            body: Content::Text(body.into()),
        }))
    }

    /// The lines of an answer that the instance gets.
    fn copy(&self, head: &[u8]) -> String {
        lines(head)
            .filter(|(name, _)| self.copied.iter().any(|copied| copied.eq_ignore_ascii_case(name)))
            .fold(String::new(), |mut all, (name, value)| {
                all.extend([name, ": ", value, "\r\n"]);
                all
            })
    }
}

/// The fields of a head that was written anew, so that its lines are as they should be.
fn lines(head: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let text = std::str::from_utf8(head).unwrap_or_default();
    text.split("\r\n").skip(1).filter_map(|line| line.split_once(": "))
}

/// The fields that pass on to the client.
fn kept(head: &[u8]) -> String {
    const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "connection"];
    let passing = lines(head).filter(|(name, _)| !FRAMING.iter().any(|own| own.eq_ignore_ascii_case(name)));
    passing.fold(String::new(), |mut all, (name, value)| {
        all.extend([name, ": ", value, "\r\n"]);
        all
    })
}

async fn body(head: ResponseHead, inbox: &mut Inbox, from: &mut Reader<'_>) -> std::io::Result<Vec<u8>> {
    let mut body = Body::new(head.framing);
    let mut taken = Vec::new();
    loop {
        while !body.is_done() && !inbox.bytes().is_empty() {
            let run = body.run(inbox.bytes()).map_err(|reject| std::io::Error::other(reject.reason))?;
            if run.what == What::Data {
                taken.extend_from_slice(&inbox.bytes()[..run.length]);
            }
            inbox.consume(run.length);
            if taken.len() > BODY {
                return Err(std::io::Error::other("its answer is too long"));
            }
        }
        if body.is_done() || (inbox.fill(from).await? == 0 && body.ends_with_close()) {
            return Ok(taken);
        }
        if inbox.bytes().is_empty() {
            return Err(std::io::Error::other("its answer broke off"));
        }
    }
}
