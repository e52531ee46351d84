//! The service that the sessions deploy: it answers over HTTP, writes lines, and can fail in the ways that a
//! session needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};

/// `service [--say TEXT] [--fail TEXT] [--sick TEXT] [--job NAME]`: answers each request with TEXT, ends at once
/// after writing TEXT, answers its health check with 503 and TEXT, or holds a lease called NAME until the file
/// `done` lies in its folder.
pub fn main(args: &[String]) -> ExitCode {
    let value = |name: &str| Some(args[args.iter().position(|arg| arg == name)? + 1].clone());
    if let Some(text) = value("--fail") {
        eprintln!("{text}");
        return ExitCode::FAILURE;
    }
    let (say, sick) = (value("--say").unwrap_or_else(|| "hello".into()), value("--sick"));
    let port = std::env::var("PORT").expect("Naru gives each instance its port");
    if let Some(name) = value("--job").filter(|name| !name.is_empty()) {
        hold_job(&name);
    }
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("{say}: listening");
    for stream in listener.incoming().flatten() {
        let (say, sick) = (say.clone(), sick.clone());
        std::thread::spawn(move || answer(&stream, &say, sick.as_deref()));
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
