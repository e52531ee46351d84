//! Load from outside: keep-alive connections that never rest, websockets, and jobs begun all the time.

use crate::books::{Books, Failure};
use crate::call::{Connection, split};
use crate::talk::{Line, Talk};
use crate::transfer::{Way, transfer};
use axum::extract::{Query, State};
use axum::routing::post;
use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use naru_model::Time;
use serde::Deserialize;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How much load; by default none.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// The published address: `http://HOST:PORT`.
    pub url: String,
    /// Connections that send one request after another.
    pub connections: usize,
    /// How long each request takes at the engine, in ms; the client takes them in turn.
    pub request_ms: Vec<u64>,
    /// Between an answer and the next request on a connection.
    pub pause: Duration,
    /// Clients that open a connection for each request.
    pub fresh: usize,
    /// Uploads and downloads under way at any time, in turn, each over a connection of its own.
    pub transfers: usize,
    /// How large each is.
    pub transfer_bytes: u64,
    /// How long each takes, in ms, in turn.
    pub transfer_ms: Vec<u64>,
    /// Websockets open at any time.
    pub websockets: usize,
    /// How long each lives, in ms, in turn.
    pub websocket_ms: Vec<u64>,
    /// Where gRPC is spoken: `HOST:PORT`.
    pub talk: String,
    /// gRPC streams open at any time.
    pub talks: usize,
    /// How long each lives, in ms, in turn.
    pub talk_ms: Vec<u64>,
    /// Between the beginning of one job and the next; `None`: no jobs.
    pub job_every: Option<Duration>,
    /// How long each takes, in ms, in turn.
    pub job_ms: Vec<u64>,
}

/// A client at work.
pub struct Client {
    books: Arc<Mutex<Books>>,
    stop: watch::Sender<Stage>,
    tasks: JoinSet<()>,
    listening: tokio::task::JoinHandle<()>,
}

/// Whether new work is begun.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Going,
    Ending,
}

/// What each of the client's tasks holds.
#[derive(Clone)]
struct Hand {
    load: Arc<Load>,
    books: Arc<Mutex<Books>>,
    stop: watch::Receiver<Stage>,
}

impl Hand {
    fn is_going(&self) -> bool {
        *self.stop.borrow() == Stage::Going
    }

    fn note<T>(&self, write: impl FnOnce(&mut Books) -> T) -> T {
        write(&mut self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = self.stop.wait_for(|stage| *stage == Stage::Ending) => {}
        }
    }
}

impl Client {
    /// Begins to put load on the service.
    pub async fn start(load: Load) -> io::Result<Client> {
        let (stop, stopped) = watch::channel(Stage::Going);
        let books = Arc::new(Mutex::new(Books::default()));
        let (report, listening) = listen(books.clone()).await?;
        let load = Arc::new(load);
        let hand = Hand { load: load.clone(), books: books.clone(), stop: stopped };
        let mut tasks = JoinSet::new();
        for n in 0..load.connections {
            tasks.spawn(requests(hand.clone(), n, Keeping::Kept));
        }
        for n in 0..load.fresh {
            tasks.spawn(requests(hand.clone(), n, Keeping::Fresh));
        }
        for n in 0..load.transfers {
            tasks.spawn(transfers(hand.clone(), n));
        }
        for n in 0..load.websockets {
            tasks.spawn(websockets(hand.clone(), n));
        }
        for n in 0..load.talks {
            tasks.spawn(talks(hand.clone(), n));
        }
        if let Some(every) = load.job_every {
            tasks.spawn(jobs(hand, every, report));
        }
        Ok(Client { books, stop, tasks, listening })
    }

    /// The books as they are now.
    pub fn books(&self) -> Books {
        self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Counts the jobs of a process that the caller knows to be gone as lost, unless they have reported
    /// their end. Those that its last answers began count too: call it once these answers are in.
    pub fn write_off(&self, process: u32) {
        let mut books = self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let begun = books.processes.iter().filter(|(_, by)| **by == process).map(|(job, _)| job.clone());
        let gone: Vec<String> = begun.filter(|job| !books.done.contains_key(job)).collect();
        books.written_off.extend(gone);
    }

    /// Begins nothing new, waits for what is in progress, jobs included, for at most `patience`, and closes
    /// the books.
    pub async fn finish(mut self, patience: Duration) -> Books {
        self.stop.send_replace(Stage::Ending);
        while self.tasks.join_next().await.is_some() {}
        let give_up = tokio::time::Instant::now() + patience;
        while !self.books().missing().is_empty() && tokio::time::Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.listening.abort();
        self.books()
    }
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, PartialEq)]
enum Keeping {
    Kept,
    Fresh,
}

