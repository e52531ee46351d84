//! What a connection begins with, and where its streams can be ended: known messages, any cut, and noise.

mod numbers;

use naru_model::ProxyVersion;
use naru_wire::{
    Events, Frames, HELLO, Hello, PROXY_HEADER, Peers, ProxyHeader, Unreadable, hello, proxy_header,
    write_proxy_header,
};
use numbers::Numbers;
use std::fmt::Debug;

/// Reads as a connection does: what has arrived so far, after each byte. `None`: it ended before it was whole.
fn byte_by_byte<T: PartialEq + Debug>(
    read: impl Fn(&[u8]) -> Result<Option<T>, Unreadable>,
    bytes: &[u8],
) -> Result<Option<T>, Unreadable> {
    let mut first = Ok(None);
    for n in 0..=bytes.len() {
        let now = read(&bytes[..n]);
        match &first {
            Ok(None) => first = now,
            // What follows changes nothing.
            said => assert_eq!(said, &now, "after {n} bytes of {}", bytes.escape_ascii()),
        }
    }
    first
}

impl Numbers {
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.below(256) as u8).collect()
    }
}

#[track_caller]
fn proxied(bytes: &[u8], expected: Result<&str, &str>) {
    let shown = |header: Option<ProxyHeader>| match header {
        None => "more".into(),
        Some(ProxyHeader { length, peers: None }) => format!("{length} own"),
        Some(ProxyHeader { length, peers: Some(peers) }) => {
            format!("{length} {} {}", peers.source, peers.destination)
        }
    };
    let read = byte_by_byte(proxy_header, bytes).map(shown).map_err(|unreadable| unreadable.0);
    assert_eq!(read.as_deref().map_err(|unreadable| *unreadable), expected, "{}", bytes.escape_ascii());
}

#[test]
fn a_proxy_line_is_read_strictly() {
    let line = "PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\nGET / HTTP/1.1\r\n";
    proxied(line.as_bytes(), Ok("45 192.0.2.1:40000 198.51.100.7:443"));
    let wide = b"PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 0\r\n";
    proxied(wide, Ok("43 [2001:db8::1]:1 [::ffff:1.2.3.4]:0"));
    proxied(b"PROXY UNKNOWN\r\n", Ok("15 own"));
    proxied(b"PROXY UNKNOWN what ever\r\nx", Ok("25 own"));
    proxied(b"PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r", Ok("more"));
    for invalid in [
        "PROXY TCP4 192.0.2.1 198.51.100.7 40000\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 40000 443 1\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.7 40000 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.7 40000 443\r\n",
        "PROXY TCP4 ::1 ::1 40000 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 40000 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 40000 +443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 040 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 40000 65536\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.7 40000 443\r\n",
        "PROXY UNKNOWNS\r\n",
    ] {
        proxied(invalid.as_bytes(), Err("the PROXY line is invalid"));
    }
    let byte = "the PROXY line has a byte that it cannot have";
    proxied(b"PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\n", Err(byte));
    proxied(b"PROXY UNKNOWN \xff\r\n", Err(byte));
    proxied(b"PROXY UNKNOWN x\rx\n", Err(byte));
    let none = "it does not begin with a PROXY header";
    proxied(b"GET / HTTP/1.1\r\n\r\n", Err(none));
    proxied(b"PROXX", Err(none));
    let long = "PROXY UNKNOWN ".to_string() + &"x".repeat(91);
    proxied((long.clone() + "\r\n").as_bytes(), Ok("107 own"));
    proxied((long + "x\r\n").as_bytes(), Err("the PROXY line is longer than 107 bytes"));
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

const FOUR: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 7, 0x9c, 0x40, 0x01, 0xbb];

