//! HTTP/2: to clients, with and without TLS, and to instances.

use crate::lab::{Instance, Lab, get, http, listener, ok, soon};
use crate::tls::{connect_with, sealed, site};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol as Extended;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use naru_model::{Protocol, Span};
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A client's connection; the task that drives it ends with it.
struct Client {
    sender: SendRequest<Bytes>,
    driven: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn new(lab: &Lab) -> Client {
        Client::over(TcpStream::connect(lab.address()).await.unwrap()).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Client {
        let (sender, connection) = soon("a greeting", h2::client::handshake(stream)).await.unwrap();
        Client { sender, driven: tokio::spawn(connection) }
    }

    async fn begin(&self, request: Request<()>, last: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut sender = soon("room for a stream", self.sender.clone().ready()).await.unwrap();
        sender.send_request(request, last).unwrap()
    }

    /// Status and body of a `GET`.
    async fn get(&self, path: &str) -> (StatusCode, String) {
        let (answer, _) = self.begin(asked(Method::GET, path), true).await;
        let answer = soon("an answer", answer).await.unwrap();
        let status = answer.status();
        (status, String::from_utf8(whole(answer.into_body()).await.0).unwrap())
    }
}

fn asked(method: Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://test{path}")).body(()).unwrap()
}

/// A whole body, and its trailers.
async fn whole(mut body: RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(data) = soon("data", body.data()).await {
        let data = data.unwrap();
        bytes.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    (bytes, soon("trailers", body.trailers()).await.unwrap())
}

/// Sends all of a body, as there is room for it.
async fn send(stream: &mut SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = soon("room", std::future::poll_fn(|cx| stream.poll_capacity(cx))).await;
        let room = room.unwrap().unwrap().min(body.len());
        stream.send_data(body.split_to(room), false).unwrap();
    }
}

fn large() -> Bytes {
    (0..3_000_000).map(|n| (n / 7 % 251) as u8).collect::<Vec<u8>>().into()
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_side_by_side() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let client = Client::new(&lab).await;
    let (first, _) = client.begin(asked(Method::GET, "/first?x=1"), true).await;
    let mut slow = instance.accept().await;
    let head = slow.head().await;
    assert!(head.starts_with("GET /first?x=1 HTTP/1.1\r\nHost: test\r\n"), "{head}");
    let (second, _) = client.begin(asked(Method::GET, "/second"), true).await;
    let mut fast = instance.accept().await;
    fast.head().await;
    fast.say("HTTP/1.1 200 OK\r\nX-Own: 1\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno").await;
    let second = soon("an answer", second).await.unwrap();
    assert_eq!(second.headers()["x-own"], "1");
    assert!(!second.headers().contains_key("connection"));
    assert_eq!(whole(second.into_body()).await.0, b"no");
    slow.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nye\r\n1\r\ns\r\n0\r\n\r\n").await;
    let first = soon("an answer", first).await.unwrap();
    assert!(!first.headers().contains_key("transfer-encoding"));
    assert_eq!(whole(first.into_body()).await.0, b"yes");
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests, counts.errors, counts.requests_lost), (2, 0, 0));
}

#[tokio::test]
async fn a_client_in_tls_chooses_it_and_is_answered_by_rules_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let shop = site(folder.path(), "shop", "shop.test");
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    let mut lab = Lab::new();
    lab.route(vec![sealed(http(&[(1, &[&instance])]), &[&shop])]).await;
    let stream =
        connect_with(lab.address(), "shop.test", std::slice::from_ref(&shop.der), b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client = Client::over(stream).await;
    assert_eq!(client.get("/").await, (StatusCode::OK, "s.web.1.1".into()));
    lab.route(vec![sealed(naru_model::Listener { service: None, ..http(&[]) }, &[&shop])]).await;
    assert_eq!(client.get("/").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn large_bodies_pass_whole_and_trailers_with_them() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let client = Client::new(&lab).await;
    let (answer, mut stream) = client.begin(asked(Method::POST, "/"), false).await;
    let sending = tokio::spawn(async move {
        send(&mut stream, large()).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
    });
    let mut peer = instance.accept().await;
    let head = peer.head().await;
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&peer.line().await, 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend(peer.bytes(size).await);
        peer.hears("\r\n").await;
    }
    peer.hears("x-sum: 7\r\n\r\n").await;
    assert!(body == large(), "the instance has what was sent");
    sending.await.unwrap();
    let answering = tokio::spawn(async move {
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for part in large().chunks(100_000) {
            peer.say(&format!("{:x}\r\n", part.len())).await;
            soon("room", tokio::io::AsyncWriteExt::write_all(&mut peer.stream, part)).await.unwrap();
            peer.say("\r\n").await;
        }
        peer.say("0\r\nX-Total: 9\r\n\r\n").await;
    });
    let (body, trailers) = whole(soon("an answer", answer).await.unwrap().into_body()).await;
    assert!(body == large(), "the client has what was answered");
    assert_eq!(trailers.unwrap()["x-total"], "9");
    answering.await.unwrap();
}

