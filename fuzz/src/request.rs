//! A request's head: what is taken is written so that it is read again as the same request.

use naru_wire::{Onward, Request, Room, Sender, Trust, find_end};

/// Reads and writes a head.
pub fn check(bytes: &[u8]) {
    let Ok(Some(end)) = find_end(bytes, 0) else { return };
    for seen in 0..end {
        assert_eq!(find_end(&bytes[..end], seen), Ok(Some(end)), "it is found from anywhere before it");
    }
    let mut room = Room::default();
    let Ok(request) = Request::read(&bytes[..end], &mut room) else { return };
    written(&request, Trust::Nothing);
    written(&request, Trust::Forwarded);
}

/// Writes it for an instance, and reads it again.
fn written(request: &Request<'_, '_>, trust: Trust) {
    let sender = Sender { client: "192.0.2.1", scheme: "http", address: "127.0.0.1:80", trust };
    let mut once = Vec::new();
    request.write(&sender, &Onward::default(), &mut once);
    assert_eq!(find_end(&once, 0), Ok(Some(once.len())), "one head is written");
    let mut room = Room::default();
    // What is added may be one field too many.
    let again = match Request::read(&once, &mut room) {
        Err(reject) if reject.status == 431 => return,
        again => again.expect("what is written is read"),
    };
    assert_eq!(again.head.framing, request.head.framing, "its body ends where it ended");
    assert_eq!((again.method, again.target), (request.method, request.target));
    assert_eq!(again.host, Some(request.host.unwrap_or(sender.address)));
    assert_eq!(again.head.upgrade, request.head.upgrade);
    for name in ["connection", "keep-alive", "te", "proxy-connection", "http2-settings"] {
        let left = again.field(name).is_some_and(|value| value != b"Upgrade");
        assert!(!left, "{name} is for one hop");
    }
    let told: Vec<_> = again.fields("x-forwarded-for").collect();
    assert!(matches!(told[..], [value] if value.ends_with(b"192.0.2.1")), "the client is told once");
    assert!(trust == Trust::Forwarded || told == [b"192.0.2.1"], "and nobody else is believed");
}
