//! Answers that the edge gives itself, written to a client of HTTP/1.1.

use super::{After, Client, wanted};
use naru_answers::{Answer, Content};
use naru_books::Visit;
use naru_carry::{Buffer, HeadText, write_all};
use naru_wire::{Framing, Method, Persistence, RequestHead};
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

impl Client<'_> {
    /// Gives an answer whose request's body, if there is one, was not read.
    pub(super) async fn give(&mut self, answer: &Answer, request: &RequestHead, visit: &Visit) -> After {
        visit.own(answer.status, answer.reason);
        // A body that was not read cannot be skipped.
        let unread = request.framing != Framing::None;
        let persistence = if unread { Persistence::Close } else { wanted(request, self.route) };
        let mut text = HeadText::borrow();
        answer.write(request.method, persistence, &mut text);
        let given = match &answer.body {
            Content::File { file, start, length } if request.method == Method::Other => {
                self.give_file(&text, file, *start..*start + *length).await
            }
            _ => write_all(&mut self.write, [&text, &[]], self.config.stall_time, &Cell::new(0)).await,
        };
        if given.is_ok() {
            visit.sent(if request.method == Method::Head { 0 } else { answer.body.length() as usize });
            visit.whole();
        }
        match given {
            Ok(()) if persistence == Persistence::Close => After::Close,
            Ok(()) => After::Next,
            Err(_) => After::Drop,
        }
    }

    /// Reads as it sends. The system has what is read often in memory: waiting for a disk is the exception.
    async fn give_file(&mut self, head: &[u8], file: &File, range: std::ops::Range<u64>) -> io::Result<()> {
        let mut buffer = Buffer::borrow();
        let (mut head, mut at) = (head, range.start);
        loop {
            let most = buffer.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
            let n = file.read_at(&mut buffer[..most], at)?;
            if n == 0 && at < range.end {
                // It was cut short meanwhile: the client sees that the answer is not whole.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            write_all(&mut self.write, [head, &buffer[..n]], self.config.stall_time, &Cell::new(0)).await?;
            (head, at) = (&[], at + n as u64);
            if at == range.end {
                return Ok(());
            }
        }
    }
}
