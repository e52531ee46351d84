//! Answers as a reader has them that shares nothing with the edge's: heads by httparse, bodies by hand.

/// An answer, the interim ones before it left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) extent: Extent,
    /// Bytes that it is, with the interim ones.
    pub(crate) length: usize,
}

/// How much of it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// All that came is it, and only the end of the connection says that it is whole.
    UntilEnd,
    Part,
}

enum Framing {
    None,
    Length(usize),
    Chunks,
    UntilEnd,
}

impl Answer {
    /// Reads the first answer. `None`: there is no head that is one.
    pub(crate) fn read(bytes: &[u8], method: &str) -> Option<Answer> {
        let mut at = 0;
        loop {
            let mut room = [httparse::EMPTY_HEADER; 128];
            let mut head = httparse::Response::new(&mut room);
            let httparse::Status::Complete(length) = head.parse(&bytes[at..]).ok()? else { return None };
            let status = head.code?;
            at += length;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let bare = method == "HEAD" || matches!(status, 101 | 204 | 304);
            let framing = if bare { Framing::None } else { framing(head.headers)? };
            let (body, used, extent) = body(&framing, &bytes[at..]);
            return Some(Answer { status, body, extent, length: at + used });
        }
    }
}

fn framing(fields: &[httparse::Header<'_>]) -> Option<Framing> {
    let of = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    if let Some(coding) = of("transfer-encoding") {
        let is_chunked = coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return Some(if is_chunked { Framing::Chunks } else { Framing::UntilEnd });
    }
    match of("content-length") {
        Some(length) => Some(Framing::Length(std::str::from_utf8(length.value).ok()?.trim().parse().ok()?)),
        None => Some(Framing::UntilEnd),
    }
}

/// The data, how many bytes it stands in, and how much of it is there.
fn body(framing: &Framing, bytes: &[u8]) -> (Vec<u8>, usize, Extent) {
    match *framing {
        Framing::None => (vec![], 0, Extent::Whole),
        Framing::Length(length) if length <= bytes.len() => (bytes[..length].to_vec(), length, Extent::Whole),
        Framing::Length(_) => (bytes.to_vec(), bytes.len(), Extent::Part),
        Framing::UntilEnd => (bytes.to_vec(), bytes.len(), Extent::UntilEnd),
        Framing::Chunks => chunks(bytes),
    }
}

/// What is no chunk any more is as if it had not come.
fn chunks(bytes: &[u8]) -> (Vec<u8>, usize, Extent) {
    let (mut data, mut at) = (Vec::new(), 0);
    let part = |data| (data, bytes.len(), Extent::Part);
    loop {
        let Some((size, length)) = size(&bytes[at..]) else { return part(data) };
        at += length;
        if size == 0 {
            return match trailers(&bytes[at..]) {
                Some(length) => (data, at + length, Extent::Whole),
                None => part(data),
            };
        }
        let there = size.min(bytes.len() - at);
        data.extend_from_slice(&bytes[at..at + there]);
        at += there;
        if !bytes[at..].starts_with(b"\r\n") {
            return part(data);
        }
        at += 2;
    }
}

/// A chunk's size, and how long its line is.
fn size(bytes: &[u8]) -> Option<(usize, usize)> {
    let line = line(bytes)?;
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some((size, line.len() + 2))
}

/// How long the trailers are, with the empty line at their end.
fn trailers(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = line(&bytes[at..])?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some(at);
        }
    }
}

/// The first line, without its end.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some(&bytes[..end])
}
