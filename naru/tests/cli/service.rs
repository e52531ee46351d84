//! The service that the sessions deploy: it answers over HTTP, writes lines, and can fail in the ways that a
//! session needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// `service [--say TEXT] [--fail TEXT] [--sick TEXT] [--job NAME]`: answers each request with TEXT, ends at once
/// after writing TEXT, answers its health check with 503 and TEXT, or holds a lease called NAME until the file
/// `done` lies in its folder. With `--datagrams`, it answers each datagram with TEXT and what it said instead.
///
/// `service --ask URL WORD` is a client of that: it says WORD from one address, twice, and shows the answers.
pub fn main(args: &[String]) -> ExitCode {
    let value = |name: &str| Some(args[args.iter().position(|arg| arg == name)? + 1].clone());
    if let Some(text) = value("--fail") {
        eprintln!("{text}");
        return ExitCode::FAILURE;
    }
    if let Some(url) = value("--ask") {
        return ask(&url, args.last().expect("a word comes last"));
    }
    let (say, sick) = (value("--say").unwrap_or_else(|| "hello".into()), value("--sick"));
    let port = std::env::var("PORT").expect("Naru gives each instance its port");
    if let Some(name) = value("--job").filter(|name| !name.is_empty()) {
        hold_job(&name);
    }
    if args.iter().any(|arg| arg == "--datagrams") {
        return datagrams(&say, &port);
    }
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("{say}: listening");
    for stream in listener.incoming().flatten() {
        let (say, sick) = (say.clone(), sick.clone());
        std::thread::spawn(move || answer(&stream, &say, sick.as_deref()));
    }
    ExitCode::SUCCESS
}

fn datagrams(say: &str, port: &str) -> ExitCode {
    let socket = UdpSocket::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("{say}: listening");
    let mut buffer = [0; 1500];
    loop {
        let Ok((n, client)) = socket.recv_from(&mut buffer) else { continue };
        let text = format!("{say}: {}", String::from_utf8_lossy(&buffer[..n]));
        socket.send_to(text.as_bytes(), client).expect("loopback takes it");
    }
}

/// As clients of UDP do, it says again what is not answered.
fn ask(url: &str, word: &str) -> ExitCode {
    let port = url.rsplit(":").next().expect("it is an address of UDP");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a port");
    // Only what comes from the address that was asked is heard.
    socket.connect(format!("127.0.0.1:{port}")).expect("it is an address");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("it is a time");
    let mut buffer = [0; 1500];
    for _ in 0..2 {
        let answer = (0..20).find_map(|_| {
            // One that was refused shows at the next, which is as good as silence.
            let sent = socket.send(word.as_bytes());
            sent.and_then(|_| socket.recv(&mut buffer)).ok()
        });
        let Some(n) = answer else {
            eprintln!("nobody answers at {url}");
            return ExitCode::FAILURE;
        };
        println!("{}", String::from_utf8_lossy(&buffer[..n]));
    }
    ExitCode::SUCCESS
}

/// Returns when the lease is taken, so that an instance that is ready has its job.
fn hold_job(name: &str) {
    let wait = "echo begun; until [ -e done ]; do sleep 0.05; done";
    let mut job = Command::new("naru");
    job.args(["work", "run", "--name", name, "--", "sh", "-c", wait]).stdout(Stdio::piped());
    let mut child = job.spawn().expect("naru is in the PATH of the session");
    let mut begun = String::new();
    let stdout = child.stdout.take().expect("it was asked for");
    BufReader::new(stdout).read_line(&mut begun).expect("the job can be heard");
    assert_eq!(begun, "begun\n");
    std::thread::spawn(move || child.wait());
}

/// Requests without a body, one after the other, until the other end closes.
fn answer(stream: &TcpStream, say: &str, sick: Option<&str>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            line.clear();
        }
        let (status, text) = match sick.filter(|_| first.contains(" /health")) {
            Some(sick) => ("503 Service Unavailable", sick),
            None => ("200 OK", say),
        };
        let length = text.len() + 1;
        write!(&mut &*stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{text}\n").ok()?;
    }
}
