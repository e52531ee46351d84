//! What a service's file says of those who come in at its published port: who they are, by the PROXY protocol, and how
//! much each may ask.

use crate::command;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// The status of the answer to a request that begins with these words.
fn ask(address: &str, before: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{before}GET /read HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).unwrap_or("none").into())
}

fn play(folder: &Path) -> Result<(), String> {
    command(folder, &["up"])?;
    let table = command(folder, &["routes", "--json"])?;
    let table: Value = serde_json::from_str(&table).map_err(|error| error.to_string())?;
    let address = |of: &str| {
        let mut listeners = table["listeners"].as_array().into_iter().flatten();
        let own = listeners.find(|one| one["name"].as_str().is_some_and(|name| name.contains(of)));
        own.and_then(|one| one["address"].as_str()).map(String::from).ok_or(format!("no {of}"))
    };
    let (published, internal) = (address("@127.0.0.1")?, address("@internal")?);
    let from = |source: &str| {
        let said = format!("PROXY TCP4 {source} 192.0.2.200 4711 80\r\n");
        ask(&published, &said).map_err(|error| error.to_string())
    };
    for source in ["192.0.2.1", "192.0.2.2"] {
        let answers = (0..12).map(|_| from(source)).collect::<Result<Vec<_>, _>>()?;
        let of = |status: &str| answers.iter().filter(|one| *one == status).count();
        // Each worker of the edge has its part of a rate.
        let (passed, refused) = (of("200"), of("429"));
        assert!(
            (1..=4).contains(&passed) && passed + refused == 12,
            "{source} has a rate of its own: {answers:?}"
        );
    }
    let silent = ask(&published, "");
    assert!(!silent.is_ok_and(|status| status == "200"), "a proxy that is believed says who it comes from");
    for _ in 0..5 {
        assert_eq!(
            ask(&internal, "").map_err(|error| error.to_string())?,
            "200",
            "from within it is as ever"
        );
    }
    let metrics = command(folder, &["metrics"])?;
    assert!(metrics.contains("rule=\"published\"") && metrics.contains("status=\"429\""), "{metrics}");
    Ok(())
}

#[test]
fn a_published_port_knows_its_clients_and_their_rates() {
    let _turn = crate::TURN.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let exe = crate::naru().display();
    let file = format!(
        "name: out\nservices:\n  web:\n    image: x\n    \
         ports: [{{ target: 80, host_ip: 127.0.0.1, app_protocol: http }}]\n    x-naru:\n      \
         process: {{ command: [\"{exe}\", demo-tier, \"1\"] }}\n      health: {{ http: /healthz }}\n      published:\n        \
         trusted: [127.0.0.0/8]\n        accept_proxy: true\n        \
         rate_limit: {{ requests: 4, per: 1h, by: source }}\n"
    );
    std::fs::write(folder.path().join("compose.yaml"), file).unwrap();
    let played = std::panic::catch_unwind(|| play(folder.path()));
    let ended = command(folder.path(), &["down"]).and_then(|_| command(folder.path(), &["shutdown"]));
    match played {
        Ok(played) => played.unwrap(),
        Err(failed) => std::panic::resume_unwind(failed),
    }
    ended.unwrap();
}
