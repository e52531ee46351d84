//! Whole conversations cut at any byte: pipelined requests with all kinds of bodies, answers with all kinds
//! of bodies, each in pieces of any size, on one client connection.

use crate::lab::{Instance, Lab, Peer, soon};
use crate::numbers::Numbers;
use tokio::io::{AsyncWrite, AsyncWriteExt};

impl Numbers {
    /// Mostly small, sometimes more than a buffer holds.
    fn size(&mut self) -> usize {
        let bound = [1, 20, 3000, 200_000][self.below(4)];
        self.below(bound)
    }

    fn text(&mut self) -> String {
        let (length, first) = (self.size(), self.below(26));
        (0..length).map(|i| char::from(b'a' + ((first + i) % 26) as u8)).collect()
    }

    /// A body in one of its forms, with the fields that say so.
    fn framed(&mut self, text: &str) -> (String, String) {
        if self.below(2) == 0 {
            return (format!("Content-Length: {}\r\n", text.len()), text.into());
        }
        let mut chunks = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(1 + self.below(rest.len()));
            chunks += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
            rest = after;
        }
        ("Transfer-Encoding: chunked\r\n".into(), format!("{chunks}0\r\n\r\n"))
    }
}

/// Writes in pieces, and lets others run in between.
async fn write(to: &mut (impl AsyncWrite + Unpin), text: &str, numbers: &mut Numbers) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let bound = [3, 50, 5000, 100_000][numbers.below(4)];
        let (piece, after) = rest.split_at((1 + numbers.below(bound)).min(rest.len()));
        soon("room", to.write_all(piece)).await.unwrap();
        rest = after;
        tokio::task::yield_now().await;
    }
}

/// Reads a body as its head says.
async fn body(peer: &mut Peer, head: &str) -> String {
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")) {
        return peer.text(length.parse().unwrap()).await;
    }
    let mut text = String::new();
    if head.contains("Transfer-Encoding: chunked") {
        loop {
            let size = usize::from_str_radix(&peer.line().await, 16).unwrap();
            text += &peer.text(size).await;
            peer.hears("\r\n").await;
            if size == 0 {
                break;
            }
        }
    }
    text
}

/// Answers each request with what it was asked, and a text of its own that follows from the path.
async fn answer(mut server: Peer, mut numbers: Numbers) {
    while let Some(head) = server.try_head().await {
        let asked = body(&mut server, &head).await;
        let seed: u64 = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        let (fields, body) = numbers.framed(&(asked + &Numbers(seed).text()));
        let message = format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}");
        write(&mut server.stream, &message, &mut numbers).await;
    }
}

#[tokio::test]
async fn a_conversation_is_the_same_however_it_is_cut() {
    for seed in 1..=5 {
        let mut instance = Instance::new("s.web.1.1").await;
        let mut lab = Lab::new();
        lab.serve(&[&instance]).await;
        let listener = instance.listener();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(Peer::new(stream), Numbers(seed * 7919)));
            }
        });
        let mut numbers = Numbers(seed * 104_729);
        let mut said = String::new();
        let mut expected = Vec::new();
        for _ in 0..20 {
            let (own, seed) = (numbers.text(), 1 + numbers.below(1_000_000) as u64);
            let (fields, body) = numbers.framed(&own);
            let get = own.is_empty() && numbers.below(2) == 0;
            let (method, fields, body) =
                if get { ("GET", "".into(), "".into()) } else { ("POST", fields, body) };
            said += &format!("{method} /{seed} HTTP/1.1\r\nHost: t\r\n{fields}\r\n{body}");
            expected.push(own + &Numbers(seed).text());
        }
        let mut client = lab.client().await;
        let mut to_edge = client.second();
        let writer = tokio::spawn(async move { write(&mut to_edge, &said, &mut numbers).await });
        for (n, expected) in expected.iter().enumerate() {
            let head = client.head().await;
            let heard = body(&mut client, &head).await;
            assert!(heard == *expected, "seed {seed}, answer {n}: {} bytes", heard.len());
        }
        writer.await.unwrap();
        assert_eq!(lab.idle(&instance).await.counts.requests, 20, "seed {seed}");
    }
}
