//! A client: it sends what it was told to, reads the answer, and does it again.

use super::socket::Line;
use std::io;
use std::rc::Rc;
use std::time::Instant;

/// What a client sends, and what it expects.
#[derive(Clone)]
pub struct Ask {
    /// Sent once at the beginning, and answered by an HTTP head: a websocket's beginning.
    pub hello: Option<Rc<[u8]>>,
    /// Sent for each exchange.
    pub message: Rc<[u8]>,
    /// How an exchange's answer ends.
    pub answer: Answer,
    /// What comes after an exchange.
    pub then: Then,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is HTTP, 200 and of a stated length.
    Http,
    /// It is HTTP of a stated length, whatever its status.
    Any,
    /// It has so many bytes.
    Bytes(usize),
}

/// What a client does after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next.
    Again,
    /// The next, over another connection.
    Reconnect,
    /// Nothing more.
    Rest,
    /// It leaves.
    Leave,
    /// Nothing, until its turn comes again: the one that has rested longest goes next.
    PassOn,
    /// It never finishes its first: a byte a second.
    Creep,
}

impl Ask {
    /// HTTP's `GET` of so many bytes, over a connection that is kept.
    pub fn get(path: &str) -> Ask {
        Ask::get_of("bench.test", path)
    }

    /// The same, of a host.
    pub fn get_of(host: &str, path: &str) -> Ask {
        let message =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: naru-bench\r\nAccept: */*\r\n\r\n");
        Ask { hello: None, message: message.into_bytes().into(), answer: Answer::Http, then: Then::Again }
    }

    /// The same, each over a connection of its own.
    pub fn get_once(path: &str) -> Ask {
        let message = format!(
            "GET {path} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: naru-bench\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        Ask { message: message.into_bytes().into(), then: Then::Reconnect, ..Ask::get(path) }
    }

    /// A message of `size` bytes that asks for an answer of `answer` bytes; see [`super::Service::Messages`].
    pub fn message(size: usize, answer: usize) -> Ask {
        let mut message = vec![b'm'; size.max(8)];
        message[..4].copy_from_slice(&(size.max(8) as u32).to_be_bytes());
        message[4..8].copy_from_slice(&(answer as u32).to_be_bytes());
        Ask { hello: None, message: message.into(), answer: Answer::Bytes(answer), then: Then::Again }
    }

    /// A websocket that has each of its messages of `size` bytes (at most 125) sent back, and rests in between.
    pub fn websocket(size: usize) -> Ask {
        let hello = "GET /ws HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let size = size.min(125);
        let mut frame = vec![0x82, 0x80 | size as u8, 1, 2, 3, 4];
        frame.extend((0..size).map(|n| b'w' ^ (n % 4 + 1) as u8));
        Ask {
            hello: Some(hello.as_bytes().into()),
            message: frame.into(),
            answer: Answer::Bytes(2 + size),
            then: Then::PassOn,
        }
    }

    /// A request that never ends.
    pub fn creeping() -> Ask {
        Ask { then: Then::Creep, ..Ask::get("/b/1024") }
    }
}

/// What became of a client's socket becoming readable.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More has to come.
    Wait,
    /// The hello was answered.
    Greeted,
    /// The exchange is over.
    Done,
}

/// One client.
pub struct Client {
    pub(super) ask: Rc<Ask>,
    pub(super) group: usize,
    pub(super) began: Instant,
    /// How many bytes of a creeping request were sent.
    pub(super) crept: usize,
    pub(super) state: State,
    /// The beginning of a head that is not whole.
    partial: Vec<u8>,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Greeting,
    /// An HTTP head is due.
    Head,
    /// So many bytes are due.
    Body(usize),
    Resting,
}

impl Client {
    pub(super) fn new(ask: Rc<Ask>, group: usize, began: Instant) -> Client {
        Client { ask, group, began, crept: 0, state: State::Connecting, partial: Vec::new() }
    }

    /// The connection is there: what is to be sent first.
    pub(super) fn connected(&mut self) -> Option<Rc<[u8]>> {
        match &self.ask.hello {
            Some(hello) => {
                self.state = State::Greeting;
                Some(hello.clone())
            }
            None if self.ask.then == Then::Creep => {
                self.state = State::Head;
                None
            }
            None => Some(self.begin(self.began)),
        }
    }

    /// Begins an exchange: what is to be sent.
    pub(super) fn begin(&mut self, now: Instant) -> Rc<[u8]> {
        self.began = now;
        self.state = match self.ask.answer {
            Answer::Http | Answer::Any => State::Head,
            Answer::Bytes(n) => State::Body(n),
        };
        self.ask.message.clone()
    }

    /// Reads what is there.
    pub(super) fn readable(&mut self, line: &mut Line, scratch: &mut [u8]) -> io::Result<Step> {
        loop {
            match self.state {
                State::Greeting | State::Head => {
                    // A head and a small body fit; more of a large one would only be copied to be dropped.
                    let n = match line.read(&mut scratch[..4096])? {
                        None => return Ok(Step::Wait),
                        Some(0) => return Err(gone("before an answer")),
                        Some(n) => n,
                    };
                    if let Some(step) = self.head(&scratch[..n])? {
                        return Ok(step);
                    }
                }
                State::Body(due) => {
                    let room = due.min(scratch.len());
                    match line.drop_up_to(&mut scratch[..room])? {
                        None => return Ok(Step::Wait),
                        Some(0) => return Err(gone("within an answer")),
                        Some(n) if n == due => return Ok(self.over(Step::Done)),
                        Some(n) => self.state = State::Body(due - n),
                    }
                }
                State::Connecting | State::Resting => {
                    return match line.read(&mut scratch[..1])? {
                        None => Ok(Step::Wait),
                        Some(0) => Err(gone("while nothing was asked")),
                        Some(_) => Err(io::Error::other("an answer that nobody asked for")),
                    };
                }
            }
        }
    }

    fn over(&mut self, step: Step) -> Step {
        self.state = State::Resting;
        step
    }

    /// Reads a head and what of the body came with it.
    fn head(&mut self, bytes: &[u8]) -> io::Result<Option<Step>> {
        let joined;
        let seen = if self.partial.is_empty() {
            bytes
        } else {
            self.partial.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.partial);
            &joined[..]
        };
        let Some((status, head, body)) = parse(seen)? else {
            self.partial = seen.to_vec();
            return Ok(None);
        };
        match (self.state, status) {
            (State::Greeting, 101) => return Ok(Some(self.over(Step::Greeted))),
            (State::Head, 200) => {}
            (State::Head, _) if self.ask.answer == Answer::Any => {}
            _ => return Err(io::Error::other(format!("the answer has status {status}"))),
        }
        let body = body.ok_or_else(|| io::Error::other("the answer states no length"))?;
        Ok(match body.checked_sub(seen.len() - head) {
            None => return Err(io::Error::other("the answer is longer than it says")),
            Some(0) => Some(self.over(Step::Done)),
            Some(due) => {
                self.state = State::Body(due);
                None
            }
        })
    }
}

fn gone(when: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed {when}"))
}

/// Status, length of the head, and of the body where it is stated.
fn parse(bytes: &[u8]) -> io::Result<Option<(u16, usize, Option<usize>)>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let end = match head.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::other(format!("the answer is no HTTP: {error}"))),
    };
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
    Ok(Some((head.code.unwrap_or(0), end, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_pieces_is_one() {
        let mut client = Client::new(Rc::new(Ask::get("/b/10")), 0, Instant::now());
        client.begin(Instant::now());
        assert_eq!(client.head(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 1").unwrap(), None);
        assert_eq!(client.head(b"0\r\n\r\n123").unwrap(), None);
        assert_eq!(client.state, State::Body(7));
        client.begin(Instant::now());
        assert_eq!(client.head(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap(), Some(Step::Done));
    }

    #[test]
    fn other_answers_are_failures() {
        for wrong in [
            "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok",
            "nonsense\r\n\r\n",
        ] {
            let mut client = Client::new(Rc::new(Ask::get("/")), 0, Instant::now());
            client.begin(Instant::now());
            assert!(client.head(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
