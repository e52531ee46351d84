//! An instance: it answers as the request asks it to.

use super::socket::{Line, Written};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

/// Longest head of a request.
const HEAD: usize = 16 * 1024;
/// Long answers repeat this much.
const PIECE: usize = 1024 * 1024;

/// What is spoken at a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// HTTP/1.1. `/b/N` is answered with N bytes, `/ws` with a websocket that sends back what it gets, and
    /// `/never`, `/garbage` and `/reset` with just that.
    Http,
    /// Messages that begin with their own length and the length of the answer, four bytes each, big-endian.
    Messages,
}

/// Answers that were made before.
#[derive(Default)]
pub struct Answers {
    http: HashMap<usize, Rc<[u8]>>,
    zeros: Option<Rc<[u8]>>,
}

/// An instance's end of a connection.
pub struct Server {
    mode: Mode,
    /// What came and makes no whole yet.
    partial: Vec<u8>,
}

enum Mode {
    Http,
    Websocket,
    /// Between messages.
    Messages,
    /// So much of a message is still to come; its answer's length.
    Message(usize, usize),
    /// Nothing is ever answered.
    Silent,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It goes on; something may be left to write.
    Open(Written),
    /// It is over.
    Close,
    /// It is torn down.
    Reset,
}

impl Server {
    pub(super) fn new(service: Service) -> Server {
        let mode = match service {
            Service::Http => Mode::Http,
            Service::Messages => Mode::Messages,
        };
        Server { mode, partial: Vec::new() }
    }

    /// Reads what is there and answers it.
    pub(super) fn readable(
        &mut self,
        line: &mut Line,
        scratch: &mut [u8],
        answers: &mut Answers,
    ) -> io::Result<Turn> {
        let mut turn = Turn::Open(Written::Whole);
        while turn == Turn::Open(Written::Whole) {
            let read = match self.mode {
                Mode::Message(due, _) => {
                    let room = due.min(scratch.len());
                    line.drop_up_to(&mut scratch[..room])?
                }
                Mode::Messages => line.read(&mut scratch[..8 - self.partial.len()])?,
                Mode::Http | Mode::Websocket | Mode::Silent => line.read(&mut scratch[..HEAD])?,
            };
            turn = match read {
                None => return Ok(turn),
                Some(0) => Turn::Close,
                Some(n) => self.take(&scratch[..n], line, answers)?,
            };
            if !matches!(self.mode, Mode::Messages | Mode::Message(..)) {
                // One read has it all, nearly always; epoll tells of the rest.
                return Ok(turn);
            }
        }
        Ok(turn)
    }

    fn take(&mut self, bytes: &[u8], line: &mut Line, answers: &mut Answers) -> io::Result<Turn> {
        match self.mode {
            Mode::Http => self.http(bytes, line, answers),
            Mode::Websocket => self.frames(bytes, line),
            Mode::Messages => {
                self.partial.extend_from_slice(bytes);
                let Some((head, _)) = self.partial.split_first_chunk::<8>() else {
                    return Ok(Turn::Open(Written::Whole));
                };
                let word = |n| u32::from_be_bytes([head[n], head[n + 1], head[n + 2], head[n + 3]]) as usize;
                let (size, answer) = (word(0), word(4));
                self.partial.clear();
                self.mode = Mode::Message(size.saturating_sub(8), answer);
                self.answer_message(line, answers)
            }
            Mode::Message(due, answer) => {
                self.mode = Mode::Message(due - bytes.len(), answer);
                self.answer_message(line, answers)
            }
            Mode::Silent => Ok(Turn::Open(Written::Whole)),
        }
    }

    fn answer_message(&mut self, line: &mut Line, answers: &mut Answers) -> io::Result<Turn> {
        let Mode::Message(0, answer) = self.mode else { return Ok(Turn::Open(Written::Whole)) };
        self.mode = Mode::Messages;
        line.write(&answers.zeros(), answer).map(Turn::Open)
    }

    fn http(&mut self, bytes: &[u8], line: &mut Line, answers: &mut Answers) -> io::Result<Turn> {
        let joined;
        let head = if self.partial.is_empty() {
            bytes
        } else {
            self.partial.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.partial);
            &joined
        };
        if !head.ends_with(b"\r\n\r\n") {
            if head.len() > HEAD {
                return Ok(Turn::Close);
            }
            self.partial = head.to_vec();
            return Ok(Turn::Open(Written::Whole));
        }
        let mut words = head.split(|byte| *byte == b' ').skip(1);
        let path = words.next().and_then(|path| std::str::from_utf8(path).ok()).unwrap_or_default();
        match path {
            "/ws" => {
                self.mode = Mode::Websocket;
                let answer: Rc<[u8]> = UPGRADED.as_bytes().into();
                line.write(&answer, answer.len()).map(Turn::Open)
            }
            "/never" => {
                self.mode = Mode::Silent;
                Ok(Turn::Open(Written::Whole))
            }
            "/garbage" => {
                let answer: Rc<[u8]> = GARBAGE.into();
                line.write(&answer, answer.len()).map(Turn::Open)
            }
            "/reset" => Ok(Turn::Reset),
            path => {
                let size = path.strip_prefix("/b/").and_then(|size| size.parse().ok()).unwrap_or(0);
                let answer = answers.http(size);
                line.write(&answer, answer.len()).map(Turn::Open)
            }
        }
    }

    /// Sends frames back, unmasked.
    fn frames(&mut self, bytes: &[u8], line: &mut Line) -> io::Result<Turn> {
        self.partial.extend_from_slice(bytes);
        let mut out = Vec::new();
        while let Some((frame, rest)) = frame(&self.partial) {
            out.extend(frame);
            self.partial = rest.to_vec();
        }
        if out.is_empty() {
            return Ok(Turn::Open(Written::Whole));
        }
        let total = out.len();
        line.write(&out.into(), total).map(Turn::Open)
    }
}

const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLBmTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const GARBAGE: &[u8] = b"\x16\x03\x01 this was never HTTP \0\0\0\r\n: :\r\n\r\n";

/// A masked frame of at most 125 bytes as its echo, and what follows it.
fn frame(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<6>()?;
    let size = usize::from(head[1] & 0x7f);
    let (data, rest) = rest.split_at_checked(size)?;
    let mut echo = vec![head[0], size as u8];
    echo.extend(data.iter().enumerate().map(|(n, byte)| byte ^ head[2 + n % 4]));
    Some((echo, rest))
}

impl Answers {
    fn http(&mut self, size: usize) -> Rc<[u8]> {
        let make = || {
            let mut answer =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n")
                    .into_bytes();
            answer.resize(answer.len() + size, b'x');
            answer.into()
        };
        self.http.entry(size).or_insert_with(make).clone()
    }

    fn zeros(&mut self) -> Rc<[u8]> {
        self.zeros.get_or_insert_with(|| vec![0; PIECE].into()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_frame_comes_back_unmasked() {
        let frames = [0x82, 0x82, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, 0x82];
        let (echo, rest) = frame(&frames).unwrap();
        assert_eq!((&echo[..], rest), (&[0x82, 2, b'a', b'b'][..], &[0x82][..]));
        assert!(frame(rest).is_none());
        assert!(frame(&frames[..7]).is_none(), "half a frame is none");
    }
}
