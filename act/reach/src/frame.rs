//! What passes between the two ends: a byte that says what it is, four with the length, and so many more.

use crate::Source;
use bytes::{Buf, BytesMut};
use naru_model::Exit;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The most bytes of one frame. A sender cuts what is longer.
pub const PAYLOAD_MAX: usize = 64 << 10;
/// So many bytes of input may be under way that the command has not taken.
pub const WINDOW: usize = 256 << 10;

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// How wide.
    pub columns: u16,
    /// How high.
    pub lines: u16,
}

/// How the command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How.
    pub exit: Exit,
}

impl End {
    /// As the status of a shell's command: its own, or 128 and the signal's number.
    pub fn status(&self) -> u8 {
        match &self.exit {
            Exit::Status(status) => *status as u8,
            Exit::Signal(signal) => 128u8.wrapping_add(*signal as u8),
            Exit::NotStarted(_) => 126,
            Exit::Unknown => 125,
        }
    }
}

/// Why there is no command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// 127: there is no such program; 126: it cannot be run; 125: all else.
    pub status: u8,
    /// What is wrong.
    pub error: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What one end says to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// From the person: input.
    Input(Vec<u8>),
    /// From the person: there is no more of it.
    InputEnd,
    /// From the person: the terminal has another size.
    Resize(Size),
    /// From the person: a signal, by name.
    Signal(String),
    /// From the agent: the command runs.
    Begun,
    /// From the agent: output.
    Output(Source, Vec<u8>),
    /// From the agent: so many bytes of input were taken.
    Taken(u32),
    /// From the agent, last: how it ended.
    Ended(End),
    /// From the agent, first and last: there is no command.
    Failed(Failure),
}

impl Frame {
    fn parts(&self) -> (u8, Vec<u8>) {
        match self {
            Frame::Input(bytes) => (1, bytes.clone()),
            Frame::InputEnd => (2, vec![]),
            Frame::Resize(size) => (3, json(size)),
            Frame::Signal(name) => (4, name.clone().into_bytes()),
            Frame::Begun => (16, vec![]),
            Frame::Output(Source::Stdout, bytes) => (17, bytes.clone()),
            Frame::Output(Source::Stderr, bytes) => (18, bytes.clone()),
            Frame::Taken(count) => (19, count.to_be_bytes().to_vec()),
            Frame::Ended(end) => (20, json(end)),
            Frame::Failed(failure) => (21, json(failure)),
        }
    }

    fn of(kind: u8, payload: &[u8]) -> io::Result<Frame> {
        Ok(match kind {
            1 => Frame::Input(payload.to_vec()),
            2 => Frame::InputEnd,
            3 => Frame::Resize(serde_json::from_slice(payload)?),
            4 => Frame::Signal(String::from_utf8_lossy(payload).into_owned()),
            16 => Frame::Begun,
            17 => Frame::Output(Source::Stdout, payload.to_vec()),
            18 => Frame::Output(Source::Stderr, payload.to_vec()),
            19 => Frame::Taken(u32::from_be_bytes(payload.try_into().map_err(|_| wrong("a count"))?)),
            20 => Frame::Ended(serde_json::from_slice(payload)?),
            21 => Frame::Failed(serde_json::from_slice(payload)?),
            _ => return Err(wrong("a kind")),
        })
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("it has only text keys")
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} of a frame that makes no sense"))
}

/// Frames, as they come.
pub struct FrameReader<R> {
    from: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from there.
    pub fn new(from: R) -> FrameReader<R> {
        FrameReader { from, buffer: BytesMut::new() }
    }

    /// The next; `None` when the other end has closed. Safe to cancel.
    ///
    /// # Errors
    /// The stream broke off, or is none of frames.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                let whole = self.buffer.is_empty();
                return if whole { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Frame>> {
        let Some((kind, length)) = self.buffer.get(..5).map(|head| {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            (head[0], length as usize)
        }) else {
            return Ok(None);
        };
        if length > PAYLOAD_MAX {
            return Err(wrong("the length"));
        }
        if self.buffer.len() < 5 + length {
            self.buffer.reserve(5 + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(5);
        Frame::of(kind, &self.buffer.split_to(length)).map(Some)
    }
}

/// The way for frames to the other end.
pub struct FrameWriter<W> {
    to: W,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes there.
    pub fn new(to: W) -> FrameWriter<W> {
        FrameWriter { to }
    }

    /// Sends one, whole. Not safe to cancel, but at the end of it all.
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let (kind, payload) = frame.parts();
        let mut bytes = Vec::with_capacity(5 + payload.len());
        bytes.push(kind);
        bytes.extend((payload.len() as u32).to_be_bytes());
        bytes.extend(payload);
        self.to.write_all(&bytes).await?;
        self.to.flush().await
    }

    /// There is no more to say.
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn close(&mut self) -> io::Result<()> {
        self.to.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Frame, FrameReader, FrameWriter, PAYLOAD_MAX, Size};
    use crate::{Failure, Source};
    use naru_model::Exit;

    #[tokio::test]
    async fn frames_come_as_they_were_sent() {
        let all = [
            Frame::Input(vec![0, 255]),
            Frame::InputEnd,
            Frame::Resize(Size { columns: 80, lines: 24 }),
            Frame::Signal("SIGINT".into()),
            Frame::Begun,
            Frame::Output(Source::Stdout, vec![7; PAYLOAD_MAX]),
            Frame::Output(Source::Stderr, b"oops".to_vec()),
            Frame::Taken(70_000),
            Frame::Ended(End { exit: Exit::Signal(9) }),
            Frame::Failed(Failure { status: 127, error: "none".into(), hint: None }),
        ];
        let (one, other) = tokio::io::duplex(100);
        let sent = all.clone();
        let sending = async move {
            let mut writer = FrameWriter::new(one);
            for frame in &sent {
                writer.send(frame).await.unwrap();
            }
            writer.close().await.unwrap();
        };
        let reading = async {
            let (mut reader, mut seen) = (FrameReader::new(other), vec![]);
            while let Some(frame) = reader.next().await.unwrap() {
                seen.push(frame);
            }
            seen
        };
        assert_eq!(tokio::join!(sending, reading).1, all);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused() {
        for bad in [&b"GET / HTTP/1.1\r\n"[..], &[99, 0, 0, 0, 0], &[1, 0, 0, 0, 5, b'x']] {
            assert!(FrameReader::new(bad).next().await.is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_end_is_told_as_a_shell_tells_it() {
        let status = |exit| End { exit }.status();
        assert_eq!(status(Exit::Status(3)), 3);
        assert_eq!(status(Exit::Signal(15)), 143);
    }
}
