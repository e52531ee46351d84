//! Each place credentials come from, and what is told where they cannot be had.

use super::Chain;
use crate::Environment;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// No files, and no metadata service.
const NOTHING: [(&str, &str); 3] = [
    ("AWS_CONFIG_FILE", "/nowhere/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

fn with(more: &[(&str, &str)]) -> Environment {
    environment(&[&NOTHING[..], more].concat())
}

fn config(folder: &Path, text: &str) -> String {
    let path = folder.join("config");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

async fn fault(chain: Chain) -> String {
    chain.get().await.map(|held| held.source).unwrap_err().to_string()
}

#[tokio::test]
async fn the_environment_comes_first_unless_a_profile_is_stated() {
    let folder = tempfile::tempdir().unwrap();
    let file = config(folder.path(), "[profile ops]\naws_access_key_id = K2\naws_secret_access_key = S2\n");
    let keys = [("AWS_ACCESS_KEY_ID", "K1"), ("AWS_SECRET_ACCESS_KEY", "S1"), ("AWS_CONFIG_FILE", &file)];
    let held = Chain::new(None, with(&keys)).get().await.unwrap();
    assert_eq!((held.credentials.access_key_id(), held.source.as_str()), ("K1", "the environment"));
    let held = Chain::new(Some("ops".into()), with(&keys)).get().await.unwrap();
    assert_eq!((held.credentials.access_key_id(), held.source.as_str()), ("K2", "profile ops"));
    assert!(!format!("{:?}", held.credentials).contains("S2"));
}

#[tokio::test]
async fn what_is_missing_or_not_supported_is_told() {
    let said = fault(Chain::new(None, with(&[]))).await;
    assert!(said.starts_with("there are no credentials: set AWS_ACCESS_KEY_ID"), "{said}");
    let said = fault(Chain::new(Some("gone".into()), with(&[]))).await;
    assert_eq!(said, "there is no profile gone in /nowhere/config, /nowhere/credentials");
    let folder = tempfile::tempdir().unwrap();
    let text = "[profile s]\nsso_session = x\n[profile r]\nrole_arn = arn:aws:iam::1:role/x\n[profile e]\nregion = x\n\
                [profile p]\ncredential_process = echo S3CRET; exit 3\n[profile j]\ncredential_process = echo S3CRET\n";
    let file = config(folder.path(), text);
    let of = |name: &str| Chain::new(Some(name.into()), with(&[("AWS_CONFIG_FILE", &file)]));
    let said = fault(of("s")).await;
    assert!(
        said.starts_with("the sign-in (sso) of the profile s is not supported; write `credential_process"),
        "{said}"
    );
    assert!(fault(of("r")).await.starts_with("the role_arn of the profile r is not supported"));
    assert_eq!(fault(of("e")).await, "the profile e has neither keys nor a credential_process");
    assert_eq!(fault(of("p")).await, "the credential_process of profile p: it ended with exit status: 3");
    let said = fault(of("j")).await;
    assert!(said.ends_with("no credentials in JSON") && !said.contains("S3CRET"), "{said}");
    let far = with(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x")]);
    assert!(fault(Chain::new(None, far)).await.contains("has to be https, or on this machine"));
}

#[tokio::test]
async fn a_program_gives_credentials_and_is_asked_again_before_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    // They end in four minutes, which is too soon to rely on.
    let text = format!(
        "[default]\ncredential_process = echo x >> {}; printf '{{\"Version\": 1, \"AccessKeyId\": \"K\", \"SecretAccessKey\": \
         \"S\", \"SessionToken\": \"T\", \"Expiration\": \"%s\"}}' $(date -u -d '+4 minutes' +%Y-%m-%dT%H:%M:%SZ)\n",
        count.display()
    );
    let file = config(folder.path(), &text);
    let chain = Chain::new(None, with(&[("AWS_CONFIG_FILE", &file)]));
    for _ in 0..2 {
        let held = chain.get().await.unwrap();
        assert_eq!(held.credentials.session_token(), Some("T"));
    }
    assert_eq!(std::fs::read_to_string(&count).unwrap().lines().count(), 2);
    // Where it fails meanwhile, those that there are go on until they end.
    config(folder.path(), "[default]\ncredential_process = false\n");
    assert_eq!(chain.get().await.unwrap().credentials.access_key_id(), "K");
    chain.forget().await;
    assert!(fault(chain).await.contains("ended with exit status: 1"));
}

/// A double of the metadata service, and of a container's address for credentials. It insists on a session.
async fn services(asked: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            asked.fetch_add(1, Ordering::SeqCst);
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..n]).to_lowercase();
            let line = text.lines().next().unwrap_or_default();
            let keys = r#"{"Code":"Success","AccessKeyId":"KM","SecretAccessKey":"S","Token":"T","Expiration":"2099-01-01T00:00:00Z"}"#;
            let (status, body) = if line.starts_with("put /latest/api/token") {
                ("200 OK", "session-1")
            } else if line.starts_with("get /creds") && text.contains("authorization: word") {
                ("200 OK", keys)
            } else if !text.contains("x-aws-ec2-metadata-token: session-1") {
                ("401 Unauthorized", "")
            } else if line.contains("/security-credentials/ops") {
                ("200 OK", keys)
            } else if line.contains("/security-credentials/ ") {
                ("200 OK", "ops\n")
            } else if line.contains("/instance-id") {
                ("200 OK", "i-0123456789abcdef0")
            } else {
                ("404 Not Found", "")
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            // The client's own trouble, if it is gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn machines_and_containers_have_credentials_of_their_own() {
    let asked = Arc::new(AtomicUsize::new(0));
    let address = services(asked.clone()).await;
    let machine = [NOTHING[0], NOTHING[1], ("AWS_EC2_METADATA_SERVICE_ENDPOINT", address.as_str())];
    let chain = Chain::new(None, environment(&machine));
    let held = chain.get().await.unwrap();
    assert_eq!((held.credentials.access_key_id(), held.source.as_str()), ("KM", "the machine's role ops"));
    let before = asked.load(Ordering::SeqCst);
    chain.get().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), before, "those that last are not asked for again");
    let name = crate::Metadata::machine(&environment(&machine)).await;
    assert_eq!(name.as_deref(), Some("i-0123456789abcdef0"));
    let address = format!("{address}/creds");
    let container = with(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &address),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "word"),
    ]);
    assert_eq!(Chain::new(None, container).get().await.unwrap().source, "the container's role");
}
