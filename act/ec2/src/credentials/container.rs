//! Credentials of a container, at the address that its surroundings name: of ECS, or of EKS.

use super::{Document, Held};
use crate::{Environment, Fault};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use naru_http::{Http, Patience};
use std::net::IpAddr;
use std::time::Duration;

/// The address is on the same machine.
const PATIENCE: Patience = Patience { connect: Duration::from_secs(2), answer: Duration::from_secs(5) };

/// A document has some KiB.
const ANSWER_MAX: usize = 1 << 20;

/// Where ECS gives them.
const ECS: &str = "http://169.254.170.2";

/// Hosts that may be asked without TLS, as AWS's tools have it: ECS's, EKS's, and this host.
const NEAR: [&str; 2] = ["169.254.170.2", "169.254.170.23"];

/// `None`: this is no such container.
pub async fn credentials(environment: &Environment) -> Result<Option<Held>, Fault> {
    let relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let whole = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let Some(address) = relative.map(|path| format!("{ECS}{path}")).or_else(|| whole.map(str::to_string))
    else {
        return Ok(None);
    };
    let uri: Uri = address.parse().ok().filter(|uri: &Uri| is_trusted(uri)).ok_or_else(|| {
        let text = "the container's address for credentials has to be https, or on this machine";
        Fault::Settings(text.into())
    })?;
    let mut request = Request::get(uri);
    if let Some(word) = authorization(environment)? {
        request = request.header("authorization", word);
    }
    let request = request.body(Full::default()).map_err(|_| {
        Fault::Settings("the container's word for its credentials is no field of HTTP".into())
    })?;
    let http = if address.starts_with("https:") { Http::secure(PATIENCE)? } else { Http::plain(PATIENCE) };
    let answer = http.send(request, ANSWER_MAX).await?;
    if answer.status != StatusCode::OK {
        let text = format!("the container's address for credentials answers {}", answer.status);
        return Err(Fault::Settings(text));
    }
    let body = answer.body?;
    Document::read(&String::from_utf8_lossy(&body), "the container's role").map(Some)
}

/// The word may be in a file, which is written anew from time to time.
fn authorization(environment: &Environment) -> Result<Option<String>, Fault> {
    let Some(path) = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") else {
        return Ok(environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_string));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::Settings(format!("{path} cannot be read: {error}")))?;
    Ok(Some(text.trim().to_string()))
}

fn is_trusted(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    uri.scheme_str() == Some("https")
        || uri.scheme_str() == Some("http")
            && (NEAR.contains(&host)
                || address.is_some_and(|address| address.is_loopback())
                || host == "localhost")
}