#[tokio::test]
async fn a_websocket_is_a_stream_of_a_connection() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let client = Client::new(&lab).await;
    // The edge says with its settings that it takes them; a whole answer later they are here.
    let (probe, _) = client.begin(asked(Method::GET, "/probe"), true).await;
    let mut first = instance.accept().await;
    first.head().await;
    first.say(&ok("")).await;
    soon("an answer", probe).await.unwrap();
    assert!(client.sender.is_extended_connect_protocol_enabled());
    let mut request = asked(Method::CONNECT, "/ws");
    request.extensions_mut().insert(Extended::from_static("websocket"));
    let (answer, mut up) = client.begin(request, false).await;
    let mut peer = first;
    let head = peer.head().await;
    assert!(head.starts_with("GET /ws HTTP/1.1\r\n"), "{head}");
    for line in ["Upgrade: websocket\r\n", "sec-websocket-key: "] {
        assert!(head.to_lowercase().contains(&line.to_lowercase()), "{head}");
    }
    peer.say(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\ndown",
    )
    .await;
    let answer = soon("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    let mut down = answer.into_body();
    assert_eq!(soon("data", down.data()).await.unwrap().unwrap(), "down");
    send(&mut up, "up".into()).await;
    peer.hears("up").await;
    assert_eq!(lab.report().await.instances[&instance.id].in_progress.streams, 1);
    peer.finish().await;
    assert_eq!(whole(down).await.0, b"");
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.streams, counts.streams_lost), (1, 0));
}

#[tokio::test]
async fn streams_of_an_instance_that_retires_end_in_order_and_their_connection_goes_on() {
    let (old, new) = (Instance::new("s.web.1.1").await, Instance::new("s.web.2.1").await);
    let drained = |instance: &Instance| {
        let mut listener = http(&[(1, &[instance])]);
        listener.policy.stream_drain = Some(Span(0));
        vec![listener]
    };
    let mut lab = Lab::with(|config| config.linger_time = Duration::from_secs(20));
    lab.route(drained(&old)).await;
    let client = Client::new(&lab).await;
    let (events, _) = client.begin(asked(Method::GET, "/events"), true).await;
    let mut server = old.accept().await;
    server.head().await;
    server
        .say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    server.say("9\r\ndata: 1\n\n\r\n3\r\ndat\r\n").await;
    let mut events = soon("an answer", events).await.unwrap().into_body();
    let mut heard = Vec::new();
    while heard.len() < 12 {
        heard.extend(soon("events", events.data()).await.unwrap().unwrap());
    }
    let mut request = asked(Method::CONNECT, "/ws");
    request.extensions_mut().insert(Extended::from_static("websocket"));
    let (answer, mut up) = client.begin(request, false).await;
    let mut peer = old.accept().await;
    peer.head().await;
    peer.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
    let mut down = soon("an answer", answer).await.unwrap().into_body();
    lab.route(drained(&new)).await;
    // A websocket that rests is told at once: a close frame, service restart.
    assert_eq!(soon("a close", down.data()).await.unwrap().unwrap(), &b"\x88\x02\x03\xf4"[..]);
    send(&mut up, Bytes::from_static(b"\x88\x82\0\0\0\0\x03\xf4")).await;
    assert_eq!(peer.bytes(8).await, b"\x88\x82\0\0\0\0\x03\xf4");
    drop(peer);
    assert_eq!(whole(down).await.0, b"");
    // Events end with one of them, as a whole answer.
    server.say("7\r\na: 2\n\nd\r\n").await;
    let (rest, _) = whole(events).await;
    heard.extend(rest);
    assert_eq!(heard, b"data: 1\n\ndata: 2\n\n");
    let counts = lab.idle(&old).await.counts;
    assert_eq!((counts.streams, counts.streams_lost), (2, 0));
    let (answer, _) = client.begin(asked(Method::GET, "/"), true).await;
    let mut peer = new.accept().await;
    peer.head().await;
    peer.say(&ok("on")).await;
    assert_eq!(whole(soon("an answer", answer).await.unwrap().into_body()).await.0, b"on");
}

