//! A second reader of HTTP/1.1, written from RFC 9112 alone, slowly and plainly: the measure for what the edge
//! takes and for what it sends. It shares nothing with the edge's own reader, and refuses whatever the standard
//! lets a recipient refuse.

/// A message as the standard has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The request line or the status line.
    pub first: String,
    /// Names in lower case, and values.
    pub fields: Vec<(String, String)>,
    /// The data, without its framing.
    pub body: Vec<u8>,
    /// How it was framed, in words.
    pub framed: &'static str,
    pub trailers: Vec<(String, String)>,
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub enum Next {
    /// A message, and how long it is.
    Message(Message, usize),
    /// The beginning of one: its head, if that is whole.
    Partial(Option<Message>),
    Invalid(&'static str),
}

/// Whose messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    Request,
    /// The answer to a request of that method; whether its sender has ended.
    Answer(&'a str, Ended),
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Ended {
    Yes,
    #[default]
    No,
}

impl Message {
    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap()
    }

    pub fn status(&self) -> u16 {
        self.first[9..12].parse().unwrap()
    }

    /// A request's path; the authority, where the target has one, else `Host`.
    pub fn target(&self) -> (String, String) {
        let target = self.first.split(' ').nth(1).unwrap();
        match target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")) {
            None => (target.to_owned(), self.field("host").unwrap_or_default().to_owned()),
            Some(_) => {
                let at = target[7..].find('/').map_or(target.len(), |at| at + 7);
                let path = if at == target.len() { "/" } else { &target[at..] };
                (path.to_owned(), target[7..at].to_owned())
            }
        }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Every message of `bytes` in order, and what is left over.
pub fn requests(mut bytes: &[u8]) -> (Vec<Message>, Next) {
    let mut all = Vec::new();
    loop {
        match next(bytes, Kind::Request) {
            Next::Message(message, length) => {
                all.push(message);
                bytes = &bytes[length..];
            }
            end => return (all, end),
        }
    }
}

/// The message at the beginning of `bytes`.
pub fn next(bytes: &[u8], kind: Kind<'_>) -> Next {
    match read(bytes, kind) {
        Ok((message, length)) => Next::Message(message, length),
        Err(Stop::Partial(message)) => Next::Partial(message),
        Err(Stop::Invalid(why)) => Next::Invalid(why),
    }
}

enum Stop {
    Partial(Option<Message>),
    Invalid(&'static str),
}

fn invalid<T>(why: &'static str) -> Result<T, Stop> {
    Err(Stop::Invalid(why))
}

fn read(bytes: &[u8], kind: Kind<'_>) -> Result<(Message, usize), Stop> {
    let mut at = 0;
    // "a server SHOULD ignore at least one empty line (CRLF) received prior to the request-line"
    while kind == Kind::Request && bytes[at..].starts_with(b"\r\n") {
        at += 2;
    }
    let first = line(bytes, &mut at)?;
    match kind {
        Kind::Request => check_request_line(&first)?,
        Kind::Answer(..) => check_status_line(&first)?,
    }
    let fields = fields(bytes, &mut at)?;
    let mut message = Message { first, fields, body: vec![], framed: "none", trailers: vec![] };
    let framing = framing(&message, kind)?;
    let whole = body(bytes, &mut at, &framing, kind, &mut message);
    match whole {
        Ok(()) => Ok((message, at)),
        Err(Stop::Partial(_)) => Err(Stop::Partial(Some(message))),
        Err(stop) => Err(stop),
    }
}

/// A line without its CRLF. Neither CR nor LF nor NUL may stand alone in it.
fn line(bytes: &[u8], at: &mut usize) -> Result<String, Stop> {
    let rest = &bytes[*at..];
    let end = rest.windows(2).position(|pair| pair == b"\r\n");
    let text = &rest[..end.unwrap_or(rest.len() - usize::from(rest.ends_with(b"\r")))];
    if text.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return invalid("a control byte");
    }
    let end = end.ok_or(Stop::Partial(None))?;
    *at += end + 2;
    // One byte, one character: what is beyond ASCII is opaque.
    Ok(text.iter().map(|byte| char::from(*byte)).collect())
}

fn check_request_line(first: &str) -> Result<(), Stop> {
    let parts: Vec<_> = first.split(' ').collect();
    let [method, target, version] = parts[..] else { return invalid("not three words and two spaces") };
    if !is_token(method) {
        return invalid("the method is no token");
    }
    // A URI has visible characters of ASCII alone; what browsers and curl send of other scripts is UTF-8. What is
    // asked for has no fragment.
    let bytes: Vec<u8> = target.chars().map(|c| c as u8).collect();
    let visible = bytes.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    if target.is_empty() || !visible || std::str::from_utf8(&bytes).is_err() || target.contains('#') {
        return invalid("the target is no URI");
    }
    if !(target.starts_with('/') || target == "*" || target.to_ascii_lowercase().starts_with("http://")) {
        return invalid("the target is neither a path nor an http address");
    }
    if !["HTTP/1.0", "HTTP/1.1"].contains(&version) {
        return invalid("the version");
    }
    Ok(())
}

fn check_status_line(first: &str) -> Result<(), Stop> {
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let good = status.is_some_and(|s| s.bytes().all(|b| b.is_ascii_digit()) && s.as_bytes()[0] != b'0');
    let spaced = first.get(8..9) == Some(" ") && matches!(first.get(12..13), None | Some(" "));
    if good && spaced { Ok(()) } else { invalid("the status line") }
}

fn fields(bytes: &[u8], at: &mut usize) -> Result<Vec<(String, String)>, Stop> {
    let mut fields = Vec::new();
    loop {
        let text = line(bytes, at)?;
        if text.is_empty() {
            return Ok(fields);
        }
        let Some((name, value)) = text.split_once(':') else { return invalid("a field without a colon") };
        if !is_token(name) {
            return invalid("a field's name is no token");
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
}

enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

fn framing(message: &Message, kind: Kind<'_>) -> Result<Framing, Stop> {
    let lengths = message.all("content-length");
    let codings = message.all("transfer-encoding");
    if !codings.is_empty() && (!lengths.is_empty() || message.first.contains("HTTP/1.0")) {
        return invalid("Transfer-Encoding where it must not be");
    }
    if lengths.len() > 1 || codings.len() > 1 {
        return invalid("said twice");
    }
    if let Kind::Request = kind {
        let hosts = message.all("host").len();
        if hosts > 1 || (hosts == 0 && message.first.ends_with("HTTP/1.1")) {
            return invalid("not one Host");
        }
    }
    let nothing = match kind {
        Kind::Request => false,
        Kind::Answer(method, _) => method == "HEAD" || matches!(message.status(), 100..200 | 204 | 304),
    };
    let length = match lengths.first() {
        Some(text) if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) => {
            return invalid("a length that is no number");
        }
        Some(text) => Some(text.parse().or(invalid("a length beyond all numbers"))?),
        None => None,
    };
    match (codings.first(), length) {
        (Some(coding), _) if !coding.eq_ignore_ascii_case("chunked") => invalid("another coding"),
        _ if nothing => Ok(Framing::None),
        (Some(_), _) => Ok(Framing::Chunked),
        (None, Some(length)) => Ok(Framing::Length(length)),
        (None, None) if kind == Kind::Request => Ok(Framing::None),
        (None, None) => Ok(Framing::UntilClose),
    }
}

fn body(bytes: &[u8], at: &mut usize, f: &Framing, kind: Kind<'_>, to: &mut Message) -> Result<(), Stop> {
    match f {
        Framing::None => Ok(()),
        Framing::Length(length) => {
            to.framed = "by length";
            data(bytes, at, *length, &mut to.body)
        }
        Framing::UntilClose => {
            to.framed = "until the end";
            data(bytes, at, (bytes.len() - *at) as u64, &mut to.body)?;
            match kind {
                Kind::Answer(_, Ended::No) => Err(Stop::Partial(None)),
                _ => Ok(()),
            }
        }
        Framing::Chunked => {
            to.framed = "in chunks";
            while chunk(bytes, at, &mut to.body)? {}
            to.trailers = fields(bytes, at)?;
            if to.trailers.iter().any(|(name, _)| is_framing(name)) {
                return invalid("a trailer that must not be one");
            }
            Ok(())
        }
    }
}

/// RFC 9110, section 6.5.1: what says how a message is framed, where it goes or whether it may.
fn is_framing(name: &str) -> bool {
    ["content-length", "transfer-encoding", "host", "connection", "trailer", "te", "upgrade", "authorization"]
        .contains(&name)
}

fn data(bytes: &[u8], at: &mut usize, length: u64, to: &mut Vec<u8>) -> Result<(), Stop> {
    let rest = &bytes[*at..];
    let Some(data) = usize::try_from(length).ok().and_then(|n| rest.get(..n)) else {
        return Err(Stop::Partial(None));
    };
    to.extend_from_slice(data);
    *at += data.len();
    Ok(())
}

/// Whether another follows.
fn chunk(bytes: &[u8], at: &mut usize, to: &mut Vec<u8>) -> Result<bool, Stop> {
    let head = line(bytes, at)?;
    let (size, extension) = head.split_once(';').map_or((head.as_str(), ""), |(size, ext)| (size, ext));
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return invalid("a chunk's size");
    }
    if !extension.is_ascii() {
        return invalid("a chunk's extension");
    }
    let size = u64::from_str_radix(size, 16).or(invalid("a chunk's size beyond all numbers"))?;
    if size == 0 {
        return Ok(false);
    }
    data(bytes, at, size, to)?;
    match bytes.get(*at..*at + 2) {
        Some(b"\r\n") => *at += 2,
        None if b"\r\n".starts_with(&bytes[*at..]) => return Err(Stop::Partial(None)),
        _ => return invalid("a chunk is longer than its size"),
    }
    Ok(true)
}

fn is_token(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(good)
}
