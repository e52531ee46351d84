//! Clients that smuggle.

use crate::corpus::{Case, Corpus};
use crate::lab::{Instance, Lab, Peer, get, soon};
use crate::recorder::Recorder;
use crate::strict::{self, Ended, Kind, Message, Next};
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What follows every case on its connection: another's request, for whoever counts wrong.
const VICTIM: &str = "GET /end HTTP/1.1\r\nHost: t\r\n\r\n";

#[tokio::test]
async fn requests_are_passed_on_in_one_reading_or_refused() {
    let mut corpus = Corpus::read("requests.txt");
    let mut instance = Instance::new("s.web.1.1").await;
    let recorder = Recorder::serve(&mut instance);
    let lab = crate::edge(&instance).await;
    let mut faults = Vec::new();
    for case in &mut corpus.cases {
        let trial = Trial::new(&lab, &recorder, case);
        let (found, wrong) = trial.run().await;
        faults
            .extend(wrong.into_iter().chain(recorder.faults()).map(|what| format!("{}: {what}", case.title)));
        case.found = found;
        // Whatever is left of it would be the beginning of the next client's.
        let (_, body) = lab.client().await.ask(&get("/fresh")).await;
        if body != "/fresh" || recorder.requests().len() != 1 {
            faults.push(format!("{}: the next client gets {body}", case.title));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    corpus.check("requests");
}

/// One case at work.
struct Trial<'a> {
    lab: &'a Lab,
    recorder: &'a Recorder,
    case: &'a Case,
    /// What a strict reading of the client's bytes has, and how it ends.
    meant: Vec<Message>,
    end: Next,
}

/// What the client hears.
struct Heard {
    answers: Vec<Message>,
    rest: Vec<u8>,
    ended: Ended,
}

impl<'a> Trial<'a> {
    fn new(lab: &'a Lab, recorder: &'a Recorder, case: &'a Case) -> Trial<'a> {
        let (meant, end) = strict::requests(&[case.bytes(), VICTIM.into()].concat());
        Trial { lab, recorder, case, meant, end }
    }

    /// What was found, and what of it must not be.
    async fn run(&self) -> (Vec<String>, Vec<String>) {
        let heard = self.talk().await;
        let seen = self.recorder.requests();
        let mut wrong = Vec::new();
        for (got, meant) in seen.iter().zip(&self.meant) {
            let ((path, host), (meant_path, meant_host)) = (got.target(), meant.target());
            // What a request of HTTP/1.0 without Host is for, is the edge's to say.
            let placed = path == meant_path && (host == meant_host || meant_host.is_empty());
            let same = got.method() == meant.method() && placed && got.body == meant.body;
            if !same {
                wrong.push(format!("meant is {meant:?}, and passed is {got:?}"));
            }
        }
        if seen.len() > self.meant.len() {
            wrong.push(format!("{} requests are meant, and passed are {seen:?}", self.meant.len()));
        }
        if !heard.rest.is_empty() {
            wrong.push(format!("the client hears after the answers: {}", heard.rest.escape_ascii()));
        }
        let all = seen.len() == self.meant.len() && matches!(&self.end, Next::Partial(None));
        if heard.ended == Ended::No && !all {
            wrong.push(format!("it stays open, and the standard's reading ends with {:?}", self.end));
        }
        (self.told(&seen, &heard), wrong)
    }

    /// Says all of it, and hears all that comes back, up to the victim's answer or the end.
    async fn talk(&self) -> Heard {
        let mut client = self.lab.client().await;
        let mut methods: VecDeque<_> = self.meant.iter().map(Message::method).collect();
        let mut heard = Heard { answers: vec![], rest: vec![], ended: Ended::No };
        let (last, first) = self.case.pieces.split_last().unwrap();
        for piece in first {
            // It may be refused already; what it says of that is heard below.
            let _ = client.stream.write_all(piece).await;
            heard.next(&mut client, &mut methods).await;
        }
        let _ = client.stream.write_all(&[&**last, VICTIM.as_bytes()].concat()).await;
        while heard.ended == Ended::No && heard.answers.last().is_none_or(|last| last.body != b"/end") {
            heard.next(&mut client, &mut methods).await;
        }
        heard
    }

    /// What was found, a line each.
    fn told(&self, seen: &[Message], heard: &Heard) -> Vec<String> {
        let mut lines = Vec::new();
        for request in seen.iter().filter(|request| request.target().0 != "/end") {
            let (path, host) = request.target();
            let path: String = path.chars().take(40).collect();
            let framed = if request.framed == "none" {
                "no body".to_owned()
            } else {
                format!("{} bytes {}", request.body.len(), request.framed)
            };
            lines.push(format!("> passed: {} {path} for {host}, {framed}", request.method()));
        }
        if heard.answers.iter().any(|answer| answer.body.starts_with(b"/early")) {
            lines.push("= answered before its body came, which goes nowhere".into());
        }
        let refused = heard.answers.iter().filter(|answer| answer.field("x-naru-reason").is_some());
        for answer in refused {
            let reason = answer.field("x-naru-reason").unwrap();
            lines.push(format!("= refused: {}, {reason}", answer.status()));
        }
        lines.push(match heard.ended {
            Ended::Yes => "= closed".into(),
            Ended::No => "= open, and the next request is answered".into(),
        });
        lines
    }
}

impl Heard {
    /// The next answer, be it an interim one, or the end. `methods` are those of the requests not answered yet.
    async fn next(&mut self, client: &mut Peer, methods: &mut VecDeque<&str>) {
        while self.ended == Ended::No || !self.rest.is_empty() {
            let method = methods.front().copied().unwrap_or("GET");
            match strict::next(&self.rest, Kind::Answer(method, self.ended)) {
                Next::Message(message, length) => {
                    self.rest.drain(..length);
                    if message.status() >= 200 {
                        methods.pop_front();
                        self.answers.push(message);
                    }
                    return;
                }
                Next::Invalid(why) => panic!("the client hears {why}: {}", self.rest.escape_ascii()),
                Next::Partial(_) if self.ended == Ended::Yes => return,
                Next::Partial(_) => {
                    if soon("an answer or the end", client.stream.read_buf(&mut self.rest)).await.unwrap_or(0)
                        == 0
                    {
                        self.ended = Ended::Yes;
                    }
                }
            }
        }
    }
}