#[test]
fn a_binary_proxy_header_is_read_strictly() {
    proxied(&binary(0x21, 0x11, FOUR), Ok("28 192.0.2.1:40000 198.51.100.7:443"));
    let mut six = [[0; 16], [0xff; 16]].concat();
    six[15] = 1;
    six.extend_from_slice(&[0, 1, 0, 2]);
    let told = "52 [::1]:1 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:2";
    proxied(&binary(0x21, 0x21, &six), Ok(told));
    proxied(&binary(0x20, 0x00, b""), Ok("16 own"));
    proxied(&binary(0x20, 0x11, FOUR), Ok("28 own"));
    proxied(&binary(0x21, 0x31, &[0; 216]), Ok("232 own"));
    proxied(&binary(0x21, 0x00, b""), Ok("16 own"));
    proxied(&binary(0x21, 0x11, FOUR)[..27], Ok("more"));
    let unknown = "the PROXY header's version or command is unknown";
    proxied(&binary(0x11, 0x11, FOUR), Err(unknown));
    proxied(&binary(0x22, 0x11, FOUR), Err(unknown));
    proxied(&binary(0x21, 0x13, FOUR), Err("the PROXY header's kind of address is unknown"));
    proxied(&binary(0x21, 0x11, &FOUR[..11]), Err("the PROXY header has no room for its addresses"));
    proxied(&binary(0x21, 0x11, &[0; 4081]), Err("the PROXY header is longer than 4096 bytes"));
}

#[test]
fn the_fields_of_a_binary_header_are_checked() {
    let with = |fields: &[u8]| binary(0x21, 0x11, &[FOUR, fields].concat());
    proxied(&with(&[0x04, 0, 2, 1, 2]), Ok("33 192.0.2.1:40000 198.51.100.7:443"));
    proxied(&with(&[0x04, 0, 2, 1]), Err("a field of the PROXY header ends after it"));
    proxied(&with(&[0x04, 0]), Err("a field of the PROXY header is cut off"));
    proxied(&with(&[0x03, 0, 1, 1]), Err("the PROXY header's checksum is not of four bytes"));
    // Computed from the definition, bit by bit, and not by the crate's table.
    let mut header = with(&[0x04, 0, 1, 9, 0x03, 0, 4, 0, 0, 0, 0]);
    let mut crc = !0u32;
    for byte in &header {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 });
    }
    let at = header.len() - 4;
    header[at..].copy_from_slice(&(!crc).to_be_bytes());
    proxied(&header, Ok("39 192.0.2.1:40000 198.51.100.7:443"));
    header[at] ^= 1;
    proxied(&header, Err("the PROXY header's checksum is wrong"));
}

#[test]
fn what_is_written_is_read_again() {
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        for (source, destination, read) in [
            ("192.0.2.1:1", "198.51.100.7:65535", ["192.0.2.1:1", "198.51.100.7:65535"]),
            ("[::ffff:192.0.2.1]:1", "198.51.100.7:2", ["192.0.2.1:1", "198.51.100.7:2"]),
            ("[2001:db8::1]:1", "[::1]:2", ["[2001:db8::1]:1", "[::1]:2"]),
            ("192.0.2.1:1", "[::1]:2", ["[::ffff:192.0.2.1]:1", "[::1]:2"]),
        ] {
            let peers = Peers { source: source.parse().unwrap(), destination: destination.parse().unwrap() };
            let mut out = Vec::new();
            write_proxy_header(version, &peers, &mut out);
            proxied(&out, Ok(&format!("{} {} {}", out.len(), read[0], read[1])));
        }
    }
}

/// A hello: extensions as (kind, body).
fn client_hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let each = extensions.iter().map(|(kind, body)| [&kind.to_be_bytes()[..], &sized(body)].concat());
    let extensions = each.collect::<Vec<_>>().concat();
    let random = [7; 32];
    let parts: [&[u8]; 6] =
        [&[3, 3], &random, &[4, 1, 2, 3, 4], &[0, 2, 0x13, 0x01], &[1, 0], &sized(&extensions)];
    let body = parts.concat();
    [&[1, 0][..], &sized(&body)].concat()
}

