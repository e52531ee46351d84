//! One region of one account: questions and requests, signed, with what is safe tried again.

use crate::credentials::Chain;
use crate::metadata::Metadata;
use crate::profiles::Profiles;
use crate::xml::{self, Element};
use crate::{Environment, Fault, answer};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use naru_http::{Http, Patience};
use naru_model::{Machine, MachineAct, RefusalKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// A region on the other side of the earth answers within a second; a page of many machines takes some.
const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), answer: Duration::from_secs(20) };

/// The most bytes of an answer: a page, many times over.
const ANSWER_MAX: usize = 16 << 20;

/// Machines of a page, and pages: what tags name is no more than a fleet.
const PAGE: usize = 200;
const PAGES_MAX: usize = 50;

/// How often something is tried in all.
const TRIES: u32 = 4;

/// Between tries: any time up to the first, doubled each time, up to the last.
const WAIT: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(5));

/// The version of the Query API.
const VERSION: &str = "2016-11-15";

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// What AWS's signatures take for plain.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which cloud, and with which credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The region. `None`: by the environment.
    pub region: Option<String>,
    /// The address of the API, instead of the region's.
    pub endpoint: Option<String>,
    /// The profile of the shared files. `None`: by the whole chain.
    pub profile: Option<String>,
}

/// One region of one account.
pub struct Ec2 {
    http: Http,
    endpoint: Uri,
    region: String,
    credentials: Chain,
}

/// What may be tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Whatever went wrong: it only reads.
    Always,
    /// Only what the cloud said had no effect, or that never left.
    Unheard,
}

/// Parameters of a request, in order.
type Parameters = Vec<(String, String)>;

