//! Messages in, what is understood of them out: the corpus in `testdata`, and any message cut anywhere.

mod numbers;

use naru_wire::{
    Answering, Body, Framing, Onward, Persistence, REQUEST_HEAD, Reject, Request, RequestHead, Room, Sender,
    Trust, find_end, response,
};
use numbers::Numbers;
use std::fmt::Write;

/// Which side's messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Requests,
    Answers,
}

/// Reads messages as a connection does: whatever has arrived, from the first byte not understood yet.
struct Reader {
    side: Side,
    arrived: Vec<u8>,
    seen: usize,
    body: Option<(Framing, Body, usize)>,
    told: String,
    refused: bool,
}

impl Reader {
    fn new(side: Side) -> Reader {
        Reader { side, arrived: vec![], seen: 0, body: None, told: String::new(), refused: false }
    }

    fn arrive(&mut self, piece: &[u8]) {
        self.arrived.extend_from_slice(piece);
        while !self.refused {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(reject) => {
                    writeln!(self.told, "= {reject}").unwrap();
                    self.refused = true;
                }
            }
        }
    }

    /// Whether there may be more to read in what has arrived.
    fn step(&mut self) -> Result<bool, Reject> {
        if let Some((_, body, taken)) = &mut self.body {
            let n = body.take(&self.arrived)?;
            *taken += n;
            self.arrived.drain(..n);
            let done = body.is_done();
            if done {
                self.end_body();
            }
            return Ok(done && !self.arrived.is_empty());
        }
        while self.side == Side::Requests && self.arrived.starts_with(b"\r\n") {
            self.arrived.drain(..2);
            self.seen = 0;
        }
        let Some(end) = find_end(&self.arrived, self.seen)? else {
            self.seen = self.arrived.len();
            return if self.seen > REQUEST_HEAD { Err(Reject::new(431, "too long")) } else { Ok(false) };
        };
        let mut out = Vec::new();
        let framing = self.head(end, &mut out)?;
        self.arrived.drain(..end);
        self.seen = 0;
        writeln!(self.told, "> {}", out.escape_ascii()).unwrap();
        self.body = Some((framing, Body::new(framing), 0));
        Ok(true)
    }

    fn head(&self, end: usize, out: &mut Vec<u8>) -> Result<Framing, Reject> {
        match self.side {
            Side::Requests => Ok(request(&self.arrived[..end], out)?.framing),
            Side::Answers => {
                let asked = request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", &mut Vec::new())?;
                let head = &self.arrived[..end];
                Ok(response(head, &asked, Persistence::Keep, &Answering::default(), out)?.framing)
            }
        }
    }

    fn end_body(&mut self) {
        if let Some((framing, body, taken)) = self.body.take() {
            let end = if body.is_done() || body.ends_with_close() { "" } else { ", not whole" };
            writeln!(self.told, "> body {framing:?}, {taken} bytes{end}").unwrap();
        }
    }

    fn finish(mut self) -> String {
        if !self.refused {
            self.end_body();
            if !self.arrived.is_empty() {
                writeln!(self.told, "= the head is not whole").unwrap();
            }
        }
        self.told
    }
}

fn request(head: &[u8], out: &mut Vec<u8>) -> Result<RequestHead, Reject> {
    let mut room = Room::default();
    let request = Request::read(head, &mut room)?;
    let sender =
        Sender { client: "192.0.2.1", scheme: "http", address: "127.0.0.1:80", trust: Trust::Nothing };
    request.write(&sender, &Onward::default(), out);
    Ok(request.head)
}

fn understand<'a>(side: Side, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut reader = Reader::new(side);
    pieces.into_iter().for_each(|piece| reader.arrive(piece));
    reader.finish()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        out.push(match (byte, if byte == b'\\' { rest.next() } else { None }) {
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'x')) => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            (b'\\', other) => other.unwrap(),
            (byte, _) => byte,
        });
    }
    out
}

/// The messages of a corpus: what stands in its `<` lines, by title.
fn messages(corpus: &str) -> Vec<(String, Vec<u8>)> {
    let block = |block: &str| {
        let title = block.lines().next().unwrap_or_default().to_owned();
        let lines = block.lines().filter_map(|line| line.strip_prefix("< "));
        (title, lines.flat_map(unescape).collect())
    };
    corpus.split("\n\n").map(str::trim).filter(|b| b.starts_with("# ")).map(block).collect()
}

/// Checks that the corpus says of each message what is understood of it. `UPDATE=1` writes it anew.
fn check(side: Side, file: &str) {
    let path = format!("{}/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(&path).unwrap();
    let mut actual = String::new();
    for block in expected.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let kept = block.lines().filter(|line| line.starts_with(['#', '<']));
        kept.for_each(|line| writeln!(actual, "{line}").unwrap());
        let message = messages(block).remove(0).1;
        actual += &understand(side, [&*message]);
        actual += "\n";
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &actual).unwrap();
    } else if actual != expected {
        let differ = actual.lines().zip(expected.lines()).find(|(a, e)| a != e);
        panic!("{file} says otherwise; UPDATE=1 writes it anew. The first difference: {differ:#?}");
    }
}

#[test]
fn requests_are_understood_in_one_way_or_refused() {
    check(Side::Requests, "requests.txt");
}

#[test]
fn answers_are_understood_in_one_way_or_refused() {
    check(Side::Answers, "answers.txt");
}

#[test]
fn it_does_not_matter_how_a_message_is_cut() {
    let mut numbers = Numbers(7);
    for (side, corpus) in [
        (Side::Requests, include_str!("../testdata/requests.txt")),
        (Side::Answers, include_str!("../testdata/answers.txt")),
    ] {
        for (title, message) in messages(corpus) {
            let whole = understand(side, [&*message]);
            let bytes = understand(side, message.chunks(1));
            assert_eq!(bytes, whole, "{title}, byte by byte");
            for _ in 0..200 {
                let mut pieces = Vec::new();
                let mut rest = &*message;
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(1 + numbers.below(rest.len()));
                    pieces.push(piece);
                    rest = after;
                }
                let cuts: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
                assert_eq!(understand(side, pieces), whole, "{title}, cut in {cuts:?}");
            }
        }
    }
}
