//! Pebble, the test authority of Let's Encrypt, with its DNS server: both Debian's, started on loopback.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener as StdListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn free_port() -> u16 {
    StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn free_udp_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// An authority whose every look goes to `http`.
pub struct Authority {
    pub directory: String,
    pub root: PathBuf,
    _running: [Running; 2],
}

impl Authority {
    /// `None` where Pebble is not installed.
    pub async fn start(folder: &Path, http: u16) -> Option<Authority> {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let (root, key_file) = (folder.join("root.pem"), folder.join("root.key"));
        fs::write(&root, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        let (api, management, dns) = (free_port(), free_port(), free_udp_port());
        let (certificate, private_key) = (root.to_str().unwrap(), key_file.to_str().unwrap());
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "127.0.0.1:{api}", "managementListenAddress": "127.0.0.1:{management}",
                "certificate": "{certificate}", "privateKey": "{private_key}", "httpPort": {http}, "tlsPort": {http},
                "ocspResponderURL": "", "externalAccountBindingRequired": false}}}}"#
        );
        let config_file = folder.join("pebble.json");
        fs::write(&config_file, config).unwrap();
        let names = start(Command::new("pebble-challtestsrv").args([
            "-http01=",
            "-https01=",
            "-tlsalpn01=",
            &format!("-management=127.0.0.1:{}", free_port()),
            "-defaultIPv6=",
            "-defaultIPv4=127.0.0.1",
            &format!("-dns01=127.0.0.1:{dns}"),
        ]))?;
        let pebble = start(
            Command::new("pebble")
                .args(["-config", config_file.to_str().unwrap(), "-dnsserver", &format!("127.0.0.1:{dns}")])
                // It would wait some seconds before each look.
                .env("PEBBLE_VA_NOSLEEP", "1"),
        )?;
        connectable(api).await;
        let directory = format!("https://localhost:{api}/dir");
        Some(Authority { directory, root, _running: [names, pebble] })
    }
}

fn start(command: &mut Command) -> Option<Running> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.ok().map(Running)
}

async fn connectable(port: u16) {
    let tries = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tries).await.expect("pebble listens");
}

/// Notes a test that could not run.
pub fn skip(test: &str, why: &str) {
    let Some(path) = std::env::var_os("NARU_TEST_SKIPS") else { panic!("{why}") };
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    writeln!(file, "{test}: {why}").unwrap();
}