fn names(name: &str) -> (u16, Vec<u8>) {
    let length = name.len() as u16;
    let list = [&[0][..], &length.to_be_bytes(), name.as_bytes()].concat();
    (0, [&(length + 3).to_be_bytes()[..], &list].concat())
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
    message.chunks(size).map(record).collect::<Vec<_>>().concat()
}

#[test]
fn a_hello_says_its_name_and_protocols_whatever_its_records() {
    let alpn = (16, b"\x00\x0c\x02h2\x08http/1.1".to_vec());
    let message = client_hello(&[(10, vec![0, 2, 0, 29]), names("Shop.Example.com."), alpn]);
    let protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let told = Hello { name: Some("shop.example.com".into()), protocols };
    for size in [1, 2, 3, 4, 5, 17, 64, message.len()] {
        let mut bytes = records(&message, size);
        bytes.extend_from_slice(b"\x14\x03\x03\x00\x01\x01");
        assert_eq!(byte_by_byte(hello, &bytes), Ok(Some(told.clone())), "records of {size}");
    }
    assert_eq!(byte_by_byte(hello, &records(&client_hello(&[]), 100)), Ok(Some(Hello::default())));
}

#[track_caller]
fn no_hello(bytes: &[u8], reason: &'static str) {
    assert_eq!(byte_by_byte(hello, bytes), Err(Unreadable(reason)), "{}", bytes.escape_ascii());
}

#[test]
fn what_is_no_hello_is_refused() {
    let broken = "the TLS hello is invalid";
    no_hello(b"GET / HTTP/1.1\r\n", "it is not TLS");
    no_hello(b"\x16\x02", "its version of TLS is unknown");
    no_hello(b"\x16\x03\x01\x00\x00", "a TLS record has a length that it cannot have");
    no_hello(b"\x16\x03\x01\x40\x01", "a TLS record has a length that it cannot have");
    no_hello(b"\x16\x03\x01\x00\x04\x02", "its first TLS message is no hello");
    no_hello(&records(&client_hello(&[names("a"), names("b")]), 200), broken);
    no_hello(&records(&client_hello(&[(0, vec![0, 0])]), 200), broken);
    no_hello(&records(&client_hello(&[(16, vec![0, 1, 0])]), 200), broken);
    no_hello(&records(&client_hello(&[(16, vec![0, 5, 1, b'x'])]), 200), broken);
    let no_host = "the TLS hello asks for what is no name of a host";
    no_hello(&records(&client_hello(&[names("a b")]), 200), no_host);
    no_hello(&records(&client_hello(&[names("")]), 200), no_host);
    let mut longer = client_hello(&[names("a")]);
    longer[3] += 1;
    longer.push(0);
    no_hello(&records(&longer, 200), broken);
    let long = "the TLS hello is longer than 16 KiB";
    no_hello(&records(&client_hello(&[(21, vec![0; 17_000])]), 16_000), long);
    no_hello(&[&records(&[1, 0, 0x40, 0], 4)[..], &[22, 3, 1, 0x40, 0], &vec![0; HELLO]].concat(), long);
}

#[test]
fn a_hello_of_the_largest_size_is_read() {
    let around = records(&client_hello(&[(21, vec![]), names("a")]), HELLO).len();
    let padded = client_hello(&[(21, vec![0; HELLO - around]), names("a")]);
    let bytes = records(&padded, HELLO);
    assert_eq!(bytes.len(), HELLO);
    assert_eq!(hello(&bytes), Ok(Some(Hello { name: Some("a".into()), protocols: vec![] })));
    assert_eq!(hello(&bytes[..HELLO - 1]), Ok(None));
}

