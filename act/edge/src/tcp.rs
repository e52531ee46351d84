//! TCP listeners: each connection is one stream to one instance, chosen among the listener's own or, where TLS is
//! passed on unread, among those of the name that the client asks for.

use crate::Config;
use crate::drain::{Drain, Form, Limits};
use crate::entrance::Who;
use crate::route::Route;
use crate::search::{Failure, Search};
use crate::set::{Chosen, Set};
use crate::tunnel::{self, By, Closing};
use naru_books::{Claim, Ending, Kind, Passing};
use naru_carry::{Inbox, Stream, Upstream, linger, write_all};
use naru_model::{ProxyVersion, Span};
use naru_wire::{Hello, Peers, hello, write_proxy_header};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a TLS client is told that asks for a name which nobody here has (RFC 6066, 3): a fatal alert of TLS 1.2,
/// `unrecognized_name`.
const UNRECOGNIZED_NAME: &[u8] = &[0x15, 3, 3, 0, 2, 2, 112];

/// An instance that was connected to.
struct Reached {
    claim: Claim,
    upstream: Upstream,
    address: SocketAddr,
}

/// Carries one client's connection to its end. Without an instance, it is closed.
pub(crate) async fn serve(config: &Config, route: &Route, mut client: Stream, who: Who) {
    let mut inbox = Inbox::default();
    let (set, rule) = if route.entrance().passes_tls {
        // Boxed: what is rare must not make every connection larger.
        let Some(found) = Box::pin(named(config, route, &mut client, &mut inbox)).await else { return };
        found
    } else {
        (route.own.clone(), None)
    };
    let Some(Reached { claim, mut upstream, address }) = reach(config, &set, &client, who).await else {
        return;
    };
    let seen = Passing::begin(&route.register, rule);
    let limits = limits(&set, &claim);
    let ended = {
        let (mut read, mut write) = client.split();
        let client = (&mut read, &mut write, &mut inbox);
        let (up, down, _) = upstream.split();
        tunnel::run(client, (up, down), &mut Inbox::default(), address, Closing::Apart, &limits, config).await
    };
    if ended.by == By::Edge {
        seen.closed();
    }
    // Each side sees how the other ended. One that is gone already cannot be told.
    let _ = match ended.ending {
        Ending::Lost => client.set_zero_linger(),
        Ending::ClientLeft => upstream.stream.set_zero_linger(),
        _ => Ok(()),
    };
    drop(upstream);
    claim.end(ended.ending);
}

/// What ends a stream beside its sides.
fn limits(set: &Set, claim: &Claim) -> Limits {
    let (idle, drain_time) = set.with_policy(|policy| (policy.idle_timeout, policy.stream_drain));
    let span = |span: Span| Duration::from_millis(span.0);
    let drain = |within: Span| Drain { entry: claim.entry().clone(), within: span(within) };
    Limits { idle: idle.map(span), drain: drain_time.map(drain), form: Form::Bytes }
}

/// Finds an instance that takes the connection, and tells it of the client where it is to be told.
async fn reach(config: &Config, set: &Set, client: &Stream, who: Who) -> Option<Reached> {
    let mut search = Search::new(config, set, Kind::Stream, set.hint_of(who.source), Instant::now());
    loop {
        let Chosen { claim, address, .. } = search.next().await.ok()?;
        let version = set.with_policy(|policy| policy.send_proxy);
        let connected = async {
            let mut upstream = Upstream::connect(address, config.connect_time).await?;
            if let Some(version) = version {
                tell(config, version, &mut upstream, client, who).await?;
            }
            io::Result::Ok(upstream)
        };
        match connected.await {
            Ok(upstream) => {
                search.answered(0);
                return Some(Reached { claim, upstream, address });
            }
            Err(_) => search.fail(claim, Failure::Unreachable),
        }
    }
}

/// Tells an instance who the client is.
async fn tell(
    config: &Config,
    version: ProxyVersion,
    upstream: &mut Upstream,
    client: &Stream,
    who: Who,
) -> io::Result<()> {
    let destination = who.destination.map_or_else(|| client.local_addr(), Ok)?;
    let mut header = Vec::new();
    write_proxy_header(version, &Peers { source: who.source, destination }, &mut header);
    let (_, mut write, written) = upstream.split();
    write_all(&mut write, [&header, &[]], config.connect_time, written).await
}

/// The instances of the name that a TLS client asks for, and its place among the names; the listener's own where no
/// name fits, if it has any. What was read stays in the inbox. `None`: the connection is over.
async fn named(
    config: &Config,
    route: &Route,
    client: &mut Stream,
    inbox: &mut Inbox,
) -> Option<(Rc<Set>, Option<usize>)> {
    let Ok(Some(hello)) = tokio::time::timeout(config.head_time, read_hello(client, inbox)).await else {
        route.register.turned_away();
        return None;
    };
    let gate = route.gate.borrow().clone();
    if let Some((set, at)) = gate.by_name(hello.name.as_deref()) {
        return Some((set, Some(at)));
    }
    if gate.has_own() {
        return Some((route.own.clone(), None));
    }
    route.register.turned_away();
    let (mut read, mut write) = client.split();
    // One that is gone already cannot be told.
    if write_all(&mut write, [UNRECOGNIZED_NAME, &[]], config.linger_time, &Cell::new(0)).await.is_ok() {
        linger(&mut read, &mut write, config.linger_time).await;
    }
    None
}

/// `None`: it is not TLS, or ended before it was whole.
async fn read_hello(client: &mut Stream, inbox: &mut Inbox) -> Option<Hello> {
    let (mut read, _) = client.split();
    loop {
        // The bound on a hello is less than the room of an inbox.
        if inbox.fill(&mut read).await.ok()? == 0 {
            return None;
        }
        if let Some(hello) = hello(inbox.bytes()).ok()? {
            return Some(hello);
        }
    }
}
