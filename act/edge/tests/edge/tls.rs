//! TLS that ends at the edge: which certificate a client gets, that bytes pass whole, and what is told when a
//! certificate cannot be had.

use crate::lab::{Instance, Lab, get, http, listener, ok, soon};
use naru_model::{CertificateFiles, Listener, ListenerFault, Protocol, Terminate, Time, Tls};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate that signs itself, in files.
pub struct Site {
    files: CertificateFiles,
    pub der: CertificateDer<'static>,
}

pub fn site(folder: &Path, file: &str, name: &str) -> Site {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let path = |end: &str| folder.join(format!("{file}.{end}")).to_str().unwrap().to_owned();
    let files = CertificateFiles { cert: path("crt"), key: path("key") };
    // The key first: while the two do not fit, the one before is presented.
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    Site { files, der: made.cert.der().clone() }
}

pub fn sealed(listener: Listener, sites: &[&Site]) -> Listener {
    let certificates = sites.iter().map(|site| site.files.clone()).collect();
    let mut listener = listener;
    listener.entrance.tls = Some(Tls::Terminate(Terminate { certificates, acme: None }));
    listener
}

type Client = TlsStream<TcpStream>;

/// A client of HTTP/1.1 that trusts these.
pub async fn connect(
    to: SocketAddr,
    name: &str,
    trusted: &[CertificateDer<'static>],
) -> std::io::Result<Client> {
    connect_with(to, name, trusted, b"http/1.1").await
}

/// One that wants to speak `protocol`.
pub async fn connect_with(
    to: SocketAddr,
    name: &str,
    trusted: &[CertificateDer<'static>],
    protocol: &[u8],
) -> std::io::Result<Client> {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|der| roots.add(der.clone()).unwrap());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(to).await?;
    soon("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

async fn try_client(lab: &Lab, name: &str, trusted: &[&Site]) -> std::io::Result<Client> {
    let trusted: Vec<_> = trusted.iter().map(|site| site.der.clone()).collect();
    connect(lab.address(), name, &trusted).await
}

async fn client(lab: &Lab, name: &str, trusted: &[&Site]) -> Client {
    try_client(lab, name, trusted).await.unwrap()
}

/// The certificate that a client got.
fn shown(client: &Client) -> CertificateDer<'static> {
    client.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn hear(client: &mut Client, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    soon("bytes", client.read_exact(&mut bytes)).await.unwrap();
    bytes
}

async fn say(client: &mut Client, bytes: &[u8]) {
    soon("room to write", client.write_all(bytes)).await.unwrap();
    soon("room to write", client.flush()).await.unwrap();
}

#[tokio::test]
async fn a_request_in_tls_is_answered_and_the_instance_is_told_of_https() {
    let folder = tempfile::tempdir().unwrap();
    let shop = site(folder.path(), "shop", "shop.test");
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.route(vec![sealed(http(&[(1, &[&instance])]), &[&shop])]).await;
    let mut client = client(&lab, "shop.test", &[&shop]).await;
    say(&mut client, get("/").as_bytes()).await;
    let mut peer = instance.accept().await;
    for body in ["first", "second"] {
        let head = peer.head().await;
        assert!(head.contains("X-Forwarded-Proto: https\r\n"), "{head}");
        peer.say(&ok(body)).await;
        let answer = hear(&mut client, ok(body).len()).await;
        assert_eq!(String::from_utf8(answer).unwrap(), ok(body));
        say(&mut client, get("/").as_bytes()).await;
    }
    client.shutdown().await.unwrap();
    lab.idle(&instance).await;
}

#[tokio::test]
async fn the_name_chooses_the_certificate_and_the_first_stands_for_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let first = site(folder.path(), "first", "first.test");
    let wild = site(folder.path(), "wild", "*.shop.test");
    let mut lab = Lab::new();
    lab.route(vec![sealed(http(&[(1, &[])]), &[&first, &wild])]).await;
    let trusted = [&first, &wild];
    assert_eq!(shown(&client(&lab, "first.test", &trusted).await), first.der);
    assert_eq!(shown(&client(&lab, "a.shop.test", &trusted).await), wild.der);
    let other = try_client(&lab, "a.b.shop.test", &trusted).await.unwrap_err();
    assert!(other.to_string().contains("first.test"), "{other}");
}

#[tokio::test]
async fn a_renewed_certificate_is_presented_to_the_next_client() {
    let folder = tempfile::tempdir().unwrap();
    let old = site(folder.path(), "shop", "shop.test");
    let mut lab = Lab::new();
    lab.route(vec![sealed(http(&[(1, &[])]), &[&old])]).await;
    assert_eq!(shown(&client(&lab, "shop.test", &[&old]).await), old.der);
    let new = site(folder.path(), "shop", "shop.test");
    soon("the new certificate", async {
        while shown(&client(&lab, "shop.test", &[&old, &new]).await) != new.der {}
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_had_is_a_fault_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let shop = site(folder.path(), "shop", "shop.test");
    std::fs::remove_file(&shop.files.cert).unwrap();
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    let mut plain = http(&[(1, &[&instance])]);
    plain.name = "plain".into();
    lab.route(vec![sealed(http(&[(1, &[&instance])]), &[&shop]), plain]).await;
    let cert = &shop.files.cert;
    let error = format!("the certificate {cert} cannot be read: No such file or directory (os error 2)");
    let fault = ListenerFault { listener: "web".into(), address: "127.0.0.1:0".into(), error };
    assert_eq!(lab.report().await.faults, [fault]);
    try_client(&lab, "shop.test", &[&shop]).await.unwrap_err();
    crate::lab::Peer::connect(lab.address_of("plain")).await;

    let other = site(folder.path(), "other", "shop.test");
    std::fs::copy(&other.files.cert, &shop.files.cert).unwrap();
    let mut news = lab.edge.watch();
    let said = async |so: &dyn Fn(&[ListenerFault]) -> bool| {
        let mut news = lab.edge.watch();
        while !so(&lab.edge.report(Time(2_000_000)).await.faults) {
            soon("news", news.changed()).await.unwrap();
        }
    };
    said(&|faults| faults.iter().any(|fault| fault.error.contains("does not belong to"))).await;
    std::fs::copy(&other.files.key, &shop.files.key).unwrap();
    said(&|faults| faults.is_empty()).await;
    news.borrow_and_update();
    assert_eq!(shown(&client(&lab, "shop.test", &[&other]).await), other.der);
}

#[tokio::test]
async fn large_bodies_pass_whole_in_both_directions() {
    const SIZE: usize = 3_000_000;
    let folder = tempfile::tempdir().unwrap();
    let shop = site(folder.path(), "shop", "shop.test");
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.route(vec![sealed(http(&[(1, &[&instance])]), &[&shop])]).await;
    let body: Vec<u8> = (0..SIZE).map(|n| (n / 7 % 251) as u8).collect();
    let mut client = client(&lab, "shop.test", &[&shop]).await;
    let sent = body.clone();
    let asking = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {SIZE}\r\n\r\n");
        say(&mut client, head.as_bytes()).await;
        say(&mut client, &sent).await;
        client
    });
    let mut peer = instance.accept().await;
    peer.head().await;
    assert!(peer.bytes(SIZE).await == body, "the instance has what was sent");
    let mut client = asking.await.unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
    let answered = body.clone();
    let text = head.clone();
    let answering = tokio::spawn(async move {
        peer.say(&text).await;
        soon("room to write", peer.stream.write_all(&answered)).await.unwrap();
    });
    assert_eq!(hear(&mut client, head.len()).await, head.as_bytes());
    assert!(hear(&mut client, SIZE).await == body, "the client has what was answered");
    answering.await.unwrap();
    let counts = lab.idle(&instance).await;
    assert_eq!((counts.counts.requests, counts.counts.errors), (1, 0));
}

#[tokio::test]
async fn a_stream_and_a_tcp_connection_go_through_tls() {
    let folder = tempfile::tempdir().unwrap();
    let shop = site(folder.path(), "shop", "shop.test");
    let instance = Instance::new("s.web.1.1").await;
    for protocol in [Protocol::Http, Protocol::Tcp] {
        let mut lab = Lab::new();
        lab.route(vec![sealed(listener("web", protocol, &[(1, &[&instance])]), &[&shop])]).await;
        let mut client = client(&lab, "shop.test", &[&shop]).await;
        let asked = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        say(&mut client, asked.as_bytes()).await;
        let mut peer = instance.accept().await;
        peer.head().await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        peer.say(answer).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(hear(&mut client, 1).await);
        }
        say(&mut client, b"up").await;
        peer.hears("up").await;
        peer.say("down").await;
        assert_eq!(hear(&mut client, 4).await, b"down");
        peer.finish().await;
        let mut rest = Vec::new();
        soon("the end", client.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, b"");
    }
}

#[tokio::test]
async fn a_client_that_is_slow_to_shake_hands_is_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let shop = site(folder.path(), "shop", "shop.test");
    let mut lab = Lab::with(|config| config.head_time = std::time::Duration::from_millis(50));
    lab.route(vec![sealed(http(&[(1, &[])]), &[&shop])]).await;
    let mut silent = lab.client().await;
    silent.ends().await;
    // And one that speaks no TLS is told so by TLS's own means, and let go of.
    let mut plain = lab.client().await;
    plain.say(&get("/")).await;
    let mut rest = Vec::new();
    soon("the end", plain.stream.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
}
