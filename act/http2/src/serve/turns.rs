//! Sending: streams that have something take turns, a frame each.

use super::answer::{Sent, To};
use super::connection::Connection;
use super::frame::{Code, HEAD, MOST};
use naru_carry::End;
use std::future::Future;

/// Bytes that are put together before they are written: few enough to be fair, and more would not make the system's
/// calls cheaper.
const TOGETHER: usize = 64 * 1024;

impl<F: Future<Output = ()>, B: Fn(End) -> F> Connection<F, B> {
    /// Has whoever works on a stream go on, and sees what came of it.
    pub(super) fn work(&mut self, at: u16) {
        if !self.streams.work(at) {
            return;
        }
        let stream = self.streams.at(at);
        if stream.upload.is_waiting() {
            let n = stream.upload.push(&stream.near);
            self.went_on(at, n);
        }
        if self.streams.at(at).near.has_arrived() {
            self.queue(at);
        }
    }

    /// Puts frames together, as many as are written at once. Whether there are more.
    pub(super) fn send(&mut self) -> bool {
        while self.out.bytes().len() + HEAD + MOST <= TOGETHER {
            let Some(at) = self.turns.pop_front() else {
                self.end_if_done();
                return false;
            };
            self.turn(at);
        }
        !self.turns.is_empty()
    }

    fn turn(&mut self, at: u16) {
        let stream = self.streams.at(at);
        if stream.number == 0 {
            stream.is_queued = false;
            return;
        }
        let number = stream.number;
        let sent = stream.answer.send(
            &stream.near,
            To {
                stream: number,
                out: self.out.end(),
                credit: &mut stream.credit,
                connection: &mut self.credit,
                tells_table: &mut self.tells_table,
            },
        );
        if sent == Sent::Switched {
            let n = stream.upload.switch(&stream.near);
            self.went_on(at, n);
        }
        match sent {
            Sent::Part | Sent::Switched => return self.turns.push_back(at),
            Sent::NoRoom => return self.blocked.push(at),
            Sent::Waits | Sent::Whole | Sent::Broken => self.streams.at(at).is_queued = false,
        }
        match sent {
            Sent::Whole => self.answered(at, number),
            Sent::Broken => self.reset(number, Code::Internal),
            _ => {}
        }
    }

    /// The client has the whole answer.
    fn answered(&mut self, at: u16, number: u32) {
        if self.streams.at(at).upload.is_ended() {
            self.close(at);
        } else {
            // What is left of the request is of no use (RFC 9113, 8.1).
            self.reset(number, Code::NoError);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::STREAMS;
    use super::super::frame::*;
    use super::super::ring::Ring;
    use super::Connection;
    use naru_carry::End;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::sync::Arc;

    type Work = Pin<Box<dyn Future<Output = ()>>>;

    /// A frame that was written: its kind, flags, stream and payload.
    type Told = (u8, u8, u32, Vec<u8>);

    /// A connection without a socket.
    struct Lab {
        ring: Arc<Ring>,
        connection: Connection<Work, fn(End) -> Work>,
    }

    /// Answers one request by its path.
    async fn answer(far: End) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(poll_fn(|cx| far.poll_arrived(cx)).await, Ok(true)) {
                return;
            }
            far.take(|bytes| {
                let end =
                    bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
                head.extend_from_slice(&bytes[..end]);
                (end, ())
            });
        }
        let large = vec![b'x'; 300_000];
        let (head, body): (&[u8], &[u8]) = match head.split(|byte| *byte == b' ').nth(1) {
            Some(b"/small") => (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"),
            Some(b"/large") => (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", &large),
            Some(b"/chunks") => (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
            ),
            Some(b"/broken") => (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"he"),
            Some(b"/up") => {
                while let Ok(true) = poll_fn(|cx| far.poll_arrived(cx)).await {
                    far.take(|bytes| (bytes.len(), ()));
                }
                return;
            }
            _ => return poll_fn(|cx| far.poll_unread(cx)).await,
        };
        // A client that is gone needs no answer.
        let _ = far.write([head, body]).await;
    }

    fn block(fields: &[(&str, &str)]) -> Vec<u8> {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
    }

    fn of(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        [&head(payload.len(), kind, flags, stream)[..], payload].concat()
    }

    fn ask(stream: u32, method: &str, path: &str, end: u8) -> Vec<u8> {
        let fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "t")];
        of(HEADERS, END_HEADERS | end, stream, &block(&fields))
    }

    fn get(stream: u32, path: &str) -> Vec<u8> {
        ask(stream, "GET", path, END_STREAM)
    }

