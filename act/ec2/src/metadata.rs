//! What a machine of EC2 knows of itself, by its metadata service, version 2 (with a session).

use crate::{Environment, Fault};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use naru_http::{Http, Patience};
use std::path::Path;
use std::time::Duration;

/// It is one hop away, or it is not there: elsewhere, nobody answers at its address, and that takes until the limit.
const PATIENCE: Patience = Patience { connect: Duration::from_secs(1), answer: Duration::from_secs(3) };

/// Documents are a few KiB.
const ANSWER_MAX: usize = 1 << 20;

const ADDRESS: &str = "http://169.254.169.254";

/// Where firmware says which machine of EC2 this is, without any network.
const BOARD: &str = "/sys/devices/virtual/dmi/id/board_asset_tag";

/// The metadata service of this machine, if it is one of EC2.
#[derive(Clone)]
pub struct Metadata {
    http: Http,
    address: String,
}

impl Metadata {
    /// As the environment says. `None`: it says that there is none.
    pub fn of(environment: &Environment) -> Option<Metadata> {
        if environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true"))
        {
            return None;
        }
        let address = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(ADDRESS);
        Some(Metadata { http: Http::plain(PATIENCE), address: address.trim_end_matches('/').into() })
    }

    /// EC2's name for this machine, by its firmware or by this service. `None`: it is none of EC2.
    pub async fn machine(environment: &Environment) -> Option<String> {
        let service = Metadata::of(environment)?;
        if let Ok(Some(name)) = service.text("/latest/meta-data/instance-id").await {
            return Some(name).filter(|name| is_machine(name));
        }
        let board = tokio::fs::read_to_string(Path::new(BOARD)).await.ok()?;
        Some(board.trim().to_string()).filter(|name| is_machine(name))
    }

    /// What lies at a path. `None`: nothing.
    ///
    /// # Errors
    /// Nobody answers, or not as the service does.
    pub(crate) async fn text(&self, path: &str) -> Result<Option<String>, Fault> {
        let session =
            self.request(Method::PUT, "/latest/api/token", ("x-aws-ec2-metadata-token-ttl-seconds", "60"));
        let answer = self.http.send(session?, ANSWER_MAX).await?;
        if answer.status != StatusCode::OK {
            return Err(Fault::Lost(format!("the metadata service gives no session: {}", answer.status)));
        }
        let session = String::from_utf8_lossy(&answer.body?).into_owned();
        let request = self.request(Method::GET, path, ("x-aws-ec2-metadata-token", session.trim()))?;
        let answer = self.http.send(request, ANSWER_MAX).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(String::from_utf8_lossy(&answer.body?).trim().to_string())),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(Fault::Lost(format!("the metadata service answers {status} for {path}"))),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        header: (&str, &str),
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let url = format!("{}{path}", self.address);
        let request =
            Request::builder().method(method).uri(&url).header(header.0, header.1).body(Full::default());
        request.map_err(|error| {
            Fault::Settings(format!("{} is no address of a metadata service: {error}", self.address))
        })
    }
}

fn is_machine(name: &str) -> bool {
    name.len() <= 64
        && name.strip_prefix("i-").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_alphanumeric()))
}
