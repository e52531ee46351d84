//! Certificates from Pebble. The answer to the challenge is served from the folder, as an edge does.

mod authority;

use authority::{Authority, skip};
use naru_acme::{Kept, Wanted, certificate_files};
use naru_model::Acme;
use std::fs;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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

#[tokio::test]
async fn a_certificate_is_had_and_had_again_with_the_same_account() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listener.local_addr().unwrap().port();
    let Some(authority) = Authority::start(folder.path(), http).await else {
        return skip("naru-acme pebble", "Debian's package pebble is not installed");
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
