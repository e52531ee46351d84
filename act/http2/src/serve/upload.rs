//! A request's body: from frames into the pipe, as HTTP/1.1 has it.
//!
//! What the pipe has no room for waits here, at most a stream's window; only what has gone on makes room for more.

use super::request::Malformed;
use naru_carry::End;
use std::io::Write;

/// What a chunk has besides its data, at most.
const CHUNK: usize = 16;

/// How a body goes into the pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is; so much of it is still to come.
    Length(u64),
    /// In chunks.
    Chunks,
    /// Another protocol's, once it is spoken: until then, what came would be taken for the next request.
    Held,
    /// Another protocol's.
    Other,
    /// Nowhere.
    #[default]
    Lost,
}

/// A body under way.
#[derive(Default)]
pub(super) struct Upload {
    form: Form,
    /// What came and has not gone on, from `at`.
    waiting: Vec<u8>,
    at: usize,
    end: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    Coming,
    /// All came; these are the lines of its trailers.
    Ended(Vec<u8>),
    /// The pipe has it all.
    Over,
}

impl Upload {
    pub(super) fn new(form: Form) -> Upload {
        Upload { form, ..Upload::default() }
    }

    /// Whether the client has said the end.
    pub(super) fn is_ended(&self) -> bool {
        !matches!(self.end, Stage::Coming)
    }

    /// Whether something waits to go on, be it the end.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting() > 0 || matches!(self.end, Stage::Ended(_))
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() - self.at
    }

    /// Another protocol is spoken from here on. Says how much has gone on.
    pub(super) fn switch(&mut self, to: &End) -> usize {
        if self.form == Form::Held {
            self.form = Form::Other;
        }
        self.push(to)
    }

    /// Takes the data of a frame, and says how much has gone on, of this or others.
    ///
    /// # Errors
    /// It is more than its length says.
    pub(super) fn data(&mut self, data: &[u8], to: &End) -> Result<usize, Malformed> {
        if let Form::Length(left) = &mut self.form {
            *left = left.checked_sub(data.len() as u64).ok_or(Malformed)?;
        }
        if self.waiting() > 0 {
            self.waiting.extend_from_slice(data);
            return Ok(self.push(to));
        }
        let n = self.form.put(data, to);
        self.waiting.extend_from_slice(&data[n..]);
        Ok(n)
    }

    /// That was all, but for these lines of trailers.
    ///
    /// # Errors
    /// It is less than its length says.
    pub(super) fn end(&mut self, trailers: Vec<u8>, to: &End) -> Result<(), Malformed> {
        if matches!(self.form, Form::Length(1..)) {
            return Err(Malformed);
        }
        self.end = Stage::Ended(trailers);
        self.say_end(to);
        Ok(())
    }

    /// Hands on what waits, as far as there is room, and says how much that was.
    pub(super) fn push(&mut self, to: &End) -> usize {
        let n = self.form.put(&self.waiting[self.at..], to);
        self.at += n;
        if self.at == self.waiting.len() {
            self.waiting = Vec::new();
            self.at = 0;
        }
        self.say_end(to);
        n
    }

    fn say_end(&mut self, to: &End) {
        let Stage::Ended(trailers) = &self.end else { return };
        if self.waiting() > 0 || self.form == Form::Held {
            return;
        }
        match self.form {
            Form::Chunks => {
                if to.room().is_some_and(|room| room < trailers.len() + CHUNK) {
                    return;
                }
                put_all([b"0\r\n", trailers, b"\r\n"], to);
            }
            Form::Other => to.finish(),
            Form::Length(_) | Form::Held | Form::Lost => {}
        }
        self.end = Stage::Over;
    }
}

impl Form {
    /// Puts what there is room for into the pipe. What nobody will read is as good as read.
    fn put(self, data: &[u8], to: &End) -> usize {
        match self {
            Form::Held => 0,
            Form::Lost => data.len(),
            _ if to.room().is_none() => data.len(),
            Form::Length(_) | Form::Other => to.put(data),
            Form::Chunks => chunk(data, to),
        }
    }
}

fn chunk(data: &[u8], to: &End) -> usize {
    let room = to.room().unwrap_or_default().saturating_sub(CHUNK);
    let n = data.len().min(room);
    if n > 0 {
        let mut size = [0; CHUNK];
        let mut rest = &mut size[..];
        // A number of bytes that fit into a pipe has few digits.
        let _ = write!(rest, "{n:x}\r\n");
        let digits = CHUNK - rest.len();
        put_all([&size[..digits], &data[..n], b"\r\n"], to);
    }
    n
}

/// Puts what there is room for into the pipe.
fn put_all(parts: [&[u8]; 3], to: &End) {
    for part in parts {
        to.put(part);
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Malformed, Upload};
    use naru_carry::{End, Next, SIZE, pipe};
    use naru_wire::{Body, Framing, What};

    fn read(from: &End) -> Vec<u8> {
        from.take(|bytes| (bytes.len(), bytes.to_vec()))
    }

    #[test]
    fn a_body_of_a_told_length_is_that_long() {
        let (near, far) = pipe();
        let mut upload = Upload::new(Form::Length(5));
        assert_eq!(upload.data(b"abc", &near), Ok(3));
        assert_eq!(upload.end(vec![], &near), Err(Malformed));
        assert_eq!(upload.data(b"def", &near), Err(Malformed));
        let mut upload = Upload::new(Form::Length(2));
        assert_eq!((upload.data(b"de", &near), upload.end(vec![], &near)), (Ok(2), Ok(())));
        assert_eq!((read(&far), far.next()), (b"abcde".to_vec(), Next::More));
    }

    #[test]
    fn what_finds_no_room_waits_and_chunks_are_whole() {
        let (near, far) = pipe();
        let mut upload = Upload::new(Form::Chunks);
        let sent: Vec<u8> = (0..5 * SIZE).map(|n| (n % 251) as u8).collect();
        let mut gone: usize = sent.chunks(16_384).map(|part| upload.data(part, &near).unwrap()).sum();
        upload.end(b"x: y\r\n".to_vec(), &near).unwrap();
        assert_eq!(gone + upload.waiting(), sent.len());
        let (mut body, mut heard, mut rest) = (Body::new(Framing::Chunked), vec![], vec![]);
        while !body.is_done() {
            rest.extend(read(&far));
            assert!(!rest.is_empty(), "it goes on");
            while !rest.is_empty() {
                let run = body.run(&rest).unwrap();
                let run_bytes = rest.drain(..run.length);
                if run.what == What::Data {
                    heard.extend(run_bytes);
                }
            }
            gone += upload.push(&near);
        }
        assert!(heard == sent && gone == sent.len());
    }

    #[test]
    fn another_protocol_waits_until_it_is_spoken() {
        let (near, far) = pipe();
        let mut upload = Upload::new(Form::Held);
        assert_eq!((upload.data(b"GET /", &near), upload.end(vec![], &near)), (Ok(0), Ok(())));
        assert_eq!((read(&far), far.next()), (vec![], Next::More));
        assert_eq!(upload.switch(&near), 5);
        assert_eq!((read(&far), far.next()), (b"GET /".to_vec(), Next::End));
    }

    #[test]
    fn what_nobody_reads_is_let_go() {
        let (near, far) = pipe();
        drop(far);
        let mut upload = Upload::new(Form::Chunks);
        assert_eq!(upload.data(&[0; 100], &near), Ok(100));
        assert_eq!((upload.end(vec![], &near), upload.waiting()), (Ok(()), 0));
    }
}
