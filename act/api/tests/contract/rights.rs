//! Every route, asked over the network by somebody who has no right, a right, or no token.

use crate::recall::{Served, operation};
use naru_api::{Client, ClientError, EventQuery, Fingerprint, Ground, LogQuery, Remote};
use naru_model::{Change, Demand, Ending, OperationId, StackName};
use naru_who::{AuditOutcome, PeopleOrder, RequestOrder, Right, RightQuestion, SignIn};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

struct Far {
    served: Served,
    address: SocketAddr,
    certificate: Vec<u8>,
}

impl Far {
    async fn start() -> Far {
        let served = Served::start().await;
        let (address, certificate) = served.on_network().await;
        Far { served, address, certificate }
    }

    fn client(&self, token: &str) -> Client {
        Client::remote(Remote {
            host: self.address.ip().to_string(),
            port: self.address.port(),
            fingerprint: Fingerprint::of(&self.certificate),
            token: Some(token.into()),
        })
    }

    async fn asked(&self, head: &str, body: &str) -> (u16, String) {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.certificate.clone())).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let connector =
            TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let length = body.len();
        let request =
            format!("{head}host: naru\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.into()))
    }
}

/// All routes, as the document has them.
fn routes() -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(&naru_api::openapi().to_json().unwrap()).unwrap();
    let mut all = vec![];
    for (path, verbs) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "1").replace("{node}", "here");
        all.extend(verbs.as_object().unwrap().keys().map(|verb| (verb.to_uppercase(), path.clone())));
    }
    all
}

/// What a route takes, where it is judged by what is in it.
fn body(path: &str) -> String {
    match path {
        "/v1/requests" => serde_json::to_string(&RequestOrder::Withdraw { id: 1 }).unwrap(),
        "/v1/people" => serde_json::to_string(&PeopleOrder::RemoveUser { name: "kim".into() }).unwrap(),
        "/v1/can" => serde_json::to_string(&RightQuestion {
            user: "kim".into(),
            action: Right::Read,
            on: "shop".parse().unwrap(),
            at: None,
        })
        .unwrap(),
        _ => "{}".into(),
    }
}

#[tokio::test]
async fn every_route_is_refused_to_whoever_has_no_right_and_that_is_written_down() {
    let far = Far::start().await;
    let mut refused = 0;
    for (verb, path) in routes() {
        far.served.ruler.take_notes();
        let head = format!("{verb} {path} HTTP/1.1\r\nauthorization: Bearer nobody\r\n");
        let (status, said) = far.asked(&head, &body(&path)).await;
        match (verb.as_str(), path.as_str()) {
            // Where one signs in, one has no right yet. What one is oneself, one may see.
            ("POST", "/v1/sign-in") => assert_eq!(status, 422, "{said}"),
            ("GET", "/v1/people") => {
                assert_eq!((status, said.contains("\"users\":[]")), (200, true), "{said}")
            }
            ("GET", "/v1/requests") => assert_eq!((status, said.as_str()), (200, "[]")),
            ("GET", "/v1/requests/1") => assert_eq!(status, 404, "{said}"),
            _ => {
                refused += 1;
                assert_eq!(status, 403, "{verb} {path}: {said}");
                let notes = far.served.ruler.take_notes();
                assert_eq!(notes.len(), 1, "{verb} {path}: {notes:?}");
                assert_eq!((notes[0].who.as_str(), notes[0].outcome), ("nobody", AuditOutcome::Refused));
                assert!(notes[0].from.starts_with("127.0.0.1:"), "{:?}", notes[0]);
            }
        }
    }
    assert_eq!(refused, 33);
}

#[tokio::test]
async fn every_route_asks_for_a_token_first() {
    let far = Far::start().await;
    for (verb, path) in routes().into_iter().filter(|(_, path)| path != "/v1/sign-in") {
        for shown in ["", "authorization: Bearer other\r\n", "authorization: Basic nobody\r\n"] {
            let (status, said) = far.asked(&format!("{verb} {path} HTTP/1.1\r\n{shown}"), &body(&path)).await;
            assert_eq!(status, 401, "{verb} {path}: {said}");
        }
    }
    let (status, _) = far.asked("GET /v1/openapi.json HTTP/1.1\r\n", "").await;
    assert_eq!(status, 401);
    let (status, _) = far.asked("GET /v1/nothing HTTP/1.1\r\nauthorization: Bearer nobody\r\n", "").await;
    assert_eq!(status, 404);
}

fn demand(stack: &str, change: Change, ending: Ending) -> Demand {
    Demand { stack: stack.into(), change, ending, actor: "root".into(), message: None }
}

fn is_forbidden<T>(answer: Result<T, ClientError>) -> bool {
    matches!(answer, Err(ClientError::Refused(refused)) if refused.ground == Ground::Forbidden)
}

