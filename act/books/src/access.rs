//! The access log at one worker: what of a request is noted while it lasts, the line that is made of it, and the batch
//! that lines are gathered in, since waking the thread that writes costs more than a line.

use crate::count::Entry;
use crate::file::{Batch, LogFile};
use crate::register::Named;
use crate::text;
use naru_carry::HeadText;
use naru_model::AccessFormat;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// A batch is handed on at this length.
const LONG: usize = 32 * 1024;

/// Or once its first line has waited for so long: what a killed edge may leave unwritten.
const WAIT: Duration = Duration::from_millis(100);

/// Longest method and id that are noted, longest host, and longest of the rest; more is cut off.
const SHORT: usize = 128;
const MIDDLE: usize = 256;
const REST: usize = 4096;

/// A request, as far as a log wants to know.
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Host and port, as the client wrote them.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// `HTTP/1.1`, for example.
    pub protocol: &'static str,
    /// The first value of a field, by its name in lower case.
    pub field: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

/// What a line is about, beside what the visit knows.
pub(super) struct Noted {
    outlet: Rc<Outlet>,
    at: SystemTime,
    protocol: &'static str,
    /// All texts, one after the other.
    text: HeadText,
    ends: [usize; FIELDS],
    /// What the instance gets beside the request's own lines.
    lines: String,
    instance: RefCell<Option<Rc<Entry>>>,
}

/// The noted texts, by their place.
#[derive(Clone, Copy)]
enum Field {
    Client,
    Method,
    Host,
    Path,
    Query,
    Agent,
    Referer,
    RequestId,
    TraceId,
}

const FIELDS: usize = 9;

/// How a visit went.
pub(super) struct Went {
    pub(super) status: u16,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) took: Duration,
    pub(super) first: Option<Duration>,
    pub(super) tries: u32,
    pub(super) reason: Option<&'static str>,
    pub(super) end: &'static str,
}

impl Noted {
    /// Notes a request; `None` for one whose head could not be understood. One without an id gets one.
    pub(super) fn new(outlet: Rc<Outlet>, client: &str, asked: Option<&Asked<'_>>) -> Noted {
        let mut noted = Noted {
            outlet,
            at: SystemTime::now(),
            protocol: asked.map_or("", |asked| asked.protocol),
            text: HeadText::borrow(),
            ends: [0; FIELDS],
            lines: String::new(),
            instance: RefCell::default(),
        };
        noted.add(Field::Client, client.as_bytes(), SHORT);
        let Some(asked) = asked else {
            noted.ends[1..].fill(noted.text.len());
            return noted;
        };
        noted.add(Field::Method, asked.method.as_bytes(), SHORT);
        noted.add(Field::Host, asked.host.as_bytes(), MIDDLE);
        let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
        noted.add(Field::Path, path.as_bytes(), REST);
        noted.add_by(Field::Query, query.as_bytes(), REST, text::query);
        let field = |name: &str| (asked.field)(name).unwrap_or_default();
        noted.add(Field::Agent, field("user-agent"), REST);
        noted.add_by(Field::Referer, field("referer"), REST, text::address);
        let (id, trace) = (field("x-request-id"), trace_id(field("traceparent")));
        let made = (id.is_empty() && trace.is_empty()).then(request_id);
        noted.add(Field::RequestId, made.as_ref().map_or(id, String::as_bytes), SHORT);
        noted.add(Field::TraceId, trace, SHORT);
        noted.lines = made.map(|id| format!("X-Request-Id: {id}\r\n")).unwrap_or_default();
        noted
    }

    /// What the instance gets beside the request's own lines: the id that it was given here.
    pub(super) fn lines(&self) -> &str {
        &self.lines
    }

    fn add(&mut self, field: Field, value: &[u8], most: usize) {
        self.add_by(field, value, most, |value, out| out.extend_from_slice(value));
    }

    fn add_by(&mut self, field: Field, value: &[u8], most: usize, how: impl Fn(&[u8], &mut Vec<u8>)) {
        how(&value[..value.len().min(most)], &mut self.text);
        self.ends[field as usize] = self.text.len();
    }

    fn get(&self, field: Field) -> &[u8] {
        let at = field as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[Range { start, end: self.ends[at] }]
    }

    /// The instance that it is handed to.
    pub(super) fn handed(&self, to: &Rc<Entry>) {
        self.instance.replace(Some(to.clone()));
    }

    /// It is over: writes the line.
    pub(super) fn write(&self, went: &Went, rule: &Named) {
        self.outlet.line(|out| match self.outlet.format {
            AccessFormat::Json => self.json(went, rule, out),
            AccessFormat::Combined => self.combined(went, out),
        });
    }

