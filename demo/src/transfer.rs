//! Large bodies that are under way for a while, over connections of their own: written and read by hand, so
//! that each byte that is missing shows.

use crate::books::Failure;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A body goes in so many pieces.
pub const PIECES: u64 = 32;

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the service.
    Up,
    /// From the service.
    Down,
}

/// Moves `bytes` in about `time`, and says which instance had the other end.
pub async fn transfer(authority: &str, way: Way, bytes: u64, time: Duration) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(authority).await.map_err(Failure::unreached)?;
    let ms = time.as_millis();
    let head = match way {
        Way::Up => format!("POST /upload HTTP/1.1\r\nhost: {authority}\r\ncontent-length: {bytes}\r\n\r\n"),
        Way::Down => format!("GET /download?bytes={bytes}&ms={ms} HTTP/1.1\r\nhost: {authority}\r\n\r\n"),
    };
    stream.write_all(head.as_bytes()).await.map_err(Failure::broken_off)?;
    if way == Way::Up {
        send(&mut stream, bytes, time).await.map_err(Failure::broken_off)?;
    }
    let answer = receive(&mut stream).await.map_err(Failure::broken_off)?;
    let due = if way == Way::Up { bytes.to_string().len() as u64 } else { bytes };
    if answer.status != "200" || answer.bytes != due || way == Way::Up && answer.text != bytes.to_string() {
        let Answer { status, bytes, .. } = answer;
        return Err(Failure::answered(format!("{way:?}: {status}, {bytes} of {due} bytes")));
    }
    Ok(answer.instance)
}

async fn send(stream: &mut TcpStream, bytes: u64, time: Duration) -> io::Result<()> {
    let piece = vec![b'u'; bytes.div_ceil(PIECES) as usize];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(piece.len() as u64);
        stream.write_all(&piece[..now as usize]).await?;
        left -= now;
        tokio::time::sleep(time / PIECES as u32).await;
    }
    Ok(())
}

/// An answer, of which only the first bytes are kept.
struct Answer {
    status: String,
    instance: String,
    bytes: u64,
    text: String,
}

async fn receive(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if head.len() > 16 << 10 {
            return Err(io::Error::other("the head of the answer has no end"));
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_string()).unwrap_or_default()
    };
    let due: u64 = field("content-length:").parse().unwrap_or(0);
    let (mut bytes, mut text) = (0, String::new());
    let mut room = vec![0; 64 << 10];
    while bytes < due {
        let most = (due - bytes).min(room.len() as u64) as usize;
        let read = stream.read(&mut room[..most]).await?;
        if read == 0 {
            return Err(io::Error::other(format!("it ended after {bytes} of {due} bytes")));
        }
        bytes += read as u64;
        if text.len() < 64 {
            text += &String::from_utf8_lossy(&room[..read.min(64)]);
        }
    }
    let status = head.split(' ').nth(1).unwrap_or_default().to_string();
    Ok(Answer { status, instance: field("x-instance:"), bytes, text })
}