impl Ec2 {
    /// A client. Nothing is asked of the cloud yet.
    ///
    /// # Errors
    /// Nothing says which region, or an address is none.
    pub async fn new(settings: &Settings, environment: &Environment) -> Result<Ec2, Fault> {
        let region = region(settings, environment).await?;
        let stated = settings.endpoint.as_deref();
        let stated =
            stated.or(environment.get("AWS_ENDPOINT_URL_EC2")).or(environment.get("AWS_ENDPOINT_URL"));
        let address = stated.map_or_else(|| of_region(&region), str::to_string);
        let endpoint: Uri = address
            .parse()
            .ok()
            .filter(|uri: &Uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
            .ok_or_else(|| {
                Fault::Settings(format!("{address:?} is no address of an API: write https://HOST"))
            })?;
        let is_secure = endpoint.scheme_str() == Some("https");
        let http = if is_secure { Http::secure(PATIENCE)? } else { Http::plain(PATIENCE) };
        let credentials = Chain::new(settings.profile.clone(), environment.clone());
        Ok(Ec2 { http, endpoint, region, credentials })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where the credentials come from, for people.
    ///
    /// # Errors
    /// There are none.
    pub async fn source(&self) -> Result<String, Fault> {
        Ok(self.credentials.get().await?.source)
    }

    /// The machines that have each of these tags with one of its values; of these ids only, if there are any.
    ///
    /// # Errors
    /// As every question.
    pub async fn machines(
        &self,
        tags: &BTreeMap<String, Vec<String>>,
        only: &[String],
    ) -> Result<Vec<Machine>, Fault> {
        let mut parameters: Parameters = vec![];
        let ids = (!only.is_empty()).then(|| ("instance-id".to_string(), only.to_vec()));
        let tags = tags.iter().map(|(key, values)| (format!("tag:{key}"), values.clone()));
        for (at, (name, values)) in tags.chain(ids).enumerate() {
            parameters.push((format!("Filter.{}.Name", at + 1), name));
            let numbered = values.into_iter().enumerate();
            parameters
                .extend(numbered.map(|(n, value)| (format!("Filter.{}.Value.{}", at + 1, n + 1), value)));
        }
        self.pages("DescribeInstances", parameters, answer::machines).await
    }

    /// What the cloud's own checks say of machines that run: id and word.
    ///
    /// # Errors
    /// As every question.
    pub async fn health(&self, ids: &[String]) -> Result<BTreeMap<String, String>, Fault> {
        let mut all = BTreeMap::new();
        for ids in ids.chunks(100) {
            let mut parameters: Parameters = vec![("Filter.1.Name".into(), "instance-state-name".into())];
            parameters.push(("Filter.1.Value.1".into(), "running".into()));
            let numbered = ids.iter().enumerate();
            parameters.extend(numbered.map(|(n, id)| (format!("InstanceId.{}", n + 1), id.clone())));
            let answer = self.call("DescribeInstanceStatus", parameters, Again::Always).await?;
            all.extend(answer::health(&answer).0);
        }
        Ok(all)
    }

    /// Asks for it. The state that it leads to is to be seen by looking.
    ///
    /// # Errors
    /// [`Fault::Refused`] and [`Fault::NotSent`]: it has no effect. [`Fault::Lost`]: that is not known.
    pub async fn act(&self, id: &str, act: MachineAct) -> Result<(), Fault> {
        let mut parameters: Parameters = vec![("InstanceId.1".into(), id.into())];
        let action = match act {
            MachineAct::Start => "StartInstances",
            MachineAct::Stop => "StopInstances",
            MachineAct::Hibernate => {
                parameters.push(("Hibernate".into(), "true".into()));
                "StopInstances"
            }
        };
        self.call(action, parameters, Again::Unheard).await.map(drop)
    }

    async fn pages<T>(
        &self,
        action: &str,
        parameters: Parameters,
        read: impl Fn(&Element) -> (Vec<T>, Option<String>),
    ) -> Result<Vec<T>, Fault> {
        let mut all = vec![];
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut parameters = parameters.clone();
            parameters.push(("MaxResults".into(), PAGE.to_string()));
            parameters.extend(next.map(|next| ("NextToken".into(), next)));
            let answer = self.call(action, parameters, Again::Always).await?;
            let (mut found, more) = read(&answer);
            all.append(&mut found);
            match more {
                Some(more) => next = Some(more),
                None => return Ok(all),
            }
        }
        let most = PAGE * PAGES_MAX;
        Err(Fault::Settings(format!("more than {most} machines have these tags: name fewer by more tags")))
    }

    /// Calls, and again where that is safe; each wait is any time up to a limit that doubles, so that many who wait do not
    /// come back together.
    async fn call(&self, action: &str, parameters: Parameters, again: Again) -> Result<Element, Fault> {
        let mut form = format!("Action={action}&Version={VERSION}");
        for (name, value) in &parameters {
            form +=
                &format!("&{}={}", utf8_percent_encode(name, ESCAPED), utf8_percent_encode(value, ESCAPED));
        }
        let form = Bytes::from(form);
        let mut limit = WAIT.0;
        let mut renewed = false;
        for left in (0..TRIES).rev() {
            let fault = match self.once(form.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let is_stale = matches!(&fault, Fault::Refused(no) if no.code.starts_with("ExpiredToken") || no.code == "AuthFailure");
            let may_be = match &fault {
                Fault::Refused(no) if no.kind == RefusalKind::Throttled => true,
                // A machine's or container's credentials may have been turned before they ended.
                Fault::Refused(_) if is_stale && !renewed => {
                    self.credentials.forget().await;
                    renewed = true;
                    true
                }
                Fault::Refused(_) | Fault::Settings(_) => false,
                Fault::NotSent(_) => true,
                Fault::Lost(_) => again == Again::Always,
            };
            if !may_be || left == 0 {
                return Err(fault);
            }
            let wait = limit.mul_f64(fastrand::f64());
            tracing::debug!(action, %fault, ?wait, "tried again");
            tokio::time::sleep(wait).await;
            limit = (limit * 2).min(WAIT.1);
        }
        unreachable!("the last try returns")
    }

    async fn once(&self, form: Bytes) -> Result<Element, Fault> {
        let request = self.signed(form).await?;
        let answer = self.http.send(request, ANSWER_MAX).await?;
        let host = self.endpoint.host().unwrap_or_default();
        let body = answer.body?;
        let text = std::str::from_utf8(&body).map_err(|error| error.to_string());
        let read = text.and_then(xml::read);
        if answer.status.is_success() {
            return read
                .map_err(|error| Fault::Lost(format!("the answer of {host} cannot be read: {error}")));
        }
        match read.ok().and_then(|read| answer::error(&read)) {
            Some(no)
                if answer.status.is_client_error()
                    || no.kind == RefusalKind::Throttled
                    || no.kind == RefusalKind::Capacity =>
            {
                Err(Fault::Refused(no))
            }
            Some(no) => Err(Fault::Lost(format!("{host} answers {}: {no}", answer.status))),
            None if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Fault::Refused(crate::refusal::refusal("RequestLimitExceeded", "")))
            }
            None => Err(Fault::Lost(format!("{host} answers {}, and not as EC2 does", answer.status))),
        }
    }