    fn json(&self, went: &Went, rule: &Named, out: &mut Vec<u8>) {
        let time = moment(self.at);
        // Writing to memory cannot fail, here and below.
        let _ = write!(out, "{{\"time\":\"{time:.3}\"");
        let instance = self.instance.borrow();
        let (id, release) = match &*instance {
            Some(entry) => (entry.id.as_str(), entry.release.to_string()),
            None => ("", String::new()),
        };
        let texts: [(&str, &[u8]); 9] = [
            ("client", self.get(Field::Client)),
            ("method", self.get(Field::Method)),
            ("host", self.get(Field::Host)),
            ("path", self.get(Field::Path)),
            ("query", self.get(Field::Query)),
            ("protocol", self.protocol.as_bytes()),
            ("listener", rule.listener.as_bytes()),
            ("rule", rule.rule.as_bytes()),
            ("stack", rule.stack.as_str().as_bytes()),
        ];
        let service = rule.service.as_ref().map_or("", |service| service.as_str());
        let more: [(&str, &[u8]); 8] = [
            ("service", service.as_bytes()),
            ("instance", id.as_bytes()),
            ("user_agent", self.get(Field::Agent)),
            ("referer", self.get(Field::Referer)),
            ("request_id", self.get(Field::RequestId)),
            ("trace_id", self.get(Field::TraceId)),
            ("reason", went.reason.unwrap_or_default().as_bytes()),
            ("end", went.end.as_bytes()),
        ];
        for (name, value) in texts.into_iter().chain(more).filter(|(_, value)| !value.is_empty()) {
            let _ = write!(out, ",\"{name}\":");
            text::json(value, out);
        }
        if !release.is_empty() {
            let _ = write!(out, ",\"release\":{release}");
        }
        numbers(went, out);
        out.extend_from_slice(b"}\n");
    }

    fn combined(&self, went: &Went, out: &mut Vec<u8>) {
        text::apache(self.get(Field::Client), out);
        let _ = write!(out, " - - [{}] \"", moment(self.at).strftime("%d/%b/%Y:%H:%M:%S +0000"));
        text::apache(self.get(Field::Method), out);
        if !self.get(Field::Method).is_empty() {
            out.push(b' ');
            text::apache(self.get(Field::Path), out);
            if !self.get(Field::Query).is_empty() {
                out.push(b'?');
                text::apache(self.get(Field::Query), out);
            }
            let _ = write!(out, " {}", self.protocol);
        }
        // 499 is what others write for a client that left before there was a status.
        let status = if went.status == 0 { 499 } else { went.status };
        let _ = write!(out, "\" {status} {} \"", went.sent);
        text::apache(self.get(Field::Referer), out);
        out.extend_from_slice(b"\" \"");
        text::apache(self.get(Field::Agent), out);
        out.extend_from_slice(b"\"\n");
    }
}

fn numbers(went: &Went, out: &mut Vec<u8>) {
    let ms = |span: Duration| span.as_secs_f64() * 1000.0;
    let _ = match went.status {
        0 => write!(out, ",\"status\":null"),
        status => write!(out, ",\"status\":{status}"),
    };
    let _ = write!(out, ",\"bytes\":{},\"received\":{}", went.sent, went.received);
    let _ = write!(out, ",\"duration_ms\":{:.3},\"tries\":{}", ms(went.took), went.tries);
    if let Some(first) = went.first {
        let _ = write!(out, ",\"first_byte_ms\":{:.3}", ms(first));
    }
}

fn moment(at: SystemTime) -> jiff::Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    jiff::Timestamp::from_millisecond(since.as_millis() as i64).unwrap_or_default()
}

/// The trace's id of a `traceparent` (W3C Trace Context), if that is one.
fn trace_id(parent: &[u8]) -> &[u8] {
    let parts: Vec<&[u8]> = parent.splitn(4, |byte| *byte == b'-').collect();
    let is_hex = |id: &[u8]| id.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
    match parts[..] {
        [[_, _], id, span, _] if id.len() == 32 && span.len() == 16 && is_hex(id) && is_hex(span) => id,
        _ => b"",
    }
}

/// A new one: 32 hexadecimal digits that nobody can foretell from those before.
fn request_id() -> String {
    thread_local! {
        static KEY: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    }
    KEY.with(|(key, count)| {
        count.set(count.get() + 1);
        format!("{:016x}{:016x}", key.hash_one((count.get(), 0)), key.hash_one((count.get(), 1)))
    })
}

/// Where a listener's lines go at one worker.
pub(super) struct Outlet {
    pub(super) format: AccessFormat,
    pub(super) file: Arc<LogFile>,
    gathered: Rc<Gathered>,
}

struct Gathered {
    batch: RefCell<Batch>,
    /// Told with the first line of a batch, and at the end.
    begun: Notify,
    ended: Cell<bool>,
}

impl Outlet {
    pub(super) fn new(file: Arc<LogFile>, format: AccessFormat) -> Outlet {
        let gathered = Gathered { batch: RefCell::default(), begun: Notify::new(), ended: Cell::new(false) };
        let outlet = Outlet { format, file, gathered: Rc::new(gathered) };
        let (own, file) = (outlet.gathered.clone(), outlet.file.clone());
        tokio::task::spawn_local(async move {
            while !own.ended.get() {
                own.begun.notified().await;
                tokio::time::sleep(WAIT).await;
                own.hand_on(&file);
            }
        });
        outlet
    }

    fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let long = {
            let mut batch = self.gathered.batch.borrow_mut();
            write(&mut batch.text);
            batch.lines += 1;
            if batch.lines == 1 {
                self.gathered.begun.notify_one();
            }
            batch.text.len() >= LONG
        };
        if long {
            self.flush();
        }
    }

    /// Hands on what is there.
    pub(super) fn flush(&self) {
        self.gathered.hand_on(&self.file);
    }
}

impl Gathered {
    fn hand_on(&self, file: &LogFile) {
        let batch = self.batch.take();
        if batch.lines > 0 {
            file.put(batch);
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.flush();
        self.gathered.ended.set(true);
        self.gathered.begun.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::{request_id, trace_id};

    #[test]
    fn a_traces_id_is_taken_only_from_a_valid_parent() {
        let id = b"0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace_id(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), id);
        for wrong in ["", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-0af7-b7ad-01", "a-b"]
        {
            assert_eq!(trace_id(wrong.as_bytes()), b"", "{wrong}");
        }
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| request_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
