//! A client's connection and an instance's answers through an edge that runs: what comes out on both sides is what
//! other readers make of what went in.
//!
//! An input is what the client sends; behind each [`MARK`] stands what the instance answers to its next request, and
//! where there is none, it answers `ok`. All waits are for bytes or for ends: who is left waiting hangs, and libFuzzer
//! tells. What must hold:
//!
//! - hyper reads the same requests in the bytes that the instance got as it was sent, by the edge's own reader;
//! - those are the client's whole requests, each once (or again, where a try failed), in order, with their data;
//! - the client hears, in order, an answer to each: one that was given, whole and with the same data, or one of the
//!   edge's own; the last may be cut. Nothing else comes, but one refusal of what is no request.

use crate::answer::{Answer, Extent};
use crate::differential::{Stop, Taken, hyper_may_refuse, ours, take, theirs};
use naru_edge::{Config, Edge};
use naru_model::{Backend, Generation, Listener, Protocol, ReleaseNo, RouteTable, Split, Time};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

/// What stands between the client's bytes and each answer.
const MARK: &[u8] = b"====";

/// What the instance answers where nothing is said.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// How a client of HTTP/2 begins: its frames are not looked at here.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// What an edge says in its own words.
const OWN: [u16; 10] = [400, 408, 413, 417, 431, 501, 502, 503, 504, 505];

/// Sends bytes through an edge, and looks at what came out.
pub fn check(bytes: &[u8]) {
    let mut parts = split(bytes).into_iter();
    let client = parts.next().unwrap_or_default();
    let (requests, stop) = ours(client);
    let begins = client.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(0);
    if client[begins..].starts_with(HTTP2) {
        return;
    }
    let (whole, begun): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| request.body.is_some());
    let begun = begun.into_iter().next().map(|request| request.method).unwrap_or_default();
    let answers = parts.map(<[u8]>::to_vec).collect();
    let case = Case { client: client.to_vec(), answers, whole, begun, stop };
    let came = BENCH.with(|bench| bench.carry(case));
    came.check_instance();
    came.check_client();
}

fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(MARK.len()).position(|four| four == MARK) {
        parts.push(&rest[..at]);
        rest = &rest[at + MARK.len()..];
    }
    parts.push(rest);
    parts
}

/// What goes in.
struct Case {
    client: Vec<u8>,
    answers: Vec<Vec<u8>>,
    /// The client's requests, as far as they are whole, and why there are no more.
    whole: Vec<Taken>,
    /// The method of the one behind them whose body does not come to its end.
    begun: String,
    stop: Stop,
}

/// What comes out.
struct Came {
    case: Rc<Case>,
    /// What the instance was asked, in order.
    asked: Vec<Asked>,
    /// All that came on each of its connections.
    connections: Vec<Vec<u8>>,
    /// Why the instance took no more, if it did not.
    refused: Option<&'static str>,
    heard: Vec<u8>,
    ended: End,
}

/// A request at the instance.
struct Asked {
    connection: usize,
    request: Taken,
    answer: Vec<u8>,
}

/// How a client's connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    InOrder,
    Reset,
}

impl Came {
    fn check_instance(&self) {
        // The edge has some of its own to say, beyond as many as it takes.
        assert!(matches!(self.refused, None | Some("too many fields")), "{:?} at the instance", self.refused);
        for (connection, bytes) in self.connections.iter().enumerate() {
            let asked = self.asked.iter().filter(|asked| asked.connection == connection);
            let mut others = theirs(bytes).into_iter().filter(|request| request.body.is_some());
            for Asked { request, .. } in asked {
                let Some(other) = others.next() else {
                    // A hundred are all that hyper takes, of lines as of fields.
                    let many = request.lines.max(request.fields.len()) > 100;
                    let allowed = hyper_may_refuse(request) || many;
                    assert!(allowed, "hyper does not take {request:?} of {}", bytes.escape_ascii());
                    return;
                };
                assert_eq!(key(request), key(&other));
                assert_eq!(request.fields, other.fields);
            }
            assert_eq!(others.next(), None, "hyper takes more of {}", bytes.escape_ascii());
        }
        let places = self.places();
        if self.is_plain() {
            assert_eq!(places.len(), self.case.whole.len(), "all are asked, once");
        }
    }

    /// Whether the instance took all, and answered as instances do.
    fn is_plain(&self) -> bool {
        self.case.answers.is_empty() && self.refused.is_none()
    }

