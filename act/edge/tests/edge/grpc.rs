//! gRPC's own Python server and client (Debian's `python3-grpcio`), with the edge between them.

use crate::authority::skip;
use crate::lab::{Instance, Lab, listener};
use crate::tls::{sealed, site};
use naru_model::Protocol;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// What the client prints, whoever answers.
const CALLS: &str = "unary b'hello' 5
large True
status FAILED_PRECONDITION 'not now: \\xe9'
missing UNIMPLEMENTED
server stream 1000
client stream 1000
both ways b'ONE'
both ways b'TWO'
both ways b'THREE'
both ways []
deadline DEADLINE_EXCEEDED
cancelled True
after b'still there'
";

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/grpc").join(name)
}

/// Ends when it is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// `None`: gRPC is not installed.
    fn start() -> Option<Server> {
        let mut command = Command::new("/usr/bin/python3");
        let command = command.arg(script("server.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse();
        if port.is_err() {
            child.wait().unwrap();
        }
        Some(Server { child, port: port.ok()? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not by the end of its input: a thread of it that waits for a client would hold it up, and this test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn calls(target: &str, root: &str) -> String {
    let mut command = tokio::process::Command::new("/usr/bin/python3");
    let command = command.arg(script("client.py")).args([target, root]);
    let output = crate::lab::soon("all calls", command.output()).await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn its_own_client_and_server_see_no_edge_between_them() {
    let Some(server) = Server::start() else {
        return skip("naru-edge grpc", "Debian's package python3-grpcio is not installed");
    };
    assert_eq!(calls(&format!("127.0.0.1:{}", server.port), "-").await, CALLS, "without the edge");
    let mut instance = Instance::new("s.web.1.1").await;
    instance.address.set_port(server.port);
    let folder = tempfile::tempdir().unwrap();
    let shop = site(folder.path(), "shop", "shop.test");
    let root = folder.path().join("shop.crt");
    let mut lab = Lab::new();
    lab.route(vec![listener("web", Protocol::Http2, &[(1, &[&instance])])]).await;
    assert_eq!(calls(&lab.address().to_string(), "-").await, CALLS);
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests_lost, counts.streams_lost, counts.handed_over), (0, 0, 0));
    let mut lab = Lab::new();
    lab.route(vec![sealed(listener("web", Protocol::Http2, &[(1, &[&instance])]), &[&shop])]).await;
    assert_eq!(calls(&lab.address().to_string(), root.to_str().unwrap()).await, CALLS, "in TLS");
    lab.idle(&instance).await;
}
