//! By webhook: one POST of JSON, signed.
//!
//! The body is what Slack, Mattermost, Rocket.Chat and others take: `text`, and one attachment with title, text and fields. What
//! came from people is data in it: `<`, `>` and `&` are escaped, so that a reason calls nobody and links nowhere.

use crate::channel::Fault;
use crate::notice::Notice;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use naru_http::{Http, Patience};
use serde_json::json;
use sha2::Sha256;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), answer: Duration::from_secs(10) };

/// What is read of an answer.
const ANSWER_MAX: usize = 4 << 10;

/// The header that says whose it is.
const SIGNATURE: &str = "naru-signature";

/// An address that takes notices.
pub(crate) struct Hook {
    uri: Uri,
    secret: Option<String>,
    http: Http,
}

/// `t=SECONDS,v1=DIGITS`: the time at which it was signed, in seconds since 1970, and the HMAC-SHA256 of `SECONDS.BODY` by the
/// secret, in hexadecimal digits. Whoever takes webhooks computes the same over the body as it came, compares, and refuses what was
/// signed long ago.
pub fn signature(secret: &str, seconds: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length does");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    digest.iter().fold(format!("t={seconds},v1="), |mut text, byte| {
        // A String takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Hook {
    /// The error says why this host cannot ask anybody.
    pub(crate) fn new(uri: Uri, secret: Option<String>) -> Result<Hook, String> {
        let http = match uri.scheme_str() {
            Some("http") => Http::plain(PATIENCE),
            _ => Http::secure(PATIENCE).map_err(|fault| fault.to_string())?,
        };
        Ok(Hook { uri, secret, http })
    }

    pub(crate) async fn send(&self, notice: &Notice) -> Result<(), Fault> {
        let body = body(notice);
        let mut request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("naru/", env!("CARGO_PKG_VERSION")));
        if let Some(secret) = &self.secret {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            request = request.header(SIGNATURE, signature(secret, now, &body));
        }
        let request =
            request.body(Full::new(body.into())).map_err(|error| Fault::Lasting(error.to_string()))?;
        self.ask(request).await
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(), Fault> {
        let answer = self.http.send(request, ANSWER_MAX).await;
        let answer = answer.map_err(|fault| Fault::Passing(fault.to_string()))?;
        let status = answer.status;
        // What is said besides its status may help; that it cannot be read changes nothing.
        let said = answer.body.map(|said| String::from_utf8_lossy(&said).into_owned()).unwrap_or_default();
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let said: String = said.chars().take(200).map(clean).collect();
        let told = format!("it answers {status}: {}", said.trim());
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(Fault::Passing(told)),
            status if status.is_server_error() => Err(Fault::Passing(told)),
            _ => Err(Fault::Lasting(told)),
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(crate) fn body(notice: &Notice) -> Vec<u8> {
    let Notice { time, title, text, link, fields } = notice;
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| json!({ "title": escaped(name), "value": escaped(value), "short": true }))
        .collect();
    let mut attachment = json!({
        "fallback": escaped(title), "title": escaped(title), "text": escaped(text), "fields": fields, "ts": time.0 / 1_000,
    });
    if let Some(link) = link {
        attachment["title_link"] = json!(link);
    }
    json!({ "text": escaped(title), "attachments": [attachment] }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{body, signature};
    use crate::Notice;
    use naru_model::Time;

    #[test]
    fn the_signature_is_that_of_any_other_program() {
        // printf '1700000000.{"text":"x"}' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            signature("secret", 1_700_000_000, b"{\"text\":\"x\"}"),
            "t=1700000000,v1=95828cdf0193f2c5d4ff03d8951c5c7b2ed216699996680da93f0ba416579299"
        );
    }

    #[test]
    fn what_people_wrote_calls_nobody() {
        let notice = Notice {
            time: Time(1_000),
            title: "kim asks: <!channel> & more".into(),
            text: "<https://evil.example|click>".into(),
            link: None,
            fields: vec![("<b>".into(), "x>y".into())],
        };
        let text = String::from_utf8(body(&notice)).unwrap();
        assert!(
            !text.contains('<') && !text.contains('>') && text.contains("&lt;!channel&gt; &amp; more"),
            "{text}"
        );
    }
}