    /// Which of the client's requests each is that the instance was asked.
    fn places(&self) -> Vec<usize> {
        let whole = &self.case.whole;
        let mut next = 0;
        let place = |asked: &Asked| {
            let is = |at: usize| whole.get(at).is_some_and(|request| key(request) == key(&asked.request));
            if is(next) {
                next += 1;
            } else {
                // A try that failed, once more.
                assert!(next > 0 && is(next - 1), "nobody asked for {:?}", asked.request);
            }
            next - 1
        };
        self.asked.iter().map(place).collect()
    }

    fn check_client(&self) {
        let places = self.places();
        let mut rest = &self.heard[..];
        for (at, request) in self.case.whole.iter().enumerate() {
            let Some(heard) = Answer::read(rest, &request.method) else { break };
            rest = &rest[heard.length..];
            // Of requests that are alike, one that was tried again cannot be told from the next.
            let is_of = |asked: &Asked, place: usize| match self.is_plain() {
                true => place == at,
                false => key(&asked.request) == key(request),
            };
            let given = self.asked.iter().zip(&places).filter(|(asked, place)| is_of(asked, **place));
            let mut given = given.filter_map(|(asked, _)| Answer::read(&asked.answer, &request.method));
            let is_given = given.any(|given| self.is_same(&heard, &given));
            assert!(is_given || is_own(&heard), "nobody gave {heard:?}");
            // What follows is another protocol's, or cut off.
            if heard.status == 101 || heard.extent != Extent::Whole {
                return;
            }
            if self.is_plain() {
                assert_eq!((heard.status, is_given), (200, true));
            }
        }
        if matches!(self.case.stop, Stop::Refuses(_))
            && let Some(refusal) = Answer::read(rest, &self.case.begun)
            && is_own(&refusal)
        {
            rest = &rest[refusal.length..];
        }
        // The head of one that broke off.
        let is_part = Answer::read(rest, "").is_none() && !self.is_plain();
        assert!(rest.is_empty() || is_part, "nobody gave {}", rest.escape_ascii());
    }

    /// Whether what was heard is what was given, whole or with all that came of it.
    fn is_same(&self, heard: &Answer, given: &Answer) -> bool {
        let is_whole = match heard.extent {
            Extent::Whole => true,
            Extent::UntilEnd => self.ended == End::InOrder,
            Extent::Part => false,
        };
        heard.status == given.status
            && if is_whole {
                given.extent != Extent::Part && heard.body == given.body
            } else {
                given.body.starts_with(&heard.body)
            }
    }
}

fn is_own(heard: &Answer) -> bool {
    OWN.contains(&heard.status) && heard.extent == Extent::Whole
}

/// What tells one request from another, apart from fields, of which the edge has its own.
fn key(request: &Taken) -> (&str, &str, &Option<Vec<u8>>) {
    (&request.method, &request.path, &request.body)
}

thread_local! {
    static BENCH: Bench = Bench::new();
}

/// An edge with an instance, for one case after the other.
struct Bench {
    runtime: tokio::runtime::Runtime,
    edge: Edge,
    instance: std::net::TcpListener,
    generation: RefCell<u64>,
}

impl Bench {
    fn new() -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let edge = Edge::start(Config::new("node".into(), "edge".into(), Time(1), 1));
        let instance = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        instance.set_nonblocking(true).expect("a socket");
        Bench {
            runtime: runtime.expect("a runtime"),
            edge: edge.expect("a thread"),
            instance,
            generation: RefCell::new(0),
        }
    }

    fn carry(&self, case: Case) -> Came {
        self.runtime.block_on(LocalSet::new().run_until(self.run(Rc::new(case))))
    }

    async fn run(&self, case: Rc<Case>) -> Came {
        let log = Rc::<RefCell<Log>>::default();
        self.route(&[self.instance.local_addr().expect("an address")]).await;
        let accepting = self.instance.try_clone().and_then(TcpListener::from_std).expect("a socket");
        let mut connections = JoinSet::new();
        let (heard, ended) = {
            let mut client = pin!(self.client(&case));
            loop {
                tokio::select! {
                    came = &mut client => break came,
                    Ok((stream, _)) = accepting.accept() => {
                        connections.spawn_local(answer(stream, case.clone(), log.clone()));
                    }
                }
            }
        };
        // Connections that wait for their next request end with this.
        self.route(&[]).await;
        while let Ok((stream, _)) = self.instance.accept() {
            stream.set_nonblocking(true).expect("a socket");
            let stream = TcpStream::from_std(stream).expect("a socket");
            connections.spawn_local(answer(stream, case.clone(), log.clone()));
        }
        connections.join_all().await;
        let Log { asked, connections, refused } = log.take();
        Came { case, asked, connections, refused, heard, ended }
    }

    /// Has the edge carry to these from now on.
    async fn route(&self, instances: &[SocketAddr]) {
        let generation = Generation(self.generation.replace_with(|before| *before + 1) + 1);
        let backend =
            |address: &SocketAddr| Backend::new("s.web.1.1".into(), ReleaseNo(1), address.to_string());
        let listener = Listener {
            name: "web".into(),
            address: "127.0.0.1:0".into(),
            protocol: Protocol::Http,
            stack: "s".into(),
            service: Some("web".into()),
            splits: vec![Split { weight: 1, backends: instances.iter().map(backend).collect() }],
            policy: Default::default(),
            entrance: Default::default(),
            rules: vec![],
        };
        self.edge.apply(RouteTable { generation, listeners: vec![listener] }).expect("a table");
        let mut news = self.edge.watch();
        news.wait_for(|_| self.edge.acked() == generation).await.expect("the edge runs");
    }

    /// Sends all, and leaves once all that is due was heard.
    async fn client(&self, case: &Case) -> (Vec<u8>, End) {
        let to = self.edge.addresses()["127.0.0.1:0 web"];
        let mut stream = TcpStream::connect(to).await.expect("the edge listens");
        // It may refuse the first half before the second is there.
        let _ = stream.write_all(&case.client).await;
        let (mut heard, mut leaving) = (Vec::new(), false);
        let ended = loop {
            if !leaving && has_all(&heard, case) {
                leaving = true;
                let _ = stream.shutdown().await;
            }
            match stream.read_buf(&mut heard).await {
                Ok(1..) => {}
                Ok(_) => break End::InOrder,
                Err(_) => break End::Reset,
            }
        };
        // Its port is free at once.
        let _ = stream.set_zero_linger();
        (heard, ended)
    }
}