#[tokio::test]
async fn a_stream_that_its_client_resets_leaves_its_instance() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let client = Client::new(&lab).await;
    let (answer, mut stream) = client.begin(asked(Method::POST, "/"), false).await;
    let mut peer = instance.accept().await;
    peer.head().await;
    stream.send_reset(h2::Reason::CANCEL);
    peer.rest().await.1.unwrap_or_default();
    assert!(soon("the end", answer).await.is_err());
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests, counts.requests_lost), (1, 0));
    // The connection goes on.
    let (answer, _) = client.begin(asked(Method::GET, "/"), true).await;
    let mut peer = instance.accept().await;
    peer.head().await;
    peer.say(&ok("on")).await;
    assert_eq!(whole(soon("an answer", answer).await.unwrap().into_body()).await.0, b"on");
}

#[tokio::test]
async fn an_instance_that_breaks_off_resets_the_stream() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let client = Client::new(&lab).await;
    let (answer, _) = client.begin(asked(Method::GET, "/"), true).await;
    let mut peer = instance.accept().await;
    peer.head().await;
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let mut body = soon("an answer", answer).await.unwrap().into_body();
    assert_eq!(soon("data", body.data()).await.unwrap().unwrap(), "half");
    peer.reset();
    let error = soon("the end", body.data()).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
    assert_eq!(lab.idle(&instance).await.counts.requests_lost, 1);
}

#[tokio::test]
async fn a_listener_that_goes_tells_ahead_and_finishes_what_is_there() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let (idle, busy) = (Client::new(&lab).await, Client::new(&lab).await);
    let (answer, _) = busy.begin(asked(Method::GET, "/"), true).await;
    let mut peer = instance.accept().await;
    peer.head().await;
    let mut left = pin!(lab.edge.leave());
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(left.as_mut().poll(cx).is_pending())).await);
    soon("the end of the idle one", idle.driven).await.unwrap().unwrap();
    peer.say(&ok("done")).await;
    assert_eq!(whole(soon("an answer", answer).await.unwrap().into_body()).await.0, b"done");
    soon("the end of the busy one", busy.driven).await.unwrap().unwrap();
    soon("the end of the edge", left).await;
}

/// An instance that speaks HTTP/2: the test gets each of its requests.
type Arrived = (Request<RecvStream>, h2::server::SendResponse<Bytes>);

fn speaking(listener: TcpListener) -> tokio::sync::mpsc::UnboundedReceiver<Arrived> {
    let (to, arrived) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut builder = h2::server::Builder::new();
                let mut connection = builder.enable_connect_protocol().handshake(stream).await.unwrap();
                while let Some(Ok(request)) = connection.accept().await {
                    to.send(request).unwrap();
                }
            });
        }
    });
    arrived
}

#[tokio::test]
async fn a_call_streams_both_ways_between_client_and_instance_of_http2() {
    let mut instance = Instance::new("s.web.1.1").await;
    let mut arrived = speaking(instance.listener());
    let mut lab = Lab::new();
    lab.route(vec![listener("web", Protocol::Http2, &[(1, &[&instance])])]).await;
    let client = Client::new(&lab).await;
    let mut request = asked(Method::POST, "/pkg.Service/Call");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let (answer, mut up) = client.begin(request, false).await;
    send(&mut up, "one".into()).await;
    let (request, mut respond) = soon("a call", arrived.recv()).await.unwrap();
    assert_eq!(request.uri().path(), "/pkg.Service/Call");
    assert_eq!(request.uri().authority().unwrap(), "test");
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    let mut body = request.into_body();
    assert_eq!(soon("data", body.data()).await.unwrap().unwrap(), "one");
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut down = respond.send_response(head, false).unwrap();
    send(&mut down, "1".into()).await;
    let answer = soon("an answer", answer).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let mut heard = answer.into_body();
    assert_eq!(soon("data", heard.data()).await.unwrap().unwrap(), "1");
    send(&mut up, "two".into()).await;
    assert_eq!(soon("data", body.data()).await.unwrap().unwrap(), "two");
    up.send_data(Bytes::new(), true).unwrap();
    assert_eq!(whole(body).await.0, b"");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    down.send_trailers(trailers).unwrap();
    let (rest, trailers) = whole(heard).await;
    assert_eq!((&rest[..], &trailers.unwrap()["grpc-status"]), (&b""[..], &"0".parse().unwrap()));
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests, counts.errors, counts.requests_lost), (1, 0, 0));
}

