//! Flows of UDP through everything that happens to an edge: successors that die, a successor that serves, and the kill of
//! the one that serves. A flow's datagrams go to the instance that had its first one, throughout.

use crate::handover::{Stage, die};
use crate::{TURN, command};
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

/// Clients, each a flow of its own.
const FLOWS: usize = 40;
/// A datagram may be lost, by the system too: it is sent again after this time.
const AGAIN: Duration = Duration::from_millis(200);
/// A flow that gets no answer for so long is broken.
const BROKEN: Duration = Duration::from_secs(20);

/// Answers each datagram with the number of its process.
const ECHO: &str = "import os, socket\n\
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
    s.bind(('127.0.0.1', int(os.environ['PORT'])))\n\
    while True:\n  data, who = s.recvfrom(2048)\n  s.sendto(str(os.getpid()).encode() + b' ' + data, who)\n";

struct Flow {
    socket: UdpSocket,
    instance: String,
    asked: u32,
}

impl Flow {
    fn begin(address: &str) -> std::io::Result<Flow> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(AGAIN))?;
        let mut flow = Flow { socket, instance: String::new(), asked: 0 };
        flow.instance = flow.ask()?;
        Ok(flow)
    }

    /// The instance that answers.
    fn ask(&mut self) -> std::io::Result<String> {
        self.asked += 1;
        let (word, give_up) = (format!("q{}", self.asked), Instant::now() + BROKEN);
        let mut answer = [0; 64];
        loop {
            // While no edge listens the system refuses, and that is told by the next call.
            let _ = self.socket.send(word.as_bytes());
            match self.socket.recv(&mut answer) {
                Ok(n) => {
                    let text = String::from_utf8_lossy(&answer[..n]).into_owned();
                    // An answer to one that was sent twice may still come.
                    if let Some((who, _)) = text.split_once(' ').filter(|(_, what)| *what == word) {
                        return Ok(who.into());
                    }
                }
                Err(error) if Instant::now() > give_up => return Err(error),
                Err(_) => {}
            }
        }
    }
}

fn all_as_before(flows: &mut [Flow], after: &str) {
    for (n, flow) in flows.iter_mut().enumerate() {
        let now = flow.ask().unwrap_or_else(|error| panic!("flow {n} after {after}: {error}"));
        assert_eq!(now, flow.instance, "flow {n} after {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_stay_with_their_instances_whatever_happens_to_edges() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let played = play(folder.path()).await;
    let ended = command(folder.path(), &["down"]).and_then(|_| command(folder.path(), &["shutdown"]));
    played.unwrap();
    ended.unwrap();
}

async fn play(folder: &Path) -> Result<(), String> {
    std::fs::write(folder.join("echo.py"), ECHO).map_err(|error| error.to_string())?;
    let file = "name: flows\nservices:\n  echo:\n    image: x\n    \
         ports: [{ target: 53, host_ip: 127.0.0.1, protocol: udp }]\n    deploy: { replicas: 3 }\n    \
         x-naru: { process: { command: [python3, echo.py] } }\n";
    std::fs::write(folder.join("compose.yaml"), file).map_err(|error| error.to_string())?;
    command(folder, &["up"])?;
    let table = command(folder, &["routes", "--json"])?;
    let table: serde_json::Value = serde_json::from_str(&table).map_err(|error| error.to_string())?;
    let listeners = table["listeners"].as_array().into_iter().flatten();
    let mut published = listeners.filter(|one| !one["name"].to_string().contains("@internal"));
    let address = published.next().and_then(|one| one["address"].as_str()).ok_or("no address")?;
    let flows: std::io::Result<Vec<Flow>> = (0..FLOWS).map(|_| Flow::begin(address)).collect();
    let mut flows = flows.map_err(|error| error.to_string())?;
    let mut instances: Vec<_> = flows.iter().map(|flow| flow.instance.clone()).collect();
    instances.sort();
    instances.dedup();
    assert_eq!(instances.len(), 3, "40 flows meet every instance");
    let home = folder.join("home");
    for stage in [Stage::Called, Stage::Offered, Stage::Prepared].repeat(2) {
        die(&home, stage).await.map_err(|error| error.to_string())?;
        all_as_before(&mut flows, "the death of a successor");
    }
    command(folder, &["upgrade", "--edge"])?;
    all_as_before(&mut flows, "a successor that serves");
    naru_bench::roles::replace(&home, &["edge"]).await.map_err(|error| error.to_string())?;
    all_as_before(&mut flows, "the kill of the edge");
    Ok(())
}
