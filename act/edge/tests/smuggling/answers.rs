//! Instances that smuggle: what they answer reaches a client in one reading, or not at all.

use crate::corpus::{Case, Corpus};
use crate::lab::{Instance, Lab, Peer, get, ok, soon};
use crate::strict::{self, Ended, Kind, Message, Next};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

#[tokio::test]
async fn answers_are_passed_on_in_one_reading_or_refused() {
    let mut corpus = Corpus::read("answers.txt");
    let mut instance = Instance::new("s.web.1.1").await;
    let script = Script::serve(&mut instance);
    let lab = crate::edge(&instance).await;
    let mut faults = Vec::new();
    for case in &mut corpus.cases {
        script.set(case);
        let (found, wrong) = talk(&lab, &script, case).await;
        faults.extend(wrong.into_iter().map(|what| format!("{}: {what}", case.title)));
        case.found = found;
    }
    assert!(faults.is_empty(), "{faults:#?}");
    corpus.check("answers");
}

/// What the instance says to `/case`; it answers everything else with its path.
#[derive(Clone, Default)]
struct Script(Arc<Lines>);

#[derive(Default)]
struct Lines {
    now: Mutex<(Vec<Vec<u8>>, Ended)>,
    go_on: Notify,
    done: Notify,
}

impl Script {
    fn serve(instance: &mut Instance) -> Script {
        let script = Script::default();
        let (listener, own) = (instance.listener(), script.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(own.clone().connection(Peer::new(stream)));
            }
        });
        script
    }

    fn set(&self, case: &Case) {
        let then = if case.setting("then") == Some("closes") { Ended::Yes } else { Ended::No };
        *self.0.now.lock().unwrap() = (case.pieces.clone(), then);
    }

    async fn connection(self, mut peer: Peer) {
        while let Some(head) = peer.try_head().await {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            if path != "/case" {
                peer.say(&ok(&path)).await;
                continue;
            }
            let (pieces, then) = self.0.now.lock().unwrap().clone();
            for (at, piece) in pieces.iter().enumerate() {
                if at > 0 {
                    self.0.go_on.notified().await;
                }
                // An edge that has refused it reads no more of it.
                let _ = peer.stream.write_all(piece).await;
            }
            if pieces.len() > 1 {
                delivered(&peer.stream).await;
                self.0.done.notify_one();
            }
            if then == Ended::Yes {
                return;
            }
        }
    }
}

/// Waits until the other side's system has all that was written.
async fn delivered(stream: &TcpStream) {
    let mut left: libc::c_int = 1;
    while left > 0 {
        tokio::task::yield_now().await;
        // SAFETY: the system writes one number, which lives through the call.
        let failed = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &mut left) };
        assert_eq!(failed, 0, "the system does not tell what it has left to send");
    }
}

/// Asks for the case, then for something else on the same connection, then from a new one.
async fn talk(lab: &Lab, script: &Script, case: &Case) -> (Vec<String>, Vec<String>) {
    let method = case.setting("method").unwrap_or("GET");
    let mut client = lab.client().await;
    let mut wrong = Vec::new();
    client.say(&get("/case").replace("GET", method)).await;
    let mut heard = Heard { bytes: vec![], ended: Ended::No };
    if case.pieces.len() > 1 {
        // The rest comes once the client has heard the first.
        heard.until(&mut client, b"hello").await;
        script.0.go_on.notify_one();
        soon("the rest of the answer", script.0.done.notified()).await;
    }
    let first = heard.answer(&mut client, method).await;
    let mut lines = vec![told(&first)];
    if heard.ended == Ended::No {
        client.say(&get("/after")).await;
        let after = heard.answer(&mut client, "GET").await;
        let own = matches!(&after, Ok(after) if after.body == b"/after");
        if !own {
            wrong.push(format!("the next request on the connection gets {after:?}"));
        }
        lines.push("= the client's connection stays".into());
    } else {
        lines.push("= the client's connection ends".into());
    }
    if !heard.bytes.is_empty() && first.is_ok() {
        wrong.push(format!("the client hears more than one answer: {}", heard.bytes.escape_ascii()));
    }
    let (_, fresh) = lab.client().await.ask(&get("/fresh")).await;
    if fresh != "/fresh" {
        wrong.push(format!("the next client gets {fresh}"));
    }
    (lines, wrong)
}

fn told(answer: &Result<Message, String>) -> String {
    match answer {
        Ok(answer) => match answer.field("x-naru-reason") {
            Some(reason) => format!("= refused: {}, {reason}", answer.status()),
            None => format!("> passed: {}, {} bytes, {}", answer.status(), answer.body.len(), answer.framed),
        },
        Err(why) => format!("= cut: {why}"),
    }
}

/// What the client hears.
struct Heard {
    bytes: Vec<u8>,
    ended: Ended,
}

impl Heard {
    async fn more(&mut self, client: &mut Peer) {
        let read = soon("an answer or the end", client.stream.read_buf(&mut self.bytes)).await;
        if read.unwrap_or(0) == 0 {
            self.ended = Ended::Yes;
        }
    }

    async fn until(&mut self, client: &mut Peer, text: &[u8]) {
        while self.ended == Ended::No && !self.bytes.windows(text.len()).any(|part| part == text) {
            self.more(client).await;
        }
    }

    /// The next final answer; what is no answer must not be one that a client could take for whole.
    async fn answer(&mut self, client: &mut Peer, method: &str) -> Result<Message, String> {
        loop {
            match strict::next(&self.bytes, Kind::Answer(method, self.ended)) {
                Next::Message(message, length) => {
                    self.bytes.drain(..length);
                    if message.status() >= 200 {
                        self.close_follows(&message, client).await;
                        return Ok(message);
                    }
                }
                Next::Partial(_) if self.ended == Ended::Yes => return Err("the answer is not whole".into()),
                Next::Partial(_) => self.more(client).await,
                Next::Invalid(why) => panic!("the client hears {why}: {}", self.bytes.escape_ascii()),
            }
        }
    }

    /// An answer that says so is followed by the end.
    async fn close_follows(&mut self, message: &Message, client: &mut Peer) {
        while self.ended == Ended::No && message.field("connection") == Some("close") {
            self.more(client).await;
        }
    }
}