#[tokio::test]
async fn a_client_of_http1_is_answered_by_an_instance_of_http2() {
    let mut instance = Instance::new("s.web.1.1").await;
    let mut arrived = speaking(instance.listener());
    let mut lab = Lab::new();
    lab.route(vec![listener("web", Protocol::Http2, &[(1, &[&instance])])]).await;
    let mut client = lab.client().await;
    for round in 0..2 {
        client.say("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nask").await;
        let (request, mut respond) = soon("a request", arrived.recv()).await.unwrap();
        assert_eq!(
            (request.method(), request.headers()["content-length"].as_bytes()),
            (&Method::POST, &b"3"[..])
        );
        assert_eq!(whole(request.into_body()).await.0, b"ask");
        let head = Response::builder().header("content-length", "2").body(()).unwrap();
        let mut down = respond.send_response(head, false).unwrap();
        down.send_data("ok".into(), true).unwrap();
        assert_eq!(client.head().await, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", "round {round}");
        client.hears("ok").await;
    }
    client.say("GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").await;
    let (request, mut respond) = soon("a request", arrived.recv()).await.unwrap();
    assert_eq!(request.extensions().get::<Extended>().unwrap().as_str(), "websocket");
    let mut down = respond.send_response(Response::new(()), false).unwrap();
    let head = client.head().await;
    // The key and its answer are those of RFC 6455, 1.3.
    assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    client.say("up").await;
    let mut body = request.into_body();
    assert_eq!(soon("data", body.data()).await.unwrap().unwrap(), "up");
    send(&mut down, "down".into()).await;
    client.hears("down").await;
    down.send_data(Bytes::new(), true).unwrap();
    client.ends().await;
    lab.idle(&instance).await;
}

#[tokio::test]
async fn interim_answers_of_an_instance_of_http2_pass_to_clients_of_both_versions() {
    let mut instance = Instance::new("s.web.1.1").await;
    let mut arrived = speaking(instance.listener());
    let mut lab = Lab::new();
    lab.route(vec![listener("web", Protocol::Http2, &[(1, &[&instance])])]).await;
    let interim = |status: u16| Response::builder().status(status);
    let mut old = lab.client().await;
    old.say("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    let (request, mut respond) = soon("a request", arrived.recv()).await.unwrap();
    respond.send_informational(interim(100).body(()).unwrap()).unwrap();
    old.hears("HTTP/1.1 100 Continue\r\n\r\n").await;
    old.say("ok").await;
    assert_eq!(whole(request.into_body()).await.0, b"ok");
    respond.send_informational(interim(103).header("link", "x").body(()).unwrap()).unwrap();
    respond.send_response(interim(204).body(()).unwrap(), true).unwrap();
    old.hears("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n").await;
    let client = Client::new(&lab).await;
    let (mut answer, _) = client.begin(asked(Method::GET, "/"), true).await;
    let (_, mut respond) = soon("a request", arrived.recv()).await.unwrap();
    respond.send_informational(interim(103).header("link", "y").body(()).unwrap()).unwrap();
    let early =
        soon("an interim answer", poll_fn(|cx| answer.poll_informational(cx))).await.unwrap().unwrap();
    assert_eq!((early.status().as_u16(), &early.headers()["link"]), (103, &"y".parse().unwrap()));
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon("an answer", answer).await.unwrap().status(), StatusCode::OK);
    lab.idle(&instance).await;
}

#[tokio::test]
async fn a_call_that_an_instance_refuses_goes_to_another() {
    let (mut full, mut free) = (Instance::new("s.web.1.1").await, Instance::new("s.web.1.2").await);
    let (mut refusing, mut answering) = (speaking(full.listener()), speaking(free.listener()));
    let mut lab = Lab::new();
    lab.route(vec![listener("web", Protocol::Http2, &[(1, &[&full, &free])])]).await;
    tokio::spawn(async move {
        while let Some((_, mut respond)) = refusing.recv().await {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
    });
    tokio::spawn(async move {
        while let Some((_, mut respond)) = answering.recv().await {
            let head = Response::builder().status(204).body(()).unwrap();
            respond.send_response(head, true).unwrap();
        }
    });
    let client = Client::new(&lab).await;
    for _ in 0..4 {
        let (answer, mut stream) = client.begin(asked(Method::POST, "/"), false).await;
        stream.send_data("body".into(), true).unwrap();
        assert_eq!(soon("an answer", answer).await.unwrap().status(), StatusCode::NO_CONTENT);
    }
    let refused = lab.idle(&full).await.counts;
    assert!(refused.handed_over > 0 && refused.requests_lost == 0, "{refused:?}");
    assert_eq!(lab.idle(&free).await.counts.requests, 4);
}

#[tokio::test]
async fn what_is_no_http2_after_its_beginning_ends_that_connection_alone() {
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let mut bad = lab.client().await;
    bad.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is not a frame, however long one looks").await;
    let mut rest = Vec::new();
    let _ = soon("the end", tokio::io::AsyncReadExt::read_to_end(&mut bad.stream, &mut rest)).await;
    let mut good = lab.client().await;
    assert_eq!(good.ask(&get("/")).await.1, "s.web.1.1");
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_all_that_work_for_it() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let client = Client::new(&lab).await;
    let mut peers = vec![];
    for path in ["/one", "/two", "/three"] {
        let (_answer, _) = client.begin(asked(Method::GET, path), true).await;
        let mut peer = instance.accept().await;
        peer.head().await;
        peers.push((peer, _answer));
    }
    client.driven.abort();
    for (mut peer, _) in peers {
        peer.rest().await.1.unwrap_or_default();
    }
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests, counts.requests_lost), (3, 0));
}

