//! Servers in Python: each says the port that the system gave it, and is killed with its test.

use crate::lab::{Instance, Lab, soon};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A server that runs.
pub struct Server {
    /// Killed when it is dropped.
    _child: Child,
    pub port: u16,
}

impl Server {
    /// Runs a script of this folder with Debian's Python, which has the libraries that `./test` installs.
    pub async fn start(script: &str) -> Server {
        let path = format!("{}/tests/foreign/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new("/usr/bin/python3")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // What it says of clients that break the protocol, which is their task here.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 is among the packages of ./test");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        soon("the server's port", out.read_line(&mut line)).await.unwrap();
        Server { _child: child, port: line.trim().parse().expect("the server says its port") }
    }

    /// An edge with this as its only instance.
    pub async fn edge(&self) -> Lab {
        let mut instance = Instance::new("s.web.1.1").await;
        instance.address = ([127, 0, 0, 1], self.port).into();
        let mut lab = Lab::new();
        lab.serve(&[&instance]).await;
        lab
    }
}