    fn widen(stream: u32, by: u32) -> Vec<u8> {
        of(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
    }

    impl Lab {
        /// One whose greetings are exchanged.
        fn new() -> Lab {
            let ring = Arc::<Ring>::default();
            let begin: fn(End) -> Work = |far| Box::pin(answer(far));
            let mut lab = Lab { connection: Connection::new(ring.clone(), begin), ring };
            let told = lab.hear(&[PREFACE, &of(SETTINGS, 0, 0, &[])].concat());
            let kinds: Vec<_> = told.iter().map(|told| (told.0, told.1)).collect();
            assert_eq!(kinds, [(SETTINGS, 0), (WINDOW_UPDATE, 0), (SETTINGS, ACK)]);
            lab
        }

        /// Takes what a client sends, and says what it is sent until all wait for it.
        fn hear(&mut self, bytes: &[u8]) -> Vec<Told> {
            let (mut told, mut rung, mut at) = (Vec::new(), Vec::new(), 0);
            loop {
                at += self.connection.receive(&bytes[at..]);
                while self.ring.take(&mut rung) {
                    rung.drain(..).for_each(|number| self.connection.work(number));
                }
                let more = self.connection.send();
                let out = self.connection.out.bytes();
                let (mut rest, length) = (out, out.len());
                while let Some(Frame { kind, flags, stream, payload }) = Frame::read(rest).unwrap() {
                    told.push((kind, flags, stream, payload.to_vec()));
                    rest = &rest[HEAD + payload.len()..];
                }
                assert!(rest.is_empty(), "all of it are frames");
                self.connection.out.wrote(length);
                if !more && length == 0 && !self.ring.is_rung() {
                    return told;
                }
            }
        }

        /// The code that the connection ended with.
        fn code(&mut self, bytes: &[u8]) -> Option<u8> {
            let told = self.hear(bytes);
            told.iter().find(|told| told.0 == GOAWAY).map(|told| told.3[7])
        }
    }

    /// Kinds, flags and streams.
    fn brief(told: &[Told]) -> Vec<(u8, u8, u32)> {
        told.iter().map(|told| (told.0, told.1, told.2)).collect()
    }

    fn data(told: &[Told], stream: u32) -> Vec<u8> {
        told.iter()
            .filter(|told| told.0 == DATA && told.2 == stream)
            .flat_map(|told| told.3.clone())
            .collect()
    }

    #[tokio::test]
    async fn requests_are_answered_in_frames() {
        let mut lab = Lab::new();
        let told = lab.hear(&[get(1, "/small"), get(3, "/chunks"), get(5, "/broken")].concat());
        let (head, end) = (END_HEADERS, END_STREAM);
        let (of_1, rest): (Vec<_>, Vec<_>) = told.iter().cloned().partition(|told| told.2 == 1);
        let (of_3, of_5): (Vec<_>, Vec<_>) = rest.into_iter().partition(|told| told.2 == 3);
        assert_eq!(brief(&of_1), [(HEADERS, head, 1), (DATA, end, 1)]);
        assert_eq!(of_1[0].3, b"\x88\x0f\x0d\x015");
        assert_eq!(brief(&of_3), [(HEADERS, head, 3), (DATA, 0, 3), (HEADERS, head | end, 3)]);
        assert_eq!((data(&told, 3), &of_3[2].3[..]), (b"hello".to_vec(), &b"\x00\x01x\x01y"[..]));
        assert_eq!(brief(&of_5), [(HEADERS, head, 5), (DATA, 0, 5), (RST_STREAM, 0, 5)]);
        assert!(lab.connection.streams.are_done());
    }

    #[tokio::test]
    async fn answers_take_turns_within_their_windows() {
        let mut lab = Lab::new();
        let told = lab.hear(&[get(1, "/large"), get(3, "/large"), widen(1, 1 << 30), widen(3, 5)].concat());
        assert_eq!(data(&told, 1).len() + data(&told, 3).len(), 65_535, "the connection's window");
        let turns: Vec<_> = told.iter().filter(|told| told.0 == DATA).map(|told| told.2).collect();
        assert_eq!(turns, [1, 3, 1, 3]);
        assert!(told.iter().all(|told| told.3.len() <= MOST));
        let more = lab.hear(&widen(0, 1 << 30));
        assert_eq!(data(&told, 3).len() + data(&more, 3).len(), 65_540, "the stream's window");
        assert_eq!(data(&told, 1).len() + data(&more, 1).len(), 300_000);
        let rest = lab.hear(&widen(3, 300_000));
        assert_eq!(rest.last().map(|told| (told.0, told.1, told.2)), Some((DATA, END_STREAM, 3)));
        assert!(lab.connection.streams.are_done());
    }

    #[tokio::test]
    async fn a_place_where_a_stream_had_no_room_is_free_for_the_next() {
        let mut lab = Lab::new();
        lab.hear(&[get(1, "/large"), widen(1, 1 << 30)].concat());
        lab.hear(&of(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
        assert!(lab.connection.streams.are_done());
        let told = lab.hear(&get(3, "/small"));
        assert_eq!(brief(&told), [(HEADERS, END_HEADERS, 3)], "there is no room for data still");
        assert_eq!(data(&lab.hear(&widen(0, 5)), 3), b"hello");
    }

    #[tokio::test]
    async fn what_is_read_of_an_upload_makes_room_for_more() {
        let mut lab = Lab::new();
        let mut told = lab.hear(&ask(1, "POST", "/up", 0));
        for _ in 0..1000 {
            told.extend(lab.hear(&of(DATA, 0, 1, &[b'x'; MOST])));
        }
        let given = |stream: u32| {
            let of = told.iter().filter(|told| told.0 == WINDOW_UPDATE && told.2 == stream);
            of.map(|told| u32::from_be_bytes(told.3[..].try_into().unwrap())).sum::<u32>() as usize
        };
        let sent = 1000 * MOST;
        assert!(given(1) <= sent && given(1) + (1 << 19) > sent, "{} of a stream", given(1));
        assert!(given(0) <= sent && given(0) + (1 << 21) > sent, "{} of the connection", given(0));
        assert!(told.len() < 60, "it is told in halves: {}", told.len());
        // What nobody reads makes none, and has its bound.
        lab.hear(&ask(3, "POST", "/never", 0));
        let mut frames = (0..).map(|_| lab.hear(&of(DATA, 0, 3, &[b'x'; MOST])));
        let ended = frames.by_ref().take(70).find(|told| !told.is_empty()).unwrap();
        assert_eq!((ended[0].0, ended[0].2, ended[0].3[3]), (RST_STREAM, 3, Code::FlowControl as u8));
    }

    #[tokio::test]
    async fn header_blocks_have_bounds() {
        let first = of(HEADERS, END_STREAM, 1, &[]);
        let empty = of(CONTINUATION, 0, 1, &[]).repeat(100);
        assert_eq!(Lab::new().code(&[&first[..], &empty].concat()), Some(Code::Calm as u8));
        let full = of(CONTINUATION, 0, 1, &block(&[("x", "y")]).repeat(3000)).repeat(6);
        assert_eq!(Lab::new().code(&[&first[..], &full].concat()), Some(Code::Calm as u8));
    }

    #[tokio::test]
    async fn data_that_is_none_is_borne_for_a_while() {
        let mut lab = Lab::new();
        lab.hear(&ask(1, "POST", "/up", 0));
        let empty = of(DATA, 0, 1, &[]);
        assert_eq!(lab.code(&empty.repeat(200)), None);
        assert_eq!(lab.code(&empty.repeat(200)), Some(Code::Calm as u8));
    }

    #[tokio::test]
    async fn an_end_is_told_ahead() {
        let mut lab = Lab::new();
        lab.hear(&get(1, "/never"));
        lab.connection.leave();
        let told = lab.hear(&get(3, "/small"));
        assert_eq!(told[0].3, [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!((told[1].0, told[1].1, data(&told, 3)), (PING, 0, b"hello".to_vec()));
        let told = lab.hear(&of(PING, ACK, 0, &told[1].3));
        assert_eq!((told[0].0, &told[0].3[..4]), (GOAWAY, &[0, 0, 0, 3][..]));
        let told = lab.hear(&get(5, "/small"));
        assert_eq!((told[0].0, told[0].2, told[0].3[3]), (RST_STREAM, 5, Code::Refused as u8));
        assert!(!lab.connection.is_over(), "one is not answered");
        lab.hear(&of(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
        assert!(lab.connection.is_over());
    }

    /// Whatever comes: no panic, no more than the bounds say, and in the end nobody works for it.
    #[tokio::test]
    async fn garbage_is_survived() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 16) % below
        };
        let paths = ["/small", "/large", "/chunks", "/broken", "/up", "/never", "/up"];
        let mut frames = 0;
        for _ in 0..300 {
            let mut lab = Lab::new();
            let mut last = 1;
            lab.hear(&get(last, "/large"));
            for _ in 0..200 {
                let known = next(u64::from(last) + 1) as u32 | 1;
                let stream = if next(4) == 0 { last + 2 } else { known };
                let path = paths[next(7) as usize];
                let noise: Vec<u8> = (0..next(12)).map(|_| next(256) as u8).collect();
                let frame = match next(1000) {
                    50.. => match next(3) {
                        0 => ask(last + 2, "POST", path, next(2) as u8),
                        1 => of(DATA, 0, known, &noise.repeat(next(900) as usize)),
                        _ => widen(0, next(100_000) as u32 + 1),
                    },
                    40.. => of(PING, 0, 0, b"12345678"),
                    0..12 => ask(stream, "POST", path, next(2) as u8),
                    12..22 => of(DATA, next(2) as u8, stream, &noise.repeat(next(900) as usize)),
                    22..30 => widen(if next(2) == 0 { 0 } else { stream }, next(100_000) as u32),
                    30..33 => of(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
                    33..36 => of(SETTINGS, 0, 0, &[0, 4, 0, next(2) as u8, next(256) as u8, 9]),
                    36 => of(HEADERS, next(256) as u8, stream, &noise),
                    37 => of(next(12) as u8, next(256) as u8, stream, &noise),
                    _ => noise,
                };
                last = last.max(lab.connection.last);
                frames += lab.hear(&frame).len();
                assert!(lab.connection.streams.open() <= STREAMS);
                if lab.connection.is_over() {
                    break;
                }
            }
            lab.connection.lose();
            let mut rung = Vec::new();
            while lab.ring.take(&mut rung) {
                rung.drain(..).for_each(|number| lab.connection.work(number));
            }
            assert!(lab.connection.streams.are_done());
        }
        assert!(frames > 3000, "much of it is answered: {frames}");
    }
}
