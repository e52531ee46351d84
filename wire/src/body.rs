//! Where a body ends. Bodies pass as they came, chunks and trailers included, once each byte of their
//! framing was looked at; a decoder keeps no bytes, so that it does not matter how they were cut.

use crate::head::Framing;
use crate::reject::Reject;

/// Longest extension of a chunk: nobody uses them, but they may be there.
const EXTENSION: u16 = 256;

/// Longest trailer section.
const TRAILERS: u16 = 8 * 1024;

/// Reads a body as it passes.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    state: State,
}

/// A run of bytes of the same meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many bytes.
    pub length: usize,
    /// What they are.
    pub what: What,
}

/// What a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The body itself.
    Data,
    /// What tells its parts.
    Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    /// In a chunk's size, with so many digits.
    Size(u64, u8),
    /// In what follows a `;`.
    Extension(u64, u16),
    /// The LF that ends a size.
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer's line, after so many bytes of trailers.
    Line(u16),
    /// In its name, of which this is kept.
    Name(u16, Mark),
    Value(u16),
    ValueEnd(u16),
    LastLf,
    Done,
}

impl Body {
    /// A body of that framing, of which nothing was seen yet.
    pub fn new(framing: Framing) -> Body {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(0, 0),
            Framing::UntilClose => State::UntilClose,
        };
        Body { state }
    }

    /// Whether the last byte was seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the next byte is one of the trailers, or of the line that ends them.
    pub fn is_in_trailers(&self) -> bool {
        use State::{LastLf, Line, Name, Value, ValueEnd};
        matches!(self.state, Line(_) | Name(..) | Value(_) | ValueEnd(_) | LastLf)
    }

    /// Whether the sender's end is the body's end.
    pub fn ends_with_close(&self) -> bool {
        self.state == State::UntilClose
    }

    /// How many of `bytes` belong to the body.
    ///
    /// # Errors
    /// Framing that is not exactly as the standard has it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Reject> {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_done() {
            taken += self.run(&bytes[taken..])?.length;
        }
        Ok(taken)
    }

    /// The first run of `bytes`, which are not empty, in a body that is not done.
    ///
    /// # Errors
    /// As [`Body::take`].
    pub fn run(&mut self, bytes: &[u8]) -> Result<Run, Reject> {
        let data = |left: u64| bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (length, state) = match self.state {
            State::Length(left) => {
                let length = data(left);
                let left = left - length as u64;
                (length, if left == 0 { State::Done } else { State::Length(left) })
            }
            State::Data(left) => {
                let length = data(left);
                let left = left - length as u64;
                (length, if left == 0 { State::DataCr } else { State::Data(left) })
            }
            State::UntilClose => (bytes.len(), State::UntilClose),
            state => {
                self.state = state.step(bytes[0])?;
                return Ok(Run { length: 1, what: What::Framing });
            }
        };
        self.state = state;
        Ok(Run { length, what: What::Data })
    }
}

impl State {
    /// One byte of framing.
    fn step(self, byte: u8) -> Result<State, Reject> {
        match self {
            State::Size(size, digits) => size_step(size, digits, byte),
            State::Extension(size, _) if byte == b'\r' => Ok(State::SizeEnd(size)),
            State::Extension(size, length) if is_text(byte) && byte.is_ascii() && length < EXTENSION => {
                Ok(State::Extension(size, length + 1))
            }
            State::Extension(..) => Err(Reject::bad("a chunk's extension is invalid or too long")),
            State::SizeEnd(0) if byte == b'\n' => Ok(State::Line(0)),
            State::SizeEnd(size) if byte == b'\n' => Ok(State::Data(size)),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::Size(0, 0)),
            State::LastLf if byte == b'\n' => Ok(State::Done),
            State::Line(_) | State::Name(..) | State::Value(_) | State::ValueEnd(_) => self.trailer(byte),
            _ => Err(Reject::bad("a chunk does not end where its size says, with CRLF")),
        }
    }

    fn trailer(self, byte: u8) -> Result<State, Reject> {
        match (self, byte) {
            (State::Line(_), b'\r') => Ok(State::LastLf),
            (State::Line(n) | State::Name(n, _) | State::Value(n), _) if n >= TRAILERS => {
                Err(Reject::new(431, "the trailers are too long"))
            }
            (State::Line(n), _) if is_token(byte) => Ok(State::Name(n + 1, Mark::EMPTY.with(byte))),
            (State::Name(n, mark), _) if is_token(byte) => Ok(State::Name(n + 1, mark.with(byte))),
            (State::Name(_, mark), b':') if MISPLACED.contains(&mark) => {
                Err(Reject::bad("a trailer that says how a message is framed, where it goes or who sends it"))
            }
            (State::Name(n, _), b':') => Ok(State::Value(n + 1)),
            (State::Value(n), b'\r') => Ok(State::ValueEnd(n + 1)),
            (State::Value(n), _) if is_text(byte) => Ok(State::Value(n + 1)),
            (State::ValueEnd(n), b'\n') => Ok(State::Line(n)),
            _ => Err(Reject::bad("a trailer is invalid")),
        }
    }
}

/// A name in any case, in four bytes: a decoder keeps no others. Two of the names in use do not share one, and one
/// that was made to share one of the few is refused, which is no loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark(u32);

/// What stands in a trailer only to be taken for a field of the head, by a recipient that puts them together
/// (RFC 9110, section 6.5.1).
const MISPLACED: [Mark; 9] = [
    Mark::of(b"content-length"),
    Mark::of(b"transfer-encoding"),
    Mark::of(b"host"),
    Mark::of(b"connection"),
    Mark::of(b"trailer"),
    Mark::of(b"te"),
    Mark::of(b"upgrade"),
    Mark::of(b"authorization"),
    Mark::of(b"x-forwarded-for"),
];

impl Mark {
    const EMPTY: Mark = Mark(0x811c_9dc5);

    /// FNV-1a.
    const fn with(self, byte: u8) -> Mark {
        let byte = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        Mark((self.0 ^ byte as u32).wrapping_mul(0x0100_0193))
    }

    const fn of(name: &[u8]) -> Mark {
        let (mut mark, mut at) = (Mark::EMPTY, 0);
        while at < name.len() {
            mark = mark.with(name[at]);
            at += 1;
        }
        mark
    }
}

fn size_step(size: u64, digits: u8, byte: u8) -> Result<State, Reject> {
    /// Fifteen digits stay below 2^60: far more than anybody sends, and no overflow.
    const DIGITS: u8 = 15;
    match (byte, char::from(byte).to_digit(16)) {
        (_, Some(digit)) if digits < DIGITS => Ok(State::Size(size * 16 + u64::from(digit), digits + 1)),
        (b'\r', _) if digits > 0 => Ok(State::SizeEnd(size)),
        (b';', _) if digits > 0 => Ok(State::Extension(size, 0)),
        _ => Err(Reject::bad("a chunk's size is invalid")),
    }
}

/// Whether a byte can be in a field's value.
pub fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether a byte can be in a token: a method, or a field's name.
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