/// Whether a client that sends no more has heard all that it can hear: then the edge waits for what never comes.
fn has_all(heard: &[u8], case: &Case) -> bool {
    let mut rest = heard;
    for request in &case.whole {
        let Some(answer) = Answer::read(rest, &request.method) else { return false };
        if answer.status == 101 {
            return true;
        }
        if answer.extent != Extent::Whole {
            return false;
        }
        rest = &rest[answer.length..];
    }
    case.stop == Stop::Partial
}

/// What an instance was sent.
#[derive(Default)]
struct Log {
    asked: Vec<Asked>,
    connections: Vec<Vec<u8>>,
    refused: Option<&'static str>,
}

/// Answers what comes on a connection, up to its end.
async fn answer(mut stream: TcpStream, case: Rc<Case>, log: Rc<RefCell<Log>>) {
    let connection = log.borrow().connections.len();
    log.borrow_mut().connections.push(vec![]);
    let (mut unread, mut then) = (Vec::new(), Then::Next);
    loop {
        while then != Then::Other {
            let mut rest = &unread[..];
            let request = match take(&mut rest) {
                Ok((request, _)) if request.body.is_some() => request,
                Err(Stop::Refuses(why)) => {
                    log.borrow_mut().refused = Some(why);
                    let _ = stream.shutdown().await;
                    break;
                }
                _ => break,
            };
            let used = unread.len() - rest.len();
            unread.drain(..used);
            then = given(&mut stream, request, connection, &case, &log).await;
            if then != Then::Next {
                // What it may have begun comes to no more.
                let _ = stream.shutdown().await;
            }
        }
        let before = unread.len();
        if stream.read_buf(&mut unread).await.unwrap_or(0) == 0 {
            let _ = stream.set_zero_linger();
            return;
        }
        if then != Then::Other {
            log.borrow_mut().connections[connection].extend_from_slice(&unread[before..]);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The next request.
    Next,
    /// No more comes of it.
    End,
    /// What follows is another protocol's.
    Other,
}

/// Answers a request.
async fn given(
    stream: &mut TcpStream,
    request: Taken,
    connection: usize,
    case: &Case,
    log: &RefCell<Log>,
) -> Then {
    let given = case.answers.get(log.borrow().asked.len()).cloned();
    let read = given.as_deref().map(|given| Answer::read(given, &request.method));
    let then = match read {
        None => Then::Next,
        Some(Some(answer)) if answer.status == 101 => Then::Other,
        Some(Some(answer)) if answer.extent == Extent::Whole => Then::Next,
        Some(_) => Then::End,
    };
    let answer = given.unwrap_or_else(|| ok(&request.method));
    let _ = stream.write_all(&answer).await;
    log.borrow_mut().asked.push(Asked { connection, request, answer });
    then
}

fn ok(method: &str) -> Vec<u8> {
    let length = if method == "HEAD" { OK.len() - 2 } else { OK.len() };
    OK[..length].to_vec()
}