async fn transfers(mut hand: Hand, n: usize) {
    let (turns, bytes) = (hand.load.transfer_ms.clone(), hand.load.transfer_bytes);
    let authority = split(&hand.load.url).map(|(at, _)| at).unwrap_or_default();
    for turn in n.. {
        if !hand.is_going() {
            return;
        }
        let way = if turn.is_multiple_of(2) { Way::Up } else { Way::Down };
        let time = Duration::from_millis(turns[turn % turns.len()]);
        match transfer(&authority, way, bytes, time).await {
            Ok(instance) => hand.note(|books| {
                books.transfers += 1;
                books.requests.entry(instance).or_default().push(now());
            }),
            Err(error) => {
                hand.note(|books| books.fail(error));
                hand.pause(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn requests(mut hand: Hand, n: usize, keeping: Keeping) {
    let mut connection = None;
    let (turns, authority) = (hand.load.request_ms.clone(), split(&hand.load.url).map(|(at, _)| at));
    let authority = authority.unwrap_or_default();
    for turn in n.. {
        if !hand.is_going() {
            return;
        }
        let ms = turns[turn % turns.len()];
        if let Err(error) = request(&hand, &mut connection, &authority, ms).await {
            connection = None;
            hand.note(|books| books.fail(error));
            // A service that is away is not to be asked a million times.
            hand.pause(Duration::from_millis(20)).await;
        }
        if keeping == Keeping::Fresh {
            connection = None;
        }
        let pause = hand.load.pause;
        if !pause.is_zero() {
            hand.pause(pause).await;
        }
    }
}

async fn request(
    hand: &Hand,
    kept: &mut Option<Connection>,
    authority: &str,
    ms: u64,
) -> Result<(), Failure> {
    if kept.as_ref().is_none_or(Connection::is_closed) {
        *kept = Some(Connection::open(authority).await.map_err(Failure::unreached)?);
    }
    let Some(connection) = kept else { return Ok(()) };
    let answer = connection.send(Method::GET, &format!("/read?ms={ms}"), String::new()).await;
    let answer = answer.map_err(Failure::broken_off)?;
    let header =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(String::from);
    let Some(instance) = header("x-instance").filter(|_| answer.status().is_success()) else {
        let said = String::from_utf8_lossy(answer.body()).into_owned();
        return Err(Failure::answered(format!("{}: {said}", answer.status())));
    };
    let now = now();
    hand.note(|books| {
        books.requests.entry(instance).or_default().push(now);
        if let Some(engine) = header("x-engine").filter(|engine| !engine.is_empty()) {
            books.engine.entry(engine).or_default().push(now);
        }
    });
    Ok(())
}

async fn websockets(mut hand: Hand, n: usize) {
    let turns = hand.load.websocket_ms.clone();
    for turn in n.. {
        if !hand.is_going() {
            return;
        }
        let life = Duration::from_millis(turns[turn % turns.len()]);
        let ended = match open(&hand.load.url).await {
            Ok(socket) => websocket(&mut hand, socket, life).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            hand.note(|books| match error.kind() {
                io::ErrorKind::ConnectionRefused => books.unopened += 1,
                _ => books.cut.push(error.to_string()),
            });
            hand.pause(Duration::from_millis(20)).await;
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(url: &str) -> io::Result<Socket> {
    let url = format!("{}/ws", url.replacen("http://", "ws://", 1));
    match tokio_tungstenite::connect_async(url).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Io(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// One websocket: says something every 100 ms, expects it back, and closes it itself when its time has come.
async fn websocket(hand: &mut Hand, mut socket: Socket, life: Duration) -> io::Result<()> {
    let instance = heard(socket.next().await)?;
    let end = tokio::time::Instant::now() + life;
    let mut n = 0u64;
    while tokio::time::Instant::now() < end && hand.is_going() {
        n += 1;
        socket.send(Message::Text(n.to_string().into())).await.map_err(io::Error::other)?;
        let back = heard(socket.next().await)?;
        if back != n.to_string() {
            return Err(io::Error::other(format!("sent {n}, heard {back}")));
        }
        hand.pause(Duration::from_millis(100)).await;
    }
    socket.close(None).await.map_err(io::Error::other)?;
    // It has ended in order once the other side has agreed to the end.
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(_))) => break,
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => return Err(io::Error::other("closed by the other side, without a word")),
        }
    }
    while let Some(Ok(_)) = socket.next().await {}
    let now = now();
    hand.note(|books| books.streams.entry(instance).or_default().push(now));
    Ok(())
}

fn heard(message: Option<Result<Message, tungstenite::Error>>) -> io::Result<String> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(text.to_string()),
        Some(Ok(other)) => Err(io::Error::other(format!("unexpected: {other:?}"))),
        Some(Err(error)) => Err(io::Error::other(error)),
        None => Err(io::Error::other("closed by the other side")),
    }
}

async fn talks(mut hand: Hand, n: usize) {
    let (turns, authority) = (hand.load.talk_ms.clone(), hand.load.talk.clone());
    let mut line = None;
    for turn in n.. {
        if !hand.is_going() {
            return;
        }
        let life = Duration::from_millis(turns[turn % turns.len()]);
        let ended = match begin_talk(&mut line, &authority).await {
            Ok(talk) => talk_for(&mut hand, talk, life).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            line = None;
            hand.note(|books| match error.kind() {
                io::ErrorKind::ConnectionRefused => books.unopened += 1,
                _ => books.talks_cut.push(error.to_string()),
            });
            hand.pause(Duration::from_millis(20)).await;
        }
    }
}

/// A stream on the connection that is there, or on a new one once that takes no more.
async fn begin_talk(line: &mut Option<Line>, authority: &str) -> io::Result<Talk> {
    if let Some(kept) = line.as_mut().filter(|line| !line.is_closed())
        && let Some(talk) = kept.begin().await?
    {
        return Ok(talk);
    }
    let talk = line.insert(Line::open(authority).await?).begin().await?;
    talk.ok_or_else(|| io::Error::other("a new connection takes no stream"))
}

/// Says something every 100 ms, expects it back, and ends the stream when its time has come.
async fn talk_for(hand: &mut Hand, mut talk: Talk, life: Duration) -> io::Result<()> {
    let end = tokio::time::Instant::now() + life;
    let mut n = 0u64;
    while tokio::time::Instant::now() < end && hand.is_going() {
        n += 1;
        talk.echo(&n.to_string()).await?;
        hand.pause(Duration::from_millis(100)).await;
    }
    let instance = talk.instance.clone();
    talk.end().await?;
    let now = now();
    hand.note(|books| books.talks.entry(instance).or_default().push(now));
    Ok(())
}

async fn jobs(mut hand: Hand, every: Duration, report: String) {
    let turns = hand.load.job_ms.clone();
    for turn in 0.. {
        if !hand.is_going() {
            return;
        }
        let (name, ms) = (format!("job-{turn}"), turns[turn % turns.len()]);
        if let Err(error) = begin(&hand, &name, ms, &report).await {
            hand.note(|books| books.unbegun.push(error.what));
        }
        hand.pause(every).await;
    }
}

async fn begin(hand: &Hand, name: &str, ms: u64, report: &str) -> Result<(), Failure> {
    let (authority, _) = split(&hand.load.url).map_err(Failure::unreached)?;
    let mut connection = Connection::open(&authority).await.map_err(Failure::unreached)?;
    let path = format!("/jobs?name={name}&ms={ms}&report={report}");
    let answer = connection.send(Method::POST, &path, String::new()).await.map_err(Failure::broken_off)?;
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let process = header("x-process").and_then(|id| id.parse().ok()).unwrap_or(0);
    let Some(instance) = header("x-instance").map(String::from).filter(|_| answer.status().is_success())
    else {
        let said = String::from_utf8_lossy(answer.body()).into_owned();
        return Err(Failure::answered(format!("{name}: {}: {said}", answer.status())));
    };
    let now = now();
    hand.note(|books| {
        books.requests.entry(instance.clone()).or_default().push(now);
        books.begun.insert(name.to_string(), instance);
        books.processes.insert(name.to_string(), process);
    });
    Ok(())
}

#[derive(Deserialize)]
struct Report {
    job: String,
}

/// Where jobs report their end.
async fn listen(books: Arc<Mutex<Books>>) -> io::Result<(String, tokio::task::JoinHandle<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/done", listener.local_addr()?);
    let done = |State(books): State<Arc<Mutex<Books>>>, Query(report): Query<Report>| async move {
        books.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).done.insert(report.job, now());
    };
    let router = axum::Router::new().route("/done", post(done)).with_state(books);
    let serving = tokio::spawn(async move {
        // It ends when the client does; an error of the listener shows as jobs that never report.
        let _ = axum::serve(listener, router).await;
    });
    Ok((url, serving))
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(since.as_millis() as u64)
}
