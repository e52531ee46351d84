//! A proxy for EC2's Query API that makes the faults that it is told to make, and counts.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is done with a request.
// Not every test that takes this in makes every fault.
#[allow(dead_code)]
#[derive(Clone, Debug)]
pub enum Fault {
    /// The cloud never sees it; it is answered with this status and error code.
    Refuse(u16, &'static str),
    /// The cloud never sees it, and the connection ends.
    Lose,
    /// The cloud carries it out, and the connection ends without an answer.
    LoseAnswer,
    /// In the request, one text stands for another. Its signature does not fit any more.
    Request(&'static str, &'static str),
    /// In the answer, one text stands for another.
    Answer(&'static str, &'static str),
    /// It comes through as it is.
    None,
}

/// Faults by the action that they happen to, in order.
#[derive(Default)]
struct Plan {
    next: BTreeMap<String, VecDeque<Fault>>,
    /// What happens each time.
    always: BTreeMap<String, Fault>,
    seen: BTreeMap<String, usize>,
}

/// A proxy. It ends with its process.
#[derive(Clone)]
pub struct Proxy {
    port: u16,
    plan: Arc<Mutex<Plan>>,
}

impl Proxy {
    pub fn start(cloud: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Proxy { port, plan: Arc::default() };
        let plan = proxy.plan.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let plan = plan.clone();
                // A connection that breaks is a fault like the others.
                std::thread::spawn(move || pass(stream, cloud, &plan));
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next requests of this action meet these.
    pub fn fault(&self, action: &str, faults: &[Fault]) {
        self.plan.lock().unwrap().next.entry(action.into()).or_default().extend(faults.iter().cloned());
    }

    /// All requests of this action meet this, until another word.
    pub fn always(&self, action: &str, fault: Fault) {
        self.plan.lock().unwrap().always.insert(action.into(), fault);
    }

    /// How many requests of this action there have been.
    pub fn count(&self, action: &str) -> usize {
        self.plan.lock().unwrap().seen.get(action).copied().unwrap_or(0)
    }
}

fn pass(mut client: TcpStream, cloud: u16, plan: &Mutex<Plan>) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (head, body) = message(&mut client)?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let action =
        text.split('&').find_map(|part| part.strip_prefix("Action=")).unwrap_or_default().to_string();
    let fault = {
        let mut plan = plan.lock().unwrap();
        *plan.seen.entry(action.clone()).or_default() += 1;
        let next = plan.next.get_mut(&action).and_then(VecDeque::pop_front);
        next.or_else(|| plan.always.get(&action).cloned()).unwrap_or(Fault::None)
    };
    let mut body = body;
    match &fault {
        Fault::Lose => return Ok(()),
        Fault::Refuse(status, code) => {
            let text = format!(
                "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>The proxy says so.</Message>\
                 </Error></Errors><RequestID>x</RequestID></Response>"
            );
            return answer(&mut client, &format!("HTTP/1.1 {status} Fault"), text.as_bytes());
        }
        Fault::Request(from, to) => body = text.replace(from, to).into_bytes(),
        Fault::LoseAnswer | Fault::Answer(..) | Fault::None => {}
    }
    let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, cloud))?;
    let mut lines: Vec<&str> = head.lines().filter(|line| !is_framing(line)).collect();
    let length = format!("content-length: {}", body.len());
    lines.extend([length.as_str(), "connection: close"]);
    upstream.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes())?;
    upstream.write_all(&body)?;
    let (head, mut body) = message(&mut upstream)?;
    match fault {
        Fault::LoseAnswer => return Ok(()),
        Fault::Answer(from, to) => body = String::from_utf8_lossy(&body).replace(from, to).into_bytes(),
        _ => {}
    }
    answer(&mut client, head.lines().next().unwrap_or_default(), &body)
}

fn answer(client: &mut TcpStream, status: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "{status}\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body)
}

fn is_framing(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().to_lowercase();
    line.is_empty() || name == "content-length" || name == "connection"
}

/// A head, and as much of a body as it says, or up to the end where it says nothing.
fn message(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = vec![];
    let mut buffer = [0; 16 << 10];
    let end = loop {
        let found = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(at) = found {
            break at;
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => bytes.extend_from_slice(&buffer[..n]),
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while length.is_none_or(|length| body.len() < length) {
        match stream.read(&mut buffer)? {
            0 => break,
            n => body.extend_from_slice(&buffer[..n]),
        }
    }
    Ok((head, body))
}
