//! A calendar, asked for at its address.

use crate::address::Address;
use crate::copies::Calendar;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Full;
use naru_http::{Http, Patience};
use std::thread;
use std::time::Duration;
use tokio::runtime;

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;

/// How long a question may take, and how long its answer may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub connect: Duration,
    /// Redirects included.
    pub whole: Duration,
    pub bytes: usize,
}

/// What came.
pub(crate) enum Came {
    /// A text; whether it is a calendar is not known yet.
    Text(Calendar),
    /// The other side says that the copy is as good.
    Same,
}

/// Asks. Whoever calls may or may not be at work for a runtime: this has a thread of its own.
pub(crate) fn fetch(address: &Address, copy: Option<&Calendar>, bounds: Bounds) -> Result<Came, String> {
    let asked = || -> Result<Came, String> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("this process cannot ask: {error}"))?;
        let came = runtime.block_on(async {
            let in_time = tokio::time::timeout(bounds.whole, follow(address.clone(), copy, bounds)).await;
            in_time.unwrap_or_else(|_| Err(format!("it did not come within {:?}", bounds.whole)))
        });
        // A name that is looked up for minutes must not hold this up.
        runtime.shutdown_background();
        came
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("calendars".into()).spawn_scoped(scope, asked);
        let thread = thread.map_err(|error| format!("this process cannot ask: {error}"))?;
        thread.join().unwrap_or_else(|_| Err("asking for it failed".into()))
    })
}

async fn follow(mut address: Address, copy: Option<&Calendar>, bounds: Bounds) -> Result<Came, String> {
    for _ in 0..=REDIRECTS_MAX {
        let patience = Patience { connect: bounds.connect, answer: bounds.whole };
        let http = if address.is_secure() { Http::secure(patience) } else { Ok(Http::plain(patience)) };
        let http = http.map_err(|fault| fault.to_string())?;
        let answer = http.send(request(&address, copy)?, bounds.bytes).await;
        let answer = answer.map_err(|fault| fault.to_string())?;
        match answer.status {
            StatusCode::OK => {
                let body = answer.body.map_err(|fault| fault.to_string())?;
                return text(&answer.headers, &body).map(Came::Text);
            }
            StatusCode::NOT_MODIFIED if copy.is_some() => return Ok(Came::Same),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let location = field(&answer.headers, header::LOCATION).unwrap_or_default();
                address = address.redirected(&location)?;
            }
            status => return Err(format!("it answers {status}")),
        }
    }
    Err(format!("it leads on more than {REDIRECTS_MAX} times"))
}

fn request(address: &Address, copy: Option<&Calendar>) -> Result<Request<Full<Bytes>>, String> {
    let fields = [
        (header::ACCEPT, Some("text/calendar, */*;q=0.1")),
        (header::USER_AGENT, Some(concat!("naru/", env!("CARGO_PKG_VERSION")))),
        (header::AUTHORIZATION, address.authorization.as_deref()),
        (header::IF_NONE_MATCH, copy.and_then(|copy| copy.etag.as_deref())),
        (header::IF_MODIFIED_SINCE, copy.and_then(|copy| copy.last_modified.as_deref())),
    ];
    let mut request = Request::get(address.whole());
    for (name, value) in fields {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    // The error would show what may be a secret.
    request.body(Full::default()).map_err(|_| "it cannot be asked for by HTTP".into())
}

fn text(headers: &HeaderMap, body: &[u8]) -> Result<Calendar, String> {
    let text = std::str::from_utf8(body).map_err(|_| "what it answers is not UTF-8 text".to_string())?;
    Ok(Calendar {
        text: text.trim_start_matches('\u{feff}').into(),
        etag: field(headers, header::ETAG),
        last_modified: field(headers, header::LAST_MODIFIED),
    })
}

fn field(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_string())
}
