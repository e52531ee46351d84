//! Servers in Python: each says the port that the system gave it, and is killed with its test.

use crate::lab::{Instance, Lab, http, soon};
use naru_model::{CertificateFiles, Terminate, Tls};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What `/file` of the instance has, 300,000 bytes, and a file in `folder` with them.
pub fn data(folder: &Path) -> (Vec<u8>, PathBuf) {
    let data: Vec<u8> = (0..300_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let file = folder.join("data");
    std::fs::write(&file, &data).unwrap();
    (data, file)
}

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
        let instance = self.instance().await;
        let mut lab = Lab::new();
        lab.serve(&[&instance]).await;
        lab
    }

    /// The same, with a second listener, `tls`, where TLS ends.
    pub async fn edge_with_tls(&self) -> Sealed {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let files = CertificateFiles { cert: text(&certificate), key: text(&key) };
        let instance = self.instance().await;
        let mut sealed = http(&[(1, &[&instance])]);
        sealed.name = "tls".into();
        sealed.entrance.tls = Some(Tls::Terminate(Terminate { certificates: vec![files], acme: None }));
        let mut lab = Lab::new();
        lab.route(vec![http(&[(1, &[&instance])]), sealed]).await;
        Sealed { lab, certificate, _folder: folder }
    }

    async fn instance(&self) -> Instance {
        let mut instance = Instance::new("s.web.1.1").await;
        instance.address = ([127, 0, 0, 1], self.port).into();
        instance
    }
}

/// An edge with a listener `web`, and one `tls` for the name `localhost`.
pub struct Sealed {
    pub lab: Lab,
    /// Whom its clients trust: a file.
    pub certificate: PathBuf,
    _folder: TempDir,
}
