//! In steady state, a request costs no allocation.

use naru_edge::{Config, Edge};
use naru_model::{Backend, Generation, Listener, Protocol, ReleaseNo, RouteTable, Split, Time};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counted.
struct Counted;

// SAFETY: all is passed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

const REQUEST: &[u8] = b"POST /path HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nAccept: */*\r\n\r\nhello";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nworld";

/// Answers on one connection after the other, each request as soon as its body's last byte is there.
fn answer(listener: TcpListener) {
    let mut buffer = [0; 4096];
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut length = 0;
        while let Ok(n @ 1..) = stream.read(&mut buffer[length..]) {
            length += n;
            if buffer[..length].ends_with(b"hello") {
                length = 0;
                stream.write_all(ANSWER).unwrap();
            }
        }
    }
}

fn table(instance: SocketAddr) -> RouteTable {
    let backend = Backend::new("s.web.1.1".into(), ReleaseNo(1), instance.to_string());
    let listener = Listener {
        name: "web".into(),
        address: "127.0.0.1:0".into(),
        protocol: Protocol::Http,
        stack: "s".into(),
        service: Some("web".into()),
        splits: vec![Split { weight: 1, backends: vec![backend] }],
        policy: Default::default(),
        entrance: Default::default(),
        rules: vec![],
    };
    RouteTable { generation: Generation(1), listeners: vec![listener] }
}

fn ask(client: &mut TcpStream, buffer: &mut [u8]) {
    client.write_all(REQUEST).unwrap();
    client.read_exact(&mut buffer[..ANSWER.len()]).unwrap();
    assert_eq!(&buffer[..ANSWER.len()], ANSWER);
}

/// An edge before an instance, and where it listens.
fn edge() -> (Edge, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let instance = listener.local_addr().unwrap();
    std::thread::spawn(move || answer(listener));
    let edge = Edge::start(Config::new("node".into(), "edge".into(), Time(0), 1)).unwrap();
    edge.apply(table(instance)).unwrap();
    while edge.acked() != Generation(1) {
        std::thread::yield_now();
    }
    let address = edge.addresses()["127.0.0.1:0 web"];
    (edge, address)
}

/// How many allocations so many calls cost, once it is warm.
fn allocations(calls: u64, mut call: impl FnMut()) -> u64 {
    (0..100).for_each(|_| call());
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..calls).for_each(|_| call());
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

const REQUESTS: u64 = 2_000;

/// All is counted in one place: one test at a time.
static COUNTING: Mutex<()> = Mutex::new(());

#[test]
fn a_request_allocates_nothing_once_warm() {
    let _one = COUNTING.lock();
    let (_edge, address) = edge();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    let allocations = allocations(REQUESTS, || ask(&mut client, &mut buffer));
    // The sweep of idle connections may fall into it.
    assert!(allocations < REQUESTS / 100, "{allocations} allocations for {REQUESTS} requests");
}

/// `POST`, `http`, `/`, `:authority: test` and `content-length: 5` in a frame, and `hello` in another.
const FRAMES: [&[u8]; 3] = [b"\0\0\x0d\x01\x04", b"\x83\x86\x84\x01\x04test\x0f\x0d\x015", b"\0\0\x05\0\x01"];

/// Asks over HTTP/2, and reads frames up to the end of the stream.
fn ask_http2(client: &mut TcpStream, stream: u32, buffer: &mut [u8; 4096]) {
    let mut length = 0;
    for part in [FRAMES[0], &stream.to_be_bytes(), FRAMES[1], FRAMES[2], &stream.to_be_bytes(), b"hello"] {
        buffer[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    client.write_all(&buffer[..length]).unwrap();
    loop {
        client.read_exact(&mut buffer[..9]).unwrap();
        let length = usize::from(buffer[2]);
        let is_last = buffer[3] == 0 && buffer[4] == 1 && buffer[5..9] == stream.to_be_bytes();
        client.read_exact(&mut buffer[..length]).unwrap();
        if is_last {
            return assert_eq!(&buffer[..length], b"world");
        }
    }
}

#[test]
fn a_request_over_http2_allocates_nothing_once_warm() {
    let _one = COUNTING.lock();
    let (_edge, address) = edge();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let (mut buffer, mut stream) = ([0; 4096], 1);
    let allocations = allocations(REQUESTS, || {
        ask_http2(&mut client, stream, &mut buffer);
        stream += 2;
    });
    assert!(allocations < REQUESTS / 100, "{allocations} allocations for {REQUESTS} requests");
}
