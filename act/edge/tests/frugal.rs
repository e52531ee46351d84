//! In steady state, a request costs no allocation.

use naru_edge::{Config, Edge};
use naru_model::{Backend, Generation, Listener, Protocol, ReleaseNo, RouteTable, Split, Time};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
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
    let backend =
        Backend { instance: "s.web.1.1".into(), release: ReleaseNo(1), address: instance.to_string() };
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

#[test]
fn a_request_allocates_nothing_once_warm() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let instance = listener.local_addr().unwrap();
    std::thread::spawn(move || answer(listener));
    let edge = Edge::start(Config::new("node".into(), "edge".into(), Time(0), 1)).unwrap();
    edge.apply(table(instance)).unwrap();
    while edge.acked() != Generation(1) {
        std::thread::yield_now();
    }
    let mut client = TcpStream::connect(edge.addresses()["127.0.0.1:0 web"]).unwrap();
    client.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    (0..100).for_each(|_| ask(&mut client, &mut buffer));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    const REQUESTS: u64 = 2_000;
    (0..REQUESTS).for_each(|_| ask(&mut client, &mut buffer));
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    // The sweep of idle connections may fall into it.
    assert!(allocations < REQUESTS / 100, "{allocations} allocations for {REQUESTS} requests");
}
