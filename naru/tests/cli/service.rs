//! The service that the sessions deploy: it answers over HTTP, writes lines, and can fail in the ways that a
//! session needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

/// `service [--say TEXT] [--fail TEXT] [--sick TEXT]`: answers each request with TEXT, ends at once after
/// writing TEXT, or answers its health check with 503 and TEXT.
pub fn main(args: &[String]) -> ExitCode {
    let value = |name: &str| Some(args[args.iter().position(|arg| arg == name)? + 1].clone());
    if let Some(text) = value("--fail") {
        eprintln!("{text}");
        return ExitCode::FAILURE;
    }
    let (say, sick) = (value("--say").unwrap_or_else(|| "hello".into()), value("--sick"));
    let port = std::env::var("PORT").expect("Naru gives each instance its port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("{say}: listening");
    for stream in listener.incoming().flatten() {
        let (say, sick) = (say.clone(), sick.clone());
        std::thread::spawn(move || answer(&stream, &say, sick.as_deref()));
    }
    ExitCode::SUCCESS
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
