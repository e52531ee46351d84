//! Against Pebble, the test authority of Let's Encrypt, with its DNS server: both Debian's, started on loopback. The
//! answer to the challenge is served from the folder, as an edge does.

use naru_acme::{Kept, Wanted, certificate_files};
use naru_model::Acme;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener as StdListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn free_udp_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// An authority whose every look goes to `http`.
struct Authority {
    directory: String,
    root: PathBuf,
    _running: [Running; 2],
}

impl Authority {
    /// `None` where Pebble is not installed.
    async fn start(folder: &Path, http: u16) -> Option<Authority> {
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

/// Serves the answers that lie in the folder.
async fn serve(listener: TcpListener, challenges: PathBuf) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = vec![0; 4096];
        let n = stream.read(&mut request).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&request[..n]).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default();
        let token = path.strip_prefix("/.well-known/acme-challenge/").unwrap_or("none");
        let answer = match fs::read_to_string(challenges.join(token)) {
            Ok(body) => format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            Err(_) => "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into(),
        };
        // The authority's own trouble, if it is gone.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

fn skip(why: &str) {
    let Some(path) = std::env::var_os("NARU_TEST_SKIPS") else { panic!("{why}") };
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    writeln!(file, "naru-acme pebble: {why}").unwrap();
}

#[tokio::test]
async fn a_certificate_is_had_and_had_again_with_the_same_account() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listener.local_addr().unwrap().port();
    let Some(authority) = Authority::start(folder.path(), http).await else {
        return skip("Debian's package pebble is not installed");
    };
    let challenges = folder.path().join("challenges");
    let wanted = Wanted {
        acme: Acme {
            directory: authority.directory.clone(),
            domains: vec!["shop.naru.test".into(), "www.shop.naru.test".into()],
            email: Some("ops@naru.test".into()),
            root: Some(authority.root.to_string_lossy().into_owned()),
        },
        folder: folder.path().join("acme"),
        challenges: challenges.clone(),
    };
    let unproven = wanted.obtain().await;
    assert!(unproven.is_err(), "nobody answers yet: {unproven:?}");
    assert_eq!(Kept::read(&wanted.acme, &wanted.folder), None);
    let server = tokio::spawn(serve(listener, challenges.clone()));
    wanted.obtain().await.unwrap();
    let first = Kept::read(&wanted.acme, &wanted.folder).unwrap();
    assert!(first.due() > std::time::SystemTime::now());
    let files = certificate_files(&wanted.acme, &wanted.folder);
    let account =
        fs::read(fs::read_dir(&wanted.folder).unwrap().next().unwrap().unwrap().path().join("account.json"));
    assert!(fs::read_to_string(&files.key).unwrap().contains("PRIVATE KEY"));
    let before = fs::read(&files.cert).unwrap();
    wanted.obtain().await.unwrap();
    assert_ne!(fs::read(&files.cert).unwrap(), before, "another certificate");
    let again =
        fs::read(fs::read_dir(&wanted.folder).unwrap().next().unwrap().unwrap().path().join("account.json"));
    assert_eq!(account.unwrap(), again.unwrap(), "the same account");
    assert_eq!(fs::read_dir(&challenges).unwrap().count(), 0, "no answer is left");
    server.abort();
}
