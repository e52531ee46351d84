//! A websocket on its way down, when its instance's streams have only so long: its frames are told apart, so that a
//! close frame (1012, service restart) can stand between two of them.

use crate::drain::{Drain, Form, Limits};
use crate::tunnel::{By, Pumped};
use naru_carry::{Inbox, Reader, Writer, write_all};
use naru_wire::CLOSE_RESTART;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// What a websocket may be told, and by whom it ended.
pub(crate) struct Frames<'a> {
    drain: &'a Drain,
    by: &'a Cell<By>,
    /// How long the client's own close frame, and the instance's answer to it, are waited for.
    farewell: Duration,
}

/// A websocket rests for as long as it likes.
const NEVER: Duration = Duration::MAX;

impl<'a> Frames<'a> {
    /// `None`: it is no websocket, or has no such limit.
    pub(crate) fn of(limits: &'a Limits, by: &'a Cell<By>, farewell: Duration) -> Option<Frames<'a>> {
        let drain = limits.drain.as_ref().filter(|_| limits.form == Form::Frames)?;
        Some(Frames { drain, by, farewell })
    }

    /// Passes frames on until the instance ends, or it is time to say the end.
    pub(crate) async fn pump(
        self,
        from: &mut Reader<'_>,
        to: &mut Writer<'_>,
        inbox: &mut Inbox,
        moved: &Cell<u64>,
    ) -> Pumped {
        let mut frames = naru_wire::Frames::default();
        let mut due = pin!(self.drain.due());
        let mut is_due = false;
        loop {
            let (bytes, mut n) = (inbox.bytes(), 0);
            while n < bytes.len() && (!is_due || !frames.is_between()) {
                n += frames.pass(&bytes[n..]);
            }
            if n > 0 {
                if let Err(error) = write_all(to, [&bytes[..n], &[]], NEVER, moved).await {
                    return Pumped::ReceiverFailed(error.kind());
                }
                inbox.consume(n);
            }
            if is_due && frames.is_between() {
                return self.close(from, to, inbox, moved).await;
            }
            let filled = poll_fn(|cx| {
                if !is_due && due.as_mut().poll(cx).is_ready() {
                    is_due = true;
                    return Poll::Ready(None);
                }
                inbox.poll_fill(cx, from).map(Some)
            });
            match filled.await {
                None | Some(Ok(1..)) => {}
                Some(Ok(_)) => {
                    naru_carry::finish(to).await;
                    return Pumped::Through;
                }
                Some(Err(_)) => return Pumped::SenderFailed,
            }
        }
    }

    /// Says the end, between two frames. The client's answer goes up to the instance like anything else, and what the
    /// instance still says is no longer passed on: nothing may follow a close frame.
    async fn close(
        self,
        from: &mut Reader<'_>,
        to: &mut Writer<'_>,
        inbox: &mut Inbox,
        moved: &Cell<u64>,
    ) -> Pumped {
        if let Err(error) = write_all(to, [&CLOSE_RESTART, &[]], NEVER, moved).await {
            return Pumped::ReceiverFailed(error.kind());
        }
        let heard = async {
            loop {
                let n = inbox.bytes().len();
                inbox.consume(n);
                if !matches!(inbox.fill(from).await, Ok(1..)) {
                    return;
                }
            }
        };
        // Whoever has not answered by then is not waited for.
        let _ = tokio::time::timeout(self.farewell, heard).await;
        self.by.set(By::Edge);
        Pumped::Through
    }
}
