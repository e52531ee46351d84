//! What the tests have in common: an edge, instances whose every byte the test says, and clients.

use naru_edge::{Config, Edge};
use naru_model::{
    Backend, EdgeCounts, EdgeReport, Generation, InstanceId, Listener, Protocol, Queue, ReleaseNo,
    RouteTable, Span, Split, Time,
};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than any wait that ends well.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `event`, and fails the test if it does not come.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// An edge and what it is told.
pub struct Lab {
    pub edge: Edge,
    generation: u64,
}

impl Lab {
    pub fn new() -> Lab {
        Lab::with(|_| {})
    }

    /// With other bounds than the usual ones.
    pub fn with(change: impl FnOnce(&mut Config)) -> Lab {
        let mut config = Config::new("node".into(), "edge".into(), Time(1_000_000), 2);
        change(&mut config);
        Lab { edge: Edge::start(config).unwrap(), generation: 0 }
    }

    /// Applies a table and waits until it is acknowledged.
    pub async fn route(&mut self, listeners: Vec<Listener>) {
        self.generation += 1;
        let generation = Generation(self.generation);
        self.edge.apply(RouteTable { generation, listeners }).unwrap();
        let mut news = self.edge.watch();
        soon("an acknowledgement", news.wait_for(|_| self.edge.acked() == generation)).await.unwrap();
    }

    /// As [`Lab::route`], for one HTTP listener with all instances in one split.
    pub async fn serve(&mut self, instances: &[&Instance]) {
        self.route(vec![http(&[(1, instances)])]).await;
    }

    pub fn address(&self) -> SocketAddr {
        self.address_of("web")
    }

    pub fn address_of(&self, listener: &str) -> SocketAddr {
        self.edge.addresses()[&format!("127.0.0.1:0 {listener}")]
    }

    pub async fn client(&self) -> Peer {
        Peer::connect(self.address()).await
    }

    pub async fn report(&self) -> EdgeReport {
        soon("a report", self.edge.report(Time(2_000_000))).await
    }

    /// Waits until the report says so of an instance.
    pub async fn until(&self, instance: &Instance, so: impl Fn(&EdgeCounts) -> bool) -> EdgeCounts {
        let mut last = None;
        let wait = async {
            loop {
                let report = self.edge.report(Time(2_000_000)).await;
                let counts = report.instances.get(&instance.id).cloned().unwrap_or_default();
                if so(&counts) {
                    return counts;
                }
                last = Some(counts);
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(counts) => counts,
            Err(_) => panic!("the counts of {} stay {last:?}", instance.id),
        }
    }

    /// Waits until nothing is in progress there.
    pub async fn idle(&self, instance: &Instance) -> EdgeCounts {
        self.until(instance, |counts| counts.in_progress.is_idle()).await
    }
}

/// An HTTP listener `web` with shares.
pub fn http(splits: &[(u32, &[&Instance])]) -> Listener {
    listener("web", Protocol::Http, splits)
}

/// With a queue for so many, and so many milliseconds.
pub fn queued(mut listener: Listener, max: u32, time: u64) -> Listener {
    listener.policy.queue = Queue { max, time: Span(time) };
    listener
}

pub fn listener(name: &str, protocol: Protocol, splits: &[(u32, &[&Instance])]) -> Listener {
    let backend =
        |instance: &&Instance| Backend::new(instance.id.clone(), ReleaseNo(1), instance.address.to_string());
    let split = |(weight, instances): &(u32, &[&Instance])| Split {
        weight: *weight,
        backends: instances.iter().map(backend).collect(),
    };
    Listener {
        name: name.into(),
        address: "127.0.0.1:0".into(),
        protocol,
        stack: "stack".into(),
        service: Some("web".into()),
        splits: splits.iter().map(split).collect(),
        policy: Default::default(),
        entrance: Default::default(),
        rules: vec![],
    }
}

/// An instance: the test accepts its connections.
pub struct Instance {
    pub id: InstanceId,
    pub address: SocketAddr,
    listener: Option<TcpListener>,
}

impl Instance {
    pub async fn new(id: &str) -> Instance {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Instance { id: id.into(), address: listener.local_addr().unwrap(), listener: Some(listener) }
    }