#[tokio::test]
async fn what_is_sent_before_a_websocket_is_agreed_on_is_no_request() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let client = Client::new(&lab).await;
    let (probe, _) = client.begin(asked(Method::GET, "/probe"), true).await;
    let mut peer = instance.accept().await;
    peer.head().await;
    peer.say(&ok("")).await;
    soon("an answer", probe).await.unwrap();
    let mut request = asked(Method::CONNECT, "/ws");
    request.extensions_mut().insert(Extended::from_static("websocket"));
    let (answer, mut up) = client.begin(request, false).await;
    send(&mut up, "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n".into()).await;
    assert!(peer.head().await.starts_with("GET /ws HTTP/1.1\r\n"));
    peer.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let answer = soon("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(whole(answer.into_body()).await.0, b"");
    let (next, _) = client.begin(asked(Method::GET, "/next"), true).await;
    assert!(peer.head().await.starts_with("GET /next HTTP/1.1\r\n"), "nothing came between");
    peer.say(&ok("on")).await;
    assert_eq!(whole(soon("an answer", next).await.unwrap().into_body()).await.0, b"on");
    assert_eq!(lab.idle(&instance).await.counts.requests, 3);
}

/// A client that opens all windows, asks, and reads nothing.
const DEAF: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\
    \0\0\x04\x08\0\0\0\0\0\x7f\0\0\0\
    \0\0\x09\x01\x05\0\0\0\x01\x82\x86\x84\x01\x04test";

#[tokio::test]
async fn a_client_that_reads_nothing_has_its_time() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::with(|config| config.stall_time = std::time::Duration::from_millis(300));
    lab.serve(&[&instance]).await;
    let mut deaf = lab.client().await;
    soon("a request", tokio::io::AsyncWriteExt::write_all(&mut deaf.stream, DEAF)).await.unwrap();
    let mut peer = instance.accept().await;
    peer.head().await;
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    let endless =
        async { while tokio::io::AsyncWriteExt::write_all(&mut peer.stream, &[0; 65_536]).await.is_ok() {} };
    soon("the end", endless).await;
    assert_eq!(lab.idle(&instance).await.counts.requests_lost, 0, "it is the client that left");
    let mut rest = Vec::new();
    let _ = soon("the end", tokio::io::AsyncReadExt::read_to_end(&mut deaf.stream, &mut rest)).await;
}