/// Whatever comes, nothing panics, nothing is needed beyond the bound, and what follows changes nothing.
#[test]
fn noise_is_refused_or_understood_in_one_way() {
    let mut numbers = Numbers(11);
    let message = client_hello(&[names("a.example"), (16, b"\x00\x03\x02h2".to_vec())]);
    let fields = [FOUR, &[0x04, 0, 2, 1, 2, 0x05, 0, 0]].concat();
    let samples = [
        records(&message, 500),
        records(&message, 9),
        binary(0x21, 0x11, &fields),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\n".to_vec(),
    ];
    for _ in 0..4000 {
        let mut bytes = samples[numbers.below(samples.len())].clone();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(bytes.len());
            bytes[at] = numbers.below(256) as u8;
        }
        let _ = (byte_by_byte(hello, &bytes), byte_by_byte(proxy_header, &bytes));
        let length = numbers.below(40);
        let noise = numbers.bytes(length);
        let _ = (byte_by_byte(hello, &noise), byte_by_byte(proxy_header, &noise));
    }
    for begin in [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], b"PROXY ", &records(&message, 500)[..20]] {
        let mut bytes = begin.to_vec();
        bytes.resize(HELLO.max(PROXY_HEADER), b'0');
        assert!(!matches!((proxy_header(&bytes), hello(&bytes)), (Ok(None), _) | (_, Ok(None))));
    }
}

fn frame(first: u8, payload: usize, mask: bool) -> Vec<u8> {
    let bit = if mask { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload {
        ..126 => frame.push(bit | payload as u8),
        126..65_536 => frame.extend([&[bit | 126][..], &(payload as u16).to_be_bytes()].concat()),
        _ => frame.extend([&[bit | 127][..], &(payload as u64).to_be_bytes()].concat()),
    }
    frame.extend(vec![0x88; payload + if mask { 4 } else { 0 }]);
    frame
}

#[test]
fn the_frames_of_a_websocket_are_told_apart_however_they_are_cut() {
    let frames = [
        frame(0x81, 0, false),
        frame(0x01, 5, false),
        frame(0x89, 125, true),
        frame(0x00, 126, false),
        frame(0x80, 65_535, false),
        frame(0x82, 65_536, true),
    ];
    let all = frames.concat();
    let ends: Vec<usize> = frames
        .iter()
        .scan(0, |sum, frame| {
            Some({
                *sum += frame.len();
                *sum
            })
        })
        .collect();
    let mut numbers = Numbers(3);
    for most in [1, 2, 3, 100, all.len()] {
        let (mut tracked, mut at, mut found) = (Frames::default(), 0, Vec::new());
        assert!(tracked.is_between());
        while at < all.len() {
            let piece = &all[at..all.len().min(at + 1 + numbers.below(most))];
            at += tracked.pass(piece);
            found.extend(tracked.is_between().then_some(at));
        }
        assert_eq!(found, ends, "pieces of up to {most}");
    }
    let mut closed = Frames::default();
    assert_eq!(closed.pass(&frame(0x88, 2, false)), 4);
    assert!(!closed.is_between(), "nothing may follow a close frame");
}

#[test]
fn events_are_told_apart_however_their_lines_end() {
    for (text, ends) in [
        ("data: a\n\ndata: b\n\n", &[9, 18][..]),
        ("data: a\r\n\r\ndata: b\r\rid: 1\n", &[10, 11, 20]),
        (": note\n: more\n\n\n", &[15, 16]),
        ("data\r\nx\r\n\r\n", &[10, 11]),
    ] {
        for most in [1, 3, text.len()] {
            let (mut events, mut at, mut found) = (Events::default(), 0, Vec::new());
            while at < text.len() {
                let piece = &text.as_bytes()[at..text.len().min(at + most)];
                let passed = events.pass(piece);
                at += passed.unwrap_or(piece.len());
                found.extend(passed.map(|_| at));
                assert_eq!(passed.is_some(), events.is_between());
            }
            assert_eq!(found, ends, "{text:?} in pieces of {most}");
        }
    }
}