#[tokio::test]
async fn an_order_is_decided_for_what_it_is_about() {
    let far = Far::start().await;
    let (ruler, kim) = (&far.served.ruler, far.client("kim"));
    ruler.allow(Right::Restart, "service/shop/api");
    ruler.allow(Right::Down, "stack/shop");
    let restart =
        |services: &[&str]| Change::Restart { services: services.iter().map(|one| (*one).into()).collect() };
    kim.demand(&demand("shop", restart(&["api"]), Ending::Finish)).await.unwrap();
    assert_eq!(far.served.core.demands().last().unwrap().actor, "kim", "whatever the body says");
    for (stack, change, ending) in [
        ("shop", restart(&["api", "web"]), Ending::Finish),
        ("shop", restart(&[]), Ending::Finish),
        ("shop", restart(&["api"]), Ending::Cut),
        ("blog", restart(&["api"]), Ending::Finish),
        ("shop", Change::Down, Ending::Cut),
        ("shop", Change::Rollback { to: None }, Ending::Finish),
    ] {
        assert!(is_forbidden(kim.demand(&demand(stack, change.clone(), ending)).await), "{stack} {change:?}");
    }
    assert_eq!(far.served.core.demands().len(), 1);
    kim.demand(&demand("shop", Change::Down, Ending::Finish)).await.unwrap();
}

#[tokio::test]
async fn a_stack_is_not_deployed_under_the_name_of_another() {
    let far = Far::start().await;
    far.served.ruler.allow(Right::Deploy, "stack/mine");
    let kim = far.client("kim");
    let deploy = |said: &str, holds: &str| {
        let stack = serde_json::from_value(serde_json::json!({
            "name": holds, "project_dir": "/srv", "services": {}, "listeners": [], "routes": [],
        }));
        let change = Change::Deploy {
            stack: Box::new(stack.unwrap()),
            only: vec![],
            images: Default::default(),
            idle: Default::default(),
        };
        demand(said, change, Ending::Finish)
    };
    assert!(is_forbidden(kim.demand(&deploy("mine", "theirs")).await));
    assert!(is_forbidden(kim.demand(&deploy("theirs", "mine")).await));
    kim.demand(&deploy("mine", "mine")).await.unwrap();
}

#[tokio::test]
async fn lists_hold_what_one_may_see() {
    let far = Far::start().await;
    let kim = far.client("kim");
    far.served.core.put_operation(operation(1, "shop"));
    far.served.core.put_operation(operation(2, "blog"));
    far.served.ruler.allow(Right::Read, "stack/shop");
    let seen = kim.operations(None, 10).await.unwrap();
    assert_eq!(seen.iter().map(|one| one.id.0).collect::<Vec<_>>(), [1]);
    assert!(is_forbidden(kim.operations(Some(&StackName::from("blog")), 10).await));
    assert!(is_forbidden(kim.operation(OperationId(2)).await));
    assert!(kim.operation(OperationId(1)).await.is_ok());
    let cost = kim.cost(Some("2026-11")).await.unwrap();
    let rows: Vec<_> = cost.rows.iter().map(|row| row.what.as_str()).collect();
    assert_eq!((cost.month.as_str(), rows), ("2026-11", vec!["stack/shop", "service/shop/api"]));
}

#[tokio::test]
async fn a_stream_ends_with_the_right() {
    let far = Far::start().await;
    let kim = far.client("kim");
    far.served.ruler.allow(Right::ReadLogs, "stack/shop");
    far.served.ruler.allow(Right::Read, "stack/shop");
    let query = LogQuery { stack: Some("shop".into()), tail: Some(1), follow: true, ..LogQuery::default() };
    let mut lines = kim.logs(&query).await.unwrap();
    assert!(lines.next().await.unwrap().is_some());
    far.served.ruler.revoke_all();
    assert!(lines.next().await.unwrap().is_none(), "what follows for ever ends");
    assert!(is_forbidden(kim.events(&EventQuery::default()).await));
}

#[tokio::test]
async fn whoever_signs_in_gets_a_token_and_another_certificate_gets_nothing() {
    let far = Far::start().await;
    let sign_in = |password: &str| SignIn { user: "kim".into(), password: password.into() };
    let client = far.client("");
    assert_eq!(client.sign_in(&sign_in("right")).await.unwrap().token.as_deref(), Some("kim"));
    let Err(ClientError::Refused(refused)) = client.sign_in(&sign_in("wrong")).await else {
        panic!("let in")
    };
    assert_eq!(refused.ground, Ground::Unknown);
    let (host, port) = (far.address.ip().to_string(), far.address.port());
    assert_eq!(naru_api::fingerprint(&host, port).await.unwrap(), Fingerprint::of(&far.certificate));
    let remote = Remote { host, port, fingerprint: Fingerprint::of(b"another"), token: Some("kim".into()) };
    let error = Client::remote(remote).people().await.unwrap_err();
    assert!(error.to_string().contains("another certificate"), "{error}");
    let Err(ClientError::Refused(refused)) =
        Client::new(far.served.socket()).sign_in(&sign_in("right")).await
    else {
        panic!("the owner needs no token")
    };
    assert_eq!(refused.ground, Ground::Conflict);
}

#[tokio::test]
async fn what_was_approved_begins_with_its_first_use() {
    let far = Far::start().await;
    let (ruler, kim) = (&far.served.ruler, far.client("kim"));
    far.served.core.put_operation(operation(1, "shop"));
    ruler.approve(Right::Read, "stack/shop");
    let down = || demand("shop", Change::Down, Ending::Finish);
    assert!(is_forbidden(kim.demand(&down()).await));
    assert_eq!(kim.operations(None, 10).await.unwrap().len(), 1, "a list is a use, too");
    ruler.approve(Right::Down, "stack/shop");
    kim.demand(&down()).await.unwrap();
    ruler.revoke_all();
    assert!(is_forbidden(kim.demand(&down()).await), "it was used up");
}
