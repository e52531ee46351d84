//! Clients stay on the release that they began with, by cookie or by header, as the next ones come.

use crate::command;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// What the commands wrote is in the message where one fails.
/// Deploys a version of the service, in this way.
fn deploy(folder: &Path, version: u32, rollout: &str, replicas: u32) -> Result<(), String> {
    let exe = crate::naru().display();
    let file = format!(
        "name: stays\nservices:\n  web:\n    image: x\n    \
         ports: [{{ target: 80, host_ip: 127.0.0.1, app_protocol: http }}]\n    \
         deploy: {{ replicas: {replicas}, update_config: {{ monitor: 0s }} }}\n    x-naru:\n      \
         process: {{ command: [\"{exe}\", demo-tier, \"{version}\"] }}\n      health: {{ http: /healthz }}\n      \
         rollout: {{ strategy: {rollout} }}\n      \
         traffic: {{ sticky: {{ to: version, cookie: v, header: X-Version, keep: 30m }} }}\n"
    );
    std::fs::write(folder.join("compose.yaml"), file).map_err(|error| error.to_string())?;
    command(folder, &["up"]).map(drop)
}

/// A client: what it sends to say where it began, and what it is told.
struct Client {
    address: String,
    says: String,
}

impl Client {
    fn new(folder: &Path) -> Result<Client, String> {
        let table = command(folder, &["routes", "--json"])?;
        let table: serde_json::Value = serde_json::from_str(&table).map_err(|error| error.to_string())?;
        let listeners = table["listeners"].as_array().into_iter().flatten();
        let mut published = listeners.filter(|one| !one["name"].to_string().contains("@internal"));
        let address = published.next().and_then(|one| one["address"].as_str()).ok_or("no address")?;
        Ok(Client { address: address.into(), says: String::new() })
    }

    /// The version of the service that answers, as the service itself says.
    fn version(&mut self, keep: impl Fn(&str) -> Option<String>) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let says = &self.says;
        write!(stream, "GET /read HTTP/1.1\r\nHost: t\r\n{says}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        if let Some(told) = head.lines().find_map(keep) {
            self.says = told;
        }
        body.into()
    }

    fn by_cookie(&mut self) -> String {
        self.version(|line| {
            let value = line.to_ascii_lowercase().strip_prefix("set-cookie: ").map(str::to_owned)?;
            Some(format!("Cookie: {}\r\n", value.split(';').next()?))
        })
    }

    fn by_header(&mut self) -> String {
        self.version(|line| {
            line.to_ascii_lowercase().starts_with("x-version: ").then(|| format!("{line}\r\n"))
        })
    }
}

fn play(folder: &Path) -> Result<(), String> {
    deploy(folder, 1, "blue-green", 2)?;
    let (mut first, mut by_header) = (Client::new(folder)?, Client::new(folder)?);
    assert_eq!((first.by_cookie(), by_header.by_header()), ("1".into(), "1".into()));
    // Of the same contents: who began on the first is well with the third too.
    deploy(folder, 1, "blue-green", 3)?;
    deploy(folder, 2, "blue-green", 1)?;
    let mut second = Client::new(folder)?;
    for _ in 0..20 {
        assert_eq!((first.by_cookie(), by_header.by_header()), ("1".into(), "1".into()));
        assert_eq!(second.by_cookie(), "2");
        assert_eq!(Client::new(folder)?.by_cookie(), "2", "who comes anew");
    }
    deploy(folder, 3, "rolling", 2)?;
    // A server that was started anew goes on with it, and so does a new edge.
    command(folder, &["upgrade"])?;
    let retiring = command(folder, &["ps"])?;
    assert_eq!(retiring.matches("goes on for clients that began there").count(), 3 + 1, "{retiring}");
    for _ in 0..20 {
        assert_eq!((first.by_cookie(), by_header.by_header()), ("1".into(), "1".into()));
        assert_eq!((second.by_cookie(), Client::new(folder)?.by_cookie()), ("2".into(), "3".into()));
    }
    // Nobody stays on what people went back from, and what they went back to is started anew.
    command(folder, &["rollback"])?;
    assert_eq!((second.by_cookie(), first.by_cookie()), ("2".into(), "1".into()));
    assert_eq!(Client::new(folder)?.by_cookie(), "2");
    Ok(())
}

#[test]
fn clients_stay_on_the_release_that_they_began_with() {
    let _turn = crate::TURN.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let played = std::panic::catch_unwind(|| play(folder.path()));
    // What is kept for clients is in nobody's way here.
    let ended = command(folder.path(), &["down"]).and_then(|_| command(folder.path(), &["shutdown"]));
    match played {
        Ok(played) => played.unwrap(),
        Err(failed) => std::panic::resume_unwind(failed),
    }
    ended.unwrap();
}
