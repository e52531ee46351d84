//! Credentials, by the chain that AWS's own tools go by: the environment, the shared files, the container's address for them,
//! the machine's.
//!
//! Those that end are had anew some minutes before; as long as they last, a source that does not answer is no fault.

mod container;
mod process;

use crate::metadata::Metadata;
use crate::profiles::{Profile, Profiles};
use crate::{Environment, Fault};
use aws_credential_types::Credentials;
use jiff::Timestamp;
use serde::Deserialize;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// Credentials that last less long are had anew.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// A source that failed is not asked again at once, as long as what there is lasts.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Where credentials come from, and those that are held.
pub struct Chain {
    profile: Option<String>,
    environment: Environment,
    held: Mutex<Option<Held>>,
}

/// Credentials, from where, and when to have them anew.
#[derive(Clone)]
pub struct Held {
    pub credentials: Credentials,
    /// For people: `profile ops`.
    pub source: String,
    renew: Option<SystemTime>,
}

impl Chain {
    /// With a profile of the shared files, or by the whole chain.
    pub fn new(profile: Option<String>, environment: Environment) -> Chain {
        Chain { profile, environment, held: Mutex::new(None) }
    }

    /// Credentials that last.
    ///
    /// # Errors
    /// There are none, or their source cannot be used.
    pub async fn get(&self) -> Result<Held, Fault> {
        let mut held = self.held.lock().await;
        let now = SystemTime::now();
        if let Some(known) = held.as_ref().filter(|known| known.renew.is_none_or(|renew| now < renew)) {
            return Ok(known.clone());
        }
        match self.find().await {
            Ok(found) => {
                *held = Some(found.clone());
                Ok(found)
            }
            Err(fault) => match held.as_mut().filter(|known| known.lasts(now)) {
                Some(known) => {
                    tracing::warn!(source = %known.source, %fault, "credentials could not be had anew; the present ones last");
                    known.renew = Some(now + ASK_AGAIN);
                    Ok(known.clone())
                }
                None => Err(fault),
            },
        }
    }

    /// The cloud did not accept what is held: the next question has it anew.
    pub async fn forget(&self) {
        *self.held.lock().await = None;
    }

    async fn find(&self) -> Result<Held, Fault> {
        if self.profile.is_none()
            && let Some(found) = by_environment(&self.environment)
        {
            return Ok(found);
        }
        let stated = self.profile.as_deref().or(self.environment.get("AWS_PROFILE"));
        let name = stated.unwrap_or("default");
        let profiles = Profiles::read(&self.environment)?;
        match profiles.get(name) {
            Some(profile) => {
                if let Some(found) = by_profile(name, profile).await? {
                    return Ok(found);
                }
            }
            None if stated.is_some() => {
                let places = profiles.places();
                return Err(Fault::Settings(format!("there is no profile {name} in {places}")));
            }
            None => {}
        }
        if self.profile.is_some() {
            let what = format!("the profile {name} has neither keys nor a credential_process");
            return Err(Fault::Settings(what));
        }
        if self.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
            return Err(not_supported("AWS_WEB_IDENTITY_TOKEN_FILE (a web identity)"));
        }
        if let Some(found) = container::credentials(&self.environment).await? {
            return Ok(found);
        }
        if let Some(found) = by_machine(&self.environment).await {
            return found;
        }
        Err(Fault::Settings(
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a `profile` of the shared \
             files in assets.yaml"
                .into(),
        ))
    }
}

impl Held {
    fn new(credentials: Credentials, source: impl Into<String>) -> Held {
        let renew = credentials.expiry().map(|expiry| expiry - RENEW_BEFORE);
        Held { credentials, source: source.into(), renew }
    }

    fn lasts(&self, now: SystemTime) -> bool {
        self.credentials.expiry().is_none_or(|expiry| now < expiry)
    }
}

fn by_environment(environment: &Environment) -> Option<Held> {
    let key = environment.get("AWS_ACCESS_KEY_ID")?;
    let secret = environment.get("AWS_SECRET_ACCESS_KEY")?;
    let session = environment.get("AWS_SESSION_TOKEN").map(str::to_string);
    Some(Held::new(Credentials::new(key, secret, session, None, "environment"), "the environment"))
}

/// Keys, or a program that gives some. What needs another service of AWS is told.
async fn by_profile(name: &str, profile: &Profile) -> Result<Option<Held>, Fault> {
    let get = |key: &str| profile.get(key).filter(|value| !value.is_empty());
    let source = format!("profile {name}");
    if get("role_arn").is_some() {
        return Err(not_supported(&format!("the role_arn of the profile {name}")));
    }
    if let (Some(key), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
        let session = get("aws_session_token").cloned();
        return Ok(Some(Held::new(Credentials::new(key, secret, session, None, "profile"), source)));
    }
    if let Some(command) = get("credential_process") {
        return process::credentials(command, &source).await.map(Some);
    }
    if get("sso_session").or_else(|| get("sso_start_url")).is_some() {
        return Err(not_supported(&format!("the sign-in (sso) of the profile {name}")));
    }
    Ok(None)
}

fn not_supported(what: &str) -> Fault {
    Fault::Settings(format!(
        "{what} is not supported; write `credential_process = aws configure export-credentials --profile NAME` into a \
         profile of its own, and name that one"
    ))
}

/// Of the machine's own role. `None`: this is no machine of EC2, or it has none.
async fn by_machine(environment: &Environment) -> Option<Result<Held, Fault>> {
    const FOLDER: &str = "/latest/meta-data/iam/security-credentials/";
    let metadata = Metadata::of(environment)?;
    // Elsewhere nobody answers there.
    let role = metadata.text(FOLDER).await.ok()??;
    let role = role.lines().next().filter(|role| !role.is_empty())?;
    let document = match metadata.text(&format!("{FOLDER}{role}")).await {
        Ok(document) => document.unwrap_or_default(),
        Err(fault) => return Some(Err(fault)),
    };
    Some(Document::read(&document, &format!("the machine's role {role}")))
}

/// Credentials as containers' and machines' services, and programs, give them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
    version: Option<u32>,
}

impl Document {
    /// Nothing of the text is told where it cannot be read: part of it may be a secret.
    fn read(text: &str, source: &str) -> Result<Held, Fault> {
        let broken = |what: &str| Fault::Settings(format!("{source}: {what}"));
        let document: Document =
            serde_json::from_str(text).map_err(|_| broken("what it gives are no credentials in JSON"))?;
        if document.version.is_some_and(|version| version != 1) {
            return Err(broken("it gives credentials of a version other than 1"));
        }
        let ends = |text: &String| text.parse::<Timestamp>().map(SystemTime::from);
        let ends = document.expiration.as_ref().map(ends).transpose();
        let ends = ends.map_err(|_| broken("when its credentials end is no time"))?;
        if ends.is_some_and(|ends| ends <= SystemTime::now()) {
            return Err(broken("its credentials have ended already"));
        }
        let (key, secret) = (document.access_key_id, document.secret_access_key);
        Ok(Held::new(Credentials::new(key, secret, document.token, ends, "document"), source))
    }
}

#[cfg(test)]
mod tests;
