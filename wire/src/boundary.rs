//! Where a stream can be ended without breaking what it carries: between the frames of a websocket, and between
//! server-sent events. Both keep no bytes, so that it does not matter how the stream was cut.

/// How far a websocket's direction is (RFC 6455, 5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    at: At,
    closed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    Length,
    /// In a long length: what is known of it, the bytes that follow, and whether a mask does after them.
    Extended(u64, u8, Masked),
    /// In what stands before the payload, as many bytes, and then so many.
    Mask(u8, u64),
    Payload(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Masked {
    No,
    Yes,
}

impl Frames {
    /// How many of `bytes` there are to the first boundary after at least one of them; all, if there is none.
    pub fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() {
            passed += self.step(&bytes[passed..]);
            if self.at == At::Start {
                break;
            }
        }
        passed
    }

    /// Whether a frame of one's own can stand here: none is under way, and no close frame has been.
    pub fn is_between(&self) -> bool {
        self.at == At::Start && !self.closed
    }

    /// `bytes` are not empty.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let byte = bytes[0];
        self.at = match self.at {
            At::Start => {
                self.closed |= byte & 0x0f == 8;
                At::Length
            }
            At::Length => {
                let masked = if byte & 0x80 == 0 { Masked::No } else { Masked::Yes };
                match byte & 0x7f {
                    126 => At::Extended(0, 2, masked),
                    127 => At::Extended(0, 8, masked),
                    length => At::after_length(u64::from(length), masked),
                }
            }
            At::Extended(length, left, masked) => match (length << 8 | u64::from(byte), left - 1) {
                (length, 0) => At::after_length(length, masked),
                (length, left) => At::Extended(length, left, masked),
            },
            At::Mask(left, length) if left > 1 => At::Mask(left - 1, length),
            At::Mask(_, length) => At::payload(length),
            At::Payload(left) => {
                let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.at = At::payload(left - n as u64);
                return n;
            }
        };
        1
    }
}

impl At {
    fn after_length(length: u64, masked: Masked) -> At {
        match masked {
            Masked::No => At::payload(length),
            Masked::Yes => At::Mask(4, length),
        }
    }

    fn payload(length: u64) -> At {
        if length == 0 { At::Start } else { At::Payload(length) }
    }
}

/// What tells a websocket's client to come back: a close frame of a server, "service restart" (1012).
pub const CLOSE_RESTART: [u8; 4] = [0x88, 2, 0x03, 0xf4];

/// How far a stream of server-sent events is: an event ends with an empty line, and a line with CR, LF or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events(Line);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// At the start of a line, after an event.
    Between,
    /// The same, after a CR: an LF belongs to it.
    BetweenCr,
    /// At the start of a line of an event.
    Start,
    StartCr,
    Within,
}

impl Default for Events {
    fn default() -> Events {
        Events(Line::Between)
    }
}

impl Events {
    /// How many of `bytes` there are to the first boundary after at least one of them; `None` if there is none.
    pub fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        for (n, byte) in bytes.iter().enumerate() {
            self.0 = self.0.step(*byte);
            if self.is_between() {
                return Some(n + 1);
            }
        }
        None
    }

    /// Whether no event is under way.
    pub fn is_between(&self) -> bool {
        matches!(self.0, Line::Between | Line::BetweenCr)
    }
}

impl Line {
    fn step(self, byte: u8) -> Line {
        match (self, byte) {
            (Line::BetweenCr, b'\n') => Line::Between,
            (Line::StartCr, b'\n') => Line::Start,
            (Line::Within, b'\r') => Line::StartCr,
            (Line::Within, b'\n') => Line::Start,
            (_, b'\r') => Line::BetweenCr,
            (_, b'\n') => Line::Between,
            _ => Line::Within,
        }
    }
}
