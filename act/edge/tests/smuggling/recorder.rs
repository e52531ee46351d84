//! An instance that keeps what it is sent, reads it by the standard, and answers by the path that is asked for.

use crate::lab::{Instance, ok};
use crate::strict::{self, Kind, Message, Next};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What an instance was sent.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    requests: Vec<Message>,
    /// What no reading of the standard has a place for.
    faults: Vec<String>,
}

impl Recorder {
    /// Serves an instance for as long as the test's runtime lives.
    pub fn serve(instance: &mut Instance) -> Recorder {
        let recorder = Recorder::default();
        let listener = instance.listener();
        let own = recorder.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(own.clone().connection(stream));
            }
        });
        recorder
    }

    /// The whole requests since this was asked last.
    pub fn requests(&self) -> Vec<Message> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    /// What was sent that is no request and no beginning of one.
    pub fn faults(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().faults)
    }

    async fn connection(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        // Of the request whose body is still under way.
        let mut begun = Begun::No;
        loop {
            match strict::next(&bytes, Kind::Request) {
                Next::Message(message, length) => {
                    bytes.drain(..length);
                    let body = message.target().0;
                    let head = message.method() == "HEAD";
                    self.0.lock().unwrap().requests.push(message);
                    let answer = ok(&body);
                    let answer = if head { &answer[..answer.len() - body.len()] } else { &answer };
                    if begun != Begun::Answered {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                    begun = Begun::No;
                }
                Next::Partial(head) => {
                    if let Some(head) = head.filter(|_| begun == Begun::No) {
                        begun = begin(&head, &mut stream).await;
                    }
                    if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                Next::Invalid(why) => {
                    let fault = format!("{why}: {}", bytes.escape_ascii());
                    return self.0.lock().unwrap().faults.push(fault);
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    No,
    Waits,
    Answered,
}

/// A request whose body is not there yet: an impatient path is answered at once.
async fn begin(head: &Message, stream: &mut TcpStream) -> Begun {
    let path = head.target().0;
    if path.starts_with("/early") {
        let _ = stream.write_all(ok(&path).as_bytes()).await;
        return Begun::Answered;
    }
    if head.field("expect").is_some() {
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    }
    Begun::Waits
}