    async fn signed(&self, form: Bytes) -> Result<Request<Full<Bytes>>, Fault> {
        let held = self.credentials.get().await?;
        let unsigned =
            |what: &dyn std::fmt::Display| Fault::Settings(format!("a request cannot be signed: {what}"));
        let identity = held.credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("ec2")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let path = Some(self.endpoint.path()).filter(|path| !path.is_empty()).unwrap_or("/");
        let authority = self.endpoint.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let scheme = self.endpoint.scheme_str().unwrap_or("https");
        let url = format!("{scheme}://{authority}{path}");
        let headers = [("content-type", FORM), ("host", authority)];
        let body = SignableBody::Bytes(&form);
        let signable = SignableRequest::new("POST", url.as_str(), headers.into_iter(), body);
        let signable = signable.map_err(|error| unsigned(&error))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|error| unsigned(&error))?.into_parts();
        let builder = Request::builder()
            .method(Method::POST)
            .uri(&url)
            .header("content-type", FORM)
            .header("host", authority);
        let mut request = builder.body(Full::new(form.clone())).map_err(|error| unsigned(&error))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// Where AWS has the API of a region.
fn of_region(region: &str) -> String {
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://ec2.{region}.{end}")
}

/// The region as AWS's own tools find it: stated, by the environment, by the profile, by the machine.
async fn region(settings: &Settings, environment: &Environment) -> Result<String, Fault> {
    let stated = settings.region.as_deref();
    let stated = stated.or(environment.get("AWS_REGION")).or(environment.get("AWS_DEFAULT_REGION"));
    if let Some(region) = stated {
        return Ok(region.into());
    }
    let profile = settings.profile.as_deref().or(environment.get("AWS_PROFILE")).unwrap_or("default");
    let profiles = Profiles::read(environment)?;
    if let Some(region) = profiles.get(profile).and_then(|profile| profile.get("region")) {
        return Ok(region.clone());
    }
    if let Some(metadata) = Metadata::of(environment)
        && let Ok(Some(region)) = metadata.text("/latest/meta-data/placement/region").await
    {
        return Ok(region);
    }
    let text = "nothing says which region: write `region` into assets.yaml, or set AWS_REGION";
    Err(Fault::Settings(text.into()))
}

#[cfg(test)]
mod tests {
    use super::{Ec2, Settings};
    use crate::Environment;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let nothing =
            [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_CONFIG_FILE", "/nowhere"), ("HOME", "/nowhere")];
        nothing.iter().chain(pairs).map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[tokio::test]
    async fn regions_and_addresses_are_found_or_told() {
        let of = async |region: Option<&str>, endpoint: Option<&str>, pairs: &[(&str, &str)]| {
            let settings = Settings {
                region: region.map(Into::into),
                endpoint: endpoint.map(Into::into),
                profile: None,
            };
            let made = Ec2::new(&settings, &environment(pairs)).await;
            made.map(|ec2| (ec2.region.clone(), ec2.endpoint.to_string())).map_err(|fault| fault.to_string())
        };
        let pair = |a: &str, b: &str| Ok((a.to_string(), b.to_string()));
        assert_eq!(
            of(Some("cn-north-1"), None, &[]).await,
            pair("cn-north-1", "https://ec2.cn-north-1.amazonaws.com.cn/")
        );
        let local = [("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")];
        assert_eq!(of(None, None, &local).await, pair("eu-west-1", "http://127.0.0.1:5000/"));
        assert!(of(None, None, &[]).await.unwrap_err().starts_with("nothing says which region"));
        assert!(of(Some("x"), Some("ftp://x"), &[]).await.unwrap_err().contains("is no address of an API"));
    }
}
