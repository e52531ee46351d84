//! An answer's head: what is taken is written so that it is read again as the same answer.

use naru_wire::{
    Answering, Coding, Framing, Keep, Nature, Onward, Persistence, Request, RequestHead, ResponseHead, Room,
    Sender, Trust, Version, find_end, response,
};

/// The requests that answers are for.
const ASKED: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
];

/// Reads and writes a head, for a request that the first byte chooses.
pub fn check(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let Ok(Some(end)) = find_end(bytes, 0) else { return };
    let asked = asked(ASKED[usize::from(*choice) % ASKED.len()]);
    let wanted = if choice & 4 == 0 { Persistence::Keep } else { Persistence::Close };
    let coding = (choice & 8 != 0).then_some(Coding::Gzip);
    let mut once = Vec::new();
    let answering = Answering { coding, ..Answering::default() };
    let Ok(head) = response(&bytes[..end], &asked, wanted, &answering, &mut once) else { return };
    assert_eq!(find_end(&once, 0), Ok(Some(once.len())), "one head is written");
    let mut twice = Vec::new();
    let again = match response(&once, &asked, wanted, &Answering::default(), &mut twice) {
        // What is added may be one field too many.
        Err(reject) if reject.status == 431 => return,
        again => again.expect("what is written is read"),
    };
    assert_eq!((again.status, again.nature), (head.status, head.nature));
    agree(&head, &again, asked.version);
}

/// Whether the client is told what becomes of the body and of its connection.
fn agree(head: &ResponseHead, again: &ResponseHead, version: Version) {
    let unchunked = head.framing == Framing::Chunked && version == Version::Http10;
    let framing = match head.coding {
        Some(_) => Framing::Chunked,
        None if unchunked => Framing::UntilClose,
        None => head.framing,
    };
    assert_eq!(again.framing, framing, "its body ends where the client is told");
    let closes = head.client == Persistence::Close;
    let told = matches!(again.upstream, Keep::No);
    let settled = !matches!(head.nature, Nature::Interim | Nature::Upgraded);
    assert!(!settled || told == closes, "the client is told what becomes of its connection");
    if framing == Framing::UntilClose && settled {
        assert!(closes, "what has no other end ends with the connection");
    }
}

fn asked(head: &[u8]) -> RequestHead {
    let mut room = Room::default();
    let request = Request::read(head, &mut room).expect("a request");
    let sender = Sender { client: "::1", scheme: "http", address: "h", trust: Trust::Nothing };
    request.write(&sender, &Onward::default(), &mut Vec::new());
    request.head
}
