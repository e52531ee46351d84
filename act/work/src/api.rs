//! The work API: what a workload may ask, and what it is told.

use crate::Book;
use crate::error::WorkError;
use crate::span::parse_span;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use naru_model::{InstanceId, JobRecord, Outcome, Span};
use naru_supervise::lease::{Beat, Gate, Gone, Invalid, Refusal, Request as LeaseRequest};
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// Bytes of a body: a note of 1,000 bytes, each escaped, fits twice.
const BODY: usize = 16 << 10;
/// A body that takes longer is not sent by a program on this machine that is well.
const BODY_TIME: Duration = Duration::from_secs(10);
/// So long a look at the leases waits to become quiet, at most.
const QUIET_WAIT: Duration = Duration::from_secs(60);
const USAGE: &str = "POST $NARU_WORK_URL takes a lease, PUT $NARU_WORK_URL/ID keeps it, \
                     DELETE $NARU_WORK_URL/ID ends it, GET $NARU_WORK_URL tells what is in progress";

/// An answer that is not 2xx.
struct Problem {
    status: StatusCode,
    error: String,
    hint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeBody {
    #[serde(default)]
    name: String,
    #[serde(default)]
    ttl: Option<Ttl>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BeatBody {
    #[serde(default)]
    progress: Option<f64>,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ttl {
    Seconds(f64),
    Text(String),
}

/// Answers one request.
pub(crate) async fn answer(
    book: Book,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match route(&book, request).await {
        Ok((status, body)) => reply(status, &body),
        Err(problem) => {
            let body = json!({ "error": problem.error, "hint": problem.hint });
            let mut response = reply(problem.status, &body);
            if problem.status == StatusCode::METHOD_NOT_ALLOWED {
                let allowed = HeaderValue::from_static("GET, POST, PUT, DELETE");
                response.headers_mut().insert(ALLOW, allowed);
            }
            response
        }
    })
}

async fn route(book: &Book, request: Request<Incoming>) -> Result<(StatusCode, Value), Problem> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_end_matches('/').strip_prefix("/work/").unwrap_or_default().splitn(2, '/');
    let owner = parts.next().and_then(|token| book.owner(token));
    let id = owner.ok_or_else(|| problem(StatusCode::NOT_FOUND, "no instance has this address", USAGE))?;
    let query = request.uri().query().unwrap_or_default().to_owned();
    match (request.method().clone(), parts.next()) {
        (Method::POST, None) => {
            let key = request.headers().get("idempotency-key").cloned();
            take(book, &id, key, body(request).await?).await
        }
        (Method::GET, None) => look(book, &id, &query).await,
        (Method::PUT, Some(lease)) => beat(book, &id, lease, body(request).await?),
        (Method::DELETE, Some(lease)) => end(book, &id, lease, &query).await,
        _ => Err(problem(StatusCode::METHOD_NOT_ALLOWED, "this method does nothing here", USAGE)),
    }
}

async fn take(
    book: &Book,
    id: &InstanceId,
    key: Option<HeaderValue>,
    body: Bytes,
) -> Result<(StatusCode, Value), Problem> {
    let body: TakeBody = parse(&body, r#"send JSON such as {"name": "page 7", "ttl": "30s"}"#)?;
    let ttl = body.ttl.map(Ttl::span).transpose()?;
    let mut request = LeaseRequest::new(&body.name, ttl).map_err(invalid)?;
    if let Some(key) = key {
        request = request.keyed(&String::from_utf8_lossy(key.as_bytes())).map_err(invalid)?;
    }
    let ttl = request.ttl().0 as f64 / 1e3;
    match book.take(id, request).await? {
        Ok((lease, gate)) => {
            Ok((StatusCode::CREATED, json!({ "id": lease, "ttl": ttl, "quiet": gate >= Gate::Quiet })))
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

fn beat(book: &Book, id: &InstanceId, lease: &str, body: Bytes) -> Result<(StatusCode, Value), Problem> {
    let body: BeatBody = if body.is_empty() {
        BeatBody::default()
    } else {
        parse(&body, r#"send nothing, or JSON such as {"progress": 0.5, "note": "page 7 of 14"}"#)?
    };
    let beat = Beat::new(body.progress, body.note).map_err(invalid)?;
    let gate = book.beat(id, lease, beat).map_err(gone)?;
    Ok((StatusCode::OK, json!({ "quiet": gate >= Gate::Quiet })))
}

async fn end(book: &Book, id: &InstanceId, lease: &str, query: &str) -> Result<(StatusCode, Value), Problem> {
    let outcome = match query {
        "" | "outcome=done" => Outcome::Done,
        "outcome=failed" => Outcome::Failed,
        _ => {
            let said = format!("?{query} is not understood");
            return Err(problem(
                StatusCode::BAD_REQUEST,
                said,
                "a lease ends with ?outcome=done or ?outcome=failed",
            ));
        }
    };
    book.end(id, lease, outcome).await?.map_err(gone)?;
    Ok((StatusCode::OK, json!({ "id": lease, "outcome": outcome })))
}

async fn look(book: &Book, id: &InstanceId, query: &str) -> Result<(StatusCode, Value), Problem> {
    match query {
        "" => {}
        "wait=quiet" => wait_quiet(book, id).await,
        _ => {
            let said = format!("?{query} is not understood");
            return Err(problem(StatusCode::BAD_REQUEST, said, "?wait=quiet waits up to 60 s for quiet"));
        }
    }
    let (gate, jobs) = book.read(id, |ledger| {
        let jobs: Vec<JobRecord> = ledger.jobs().cloned().collect();
        (ledger.gate(), jobs)
    });
    Ok((
        StatusCode::OK,
        json!({ "quiet": gate >= Gate::Quiet, "stopping": gate == Gate::Closed, "jobs": jobs }),
    ))
}

async fn wait_quiet(book: &Book, id: &InstanceId) {
    let mut changed = book.changed();
    let quiet = async {
        while book.read(id, |ledger| ledger.gate() == Gate::Open) {
            if changed.changed().await.is_err() {
                break;
            }
        }
    };
    // Either way the answer says how it is now.
    let _ = tokio::time::timeout(QUIET_WAIT, quiet).await;
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let read = Limited::new(request.into_body(), BODY).collect();
    match tokio::time::timeout(BODY_TIME, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let said = format!("the body has more than {BODY} bytes");
            Err(problem(StatusCode::PAYLOAD_TOO_LARGE, said, "keep the name and the note short"))
        }
        Ok(Err(error)) => {
            Err(problem(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"), USAGE))
        }
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, "the body did not come within 10 s", USAGE)),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], hint: &str) -> Result<T, Problem> {
    let bad = |error| problem(StatusCode::BAD_REQUEST, format!("the body is not understood: {error}"), hint);
    serde_json::from_slice(body).map_err(bad)
}

impl Ttl {
    fn span(self) -> Result<Span, Problem> {
        match self {
            Ttl::Seconds(seconds) if seconds >= 0.0 => Ok(Span((seconds * 1e3) as u64)),
            Ttl::Seconds(seconds) => Err(format!("{seconds} s is no ttl")),
            Ttl::Text(text) => parse_span(&text).map_err(|error| error.to_string()),
        }
        .map_err(|error| problem(StatusCode::BAD_REQUEST, error, TTL_HINT))
    }
}

const TTL_HINT: &str = "give the ttl as seconds (30) or as text (\"30s\"); a heartbeat must come within it";

fn invalid(invalid: Invalid) -> Problem {
    let hint = match invalid {
        Invalid::NoName => "give it one that a person who waits for it understands",
        Invalid::LongName(_) | Invalid::LongNote(_) => "shorten it: people read it on a terminal",
        Invalid::Key(_) => "Idempotency-Key names one try to take a lease: a UUID, say",
        Invalid::Ttl(_) => TTL_HINT,
        Invalid::Progress(_) => "give the share that is done: 0.5 for half",
    };
    problem(StatusCode::BAD_REQUEST, invalid.to_string(), hint)
}

fn refused(refusal: Refusal) -> Problem {
    let (status, hint) = match refusal {
        Refusal::Closed => (StatusCode::CONFLICT, "do not begin this job here; another instance takes it"),
        Refusal::Full => (StatusCode::TOO_MANY_REQUESTS, "end leases with DELETE when their job has ended"),
    };
    problem(status, refusal.to_string(), hint)
}

fn gone(gone: Gone) -> Problem {
    let (status, hint) = match gone {
        Gone::Unknown => (StatusCode::NOT_FOUND, "use the id that POST answered with"),
        Gone::Ended(_) => (StatusCode::GONE, "take a new lease for new work"),
    };
    problem(status, gone.to_string(), hint)
}

impl From<WorkError> for Problem {
    fn from(error: WorkError) -> Problem {
        let hint = "nothing is lost; try again, and look at the disk that holds NARU_HOME";
        problem(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), hint)
    }
}

fn problem(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Problem {
    Problem { status, error: error.into(), hint: hint.into() }
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut text = body.to_string();
    text.push('\n');
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