    pub async fn accept(&self) -> Peer {
        let listener = self.listener.as_ref().expect("it listens");
        let (stream, _) = soon("a connection to an instance", listener.accept()).await.unwrap();
        Peer::new(stream)
    }

    /// Refuses connections from now on.
    pub fn close(&mut self) {
        self.listener = None;
    }

    /// Listens again.
    pub async fn open(&mut self) {
        self.listener = Some(TcpListener::bind(self.address).await.unwrap());
    }

    /// Its listener, to accept on in another way.
    pub fn listener(&mut self) -> TcpListener {
        self.listener.take().expect("it listens")
    }

    /// Answers every request with its own id, for as long as the test's runtime lives.
    pub fn answer_all(&mut self) {
        let listener = self.listener();
        let id = self.id.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let id = id.clone();
                tokio::spawn(async move {
                    let mut peer = Peer::new(stream);
                    while let Some(head) = peer.try_head().await {
                        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
                        peer.bytes(length.map_or(0, |l| l.parse().unwrap())).await;
                        peer.say(&ok(id.as_str())).await;
                    }
                });
            }
        });
    }
}

/// Accepts at whichever of the two was chosen: which, and its connection.
pub async fn either(one: &Instance, two: &Instance) -> (usize, Peer) {
    tokio::select! {
        peer = one.accept() => (0, peer),
        peer = two.accept() => (1, peer),
    }
}

/// A whole answer.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A request without a body.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// One end of a connection.
pub struct Peer {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Peer {
        Peer { stream, read: Vec::new() }
    }

    pub async fn connect(to: SocketAddr) -> Peer {
        let peer = Peer::new(TcpStream::connect(to).await.unwrap());
        peer.stream.set_nodelay(true).unwrap();
        peer
    }

    pub async fn say(&mut self, text: &str) {
        soon("room to write", self.stream.write_all(text.as_bytes())).await.unwrap();
    }

    /// Says no more.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Breaks the connection.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// The next message's head, without its last empty line.
    pub async fn head(&mut self) -> String {
        soon("a head", self.try_head()).await.expect("a head, not the end")
    }

    pub async fn try_head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = self.read.drain(..end + 4).collect::<Vec<_>>();
                return Some(String::from_utf8_lossy(&head[..end + 2]).into_owned());
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line += &self.text(1).await;
        }
        line.truncate(line.len() - 2);
        line
    }

    /// The same connection once more, to write on while this one reads.
    pub fn second(&self) -> TcpStream {
        use std::os::fd::AsFd;
        let second = self.stream.as_fd().try_clone_to_owned().unwrap();
        TcpStream::from_std(std::net::TcpStream::from(second)).unwrap()
    }

    pub async fn bytes(&mut self, n: usize) -> Vec<u8> {
        while self.read.len() < n {
            let read = soon("bytes", self.stream.read_buf(&mut self.read)).await.unwrap();
            assert!(read > 0, "the end after {:?}", String::from_utf8_lossy(&self.read));
        }
        self.read.drain(..n).collect()
    }

    pub async fn text(&mut self, n: usize) -> String {
        String::from_utf8(self.bytes(n).await).unwrap()
    }

    /// Expects exactly these bytes next.
    pub async fn hears(&mut self, text: &str) {
        assert_eq!(self.text(text.len()).await, text);
    }

    /// All up to the end, and whether that was said in order.
    pub async fn rest(&mut self) -> (String, std::io::Result<()>) {
        let end = soon("the end", self.stream.read_to_end(&mut self.read)).await;
        (String::from_utf8(std::mem::take(&mut self.read)).unwrap(), end.map(drop))
    }

    /// Expects the end in order, with nothing before it.
    pub async fn ends(&mut self) {
        let (rest, end) = self.rest().await;
        assert_eq!(rest, "");
        end.unwrap();
    }

    /// Says a request and hears the whole answer: status line and body.
    pub async fn ask(&mut self, request: &str) -> (String, String) {
        self.say(request).await;
        self.answer().await
    }

    /// Hears a whole answer with a `Content-Length`.
    pub async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
        let body = self.text(length.expect("a length").parse().unwrap()).await;
        (head.lines().next().unwrap().into(), body)
    }
}
