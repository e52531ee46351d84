//! Names and passwords of registries, as `docker login` and `podman login` leave them.
//!
//! They are read anew for each pull, handed to the engine, and are in no message. A helper program is asked where the
//! configuration names one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What Docker Hub is called in configurations.
const HUB: &str = "https://index.docker.io/v1/";
/// A helper that waits for somebody at a screen will not get an answer.
const HELPER: Duration = Duration::from_secs(10);

/// A configuration of Docker's or Podman's: the part about credentials.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    auths: BTreeMap<String, Auth>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity: Option<String>,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The registry of an image's reference: `ghcr.io` of `ghcr.io/a/b:1`, Docker Hub where none is named.
pub(crate) fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

/// The credentials for a registry, of the first configuration that has some.
pub(crate) async fn credentials(registry: &str) -> Option<DockerCredentials> {
    for path in places() {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let Ok(settings) = serde_json::from_slice::<Settings>(&bytes) else {
            tracing::warn!(path = %path.display(), "is no configuration of registries: passed over");
            continue;
        };
        if let Some(found) = settings.find(registry).await {
            return Some(found);
        }
    }
    None
}

/// All that configurations write down, by registry, for a build that may begin with any image. Helpers are asked for the
/// registries that the configuration names with them.
pub(crate) async fn all_credentials() -> HashMap<String, DockerCredentials> {
    let mut all = HashMap::new();
    for path in places() {
        let read = std::fs::read(&path).ok();
        let settings = read.and_then(|bytes| serde_json::from_slice::<Settings>(&bytes).ok());
        let Some(settings) = settings else { continue };
        for key in settings.auths.keys().chain(settings.helpers.keys()) {
            let registry = if key == HUB { "docker.io" } else { host_of(key) };
            if let Some(found) = settings.find(registry).await {
                all.entry(key.clone()).or_insert(found);
            }
        }
    }
    all
}

fn places() -> Vec<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = of("HOME");
    let docker = of("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
    let podman = of("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
    let all = [docker.map(|dir| dir.join("config.json")), of("REGISTRY_AUTH_FILE"), podman];
    let kept = home.map(|home| home.join(".config/containers/auth.json"));
    all.into_iter().chain([kept]).flatten().collect()
}

impl Settings {
    async fn find(&self, registry: &str) -> Option<DockerCredentials> {
        let names =
            if registry == "docker.io" { vec![HUB, "index.docker.io", "docker.io"] } else { vec![registry] };
        for name in names {
            if let Some(helper) = self.helpers.get(name).or(self.store.as_ref()) {
                match ask_helper(helper, name).await {
                    Ok(Some(found)) => return Some(found),
                    Ok(None) => {}
                    Err(why) => tracing::warn!(helper, registry, why, "gives no credentials"),
                }
            }
            let written = self.auths.iter().find(|(key, _)| *key == name || host_of(key) == name);
            if let Some(found) = written.and_then(|(key, auth)| auth.read(key)) {
                return Some(found);
            }
        }
        None
    }
}

/// Keys may be written as addresses: `https://ghcr.io/v2/`.
fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or(bare)
}

impl Auth {
    fn read(&self, server: &str) -> Option<DockerCredentials> {
        let decoded = self.auth.as_ref().and_then(|text| STANDARD.decode(text.trim()).ok());
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.trim_end_matches('\0').split_once(':'));
        let (username, password) = match pair {
            Some((name, password)) => (Some(name.to_owned()), Some(password.to_owned())),
            None => (self.username.clone(), self.password.clone()),
        };
        if username.is_none() && self.identity.is_none() {
            return None;
        }
        let password = password.filter(|_| self.identity.is_none());
        Some(DockerCredentials {
            username,
            password,
            identitytoken: self.identity.clone(),
            serveraddress: Some(server.to_owned()),
            ..DockerCredentials::default()
        })
    }
}

/// `docker-credential-NAME get`. `None`: it has nothing for that server.
async fn ask_helper(helper: &str, server: &str) -> Result<Option<DockerCredentials>, String> {
    if helper.contains('/') || Path::new(helper).components().count() != 1 {
        return Err("its name is a path".into());
    }
    let asked = async {
        let mut child = Command::new(format!("docker-credential-{helper}"))
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(server.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER, asked).await {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no answer within {} s", HELPER.as_secs())),
    };
    if !output.status.success() {
        return Ok(None);
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| "its answer is not understood")?;
    let server = Some(server.to_owned());
    let empty = DockerCredentials { serveraddress: server, ..DockerCredentials::default() };
    Ok(Some(if answer.username == "<token>" {
        DockerCredentials { identitytoken: Some(answer.secret), ..empty }
    } else {
        DockerCredentials { username: Some(answer.username), password: Some(answer.secret), ..empty }
    }))
}

#[cfg(test)]
mod tests {
    use super::{Settings, registry_of};

    #[test]
    fn the_registry_is_the_first_part_when_it_looks_like_a_host() {
        assert_eq!(registry_of("nginx:1"), "docker.io");
        assert_eq!(registry_of("library/nginx"), "docker.io");
        assert_eq!(registry_of("ghcr.io/a/b:1"), "ghcr.io");
        assert_eq!(registry_of("localhost/a"), "localhost");
        assert_eq!(registry_of("reg:5000/a"), "reg:5000");
    }

    /// `SERVER NAME PASSWORD TOKEN` of what is found.
    async fn check(json: &str, registry: &str) -> String {
        let settings: Settings = serde_json::from_str(json).unwrap();
        let Some(found) = settings.find(registry).await else { return "none".into() };
        let words = [found.serveraddress, found.username, found.password, found.identitytoken];
        words.map(Option::unwrap_or_default).join(" ")
    }

    #[tokio::test]
    async fn what_logins_leave_is_read() {
        let hub = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YW5uOnBhOnNz"}}}"#;
        assert_eq!(check(hub, "docker.io").await, "https://index.docker.io/v1/ ann pa:ss ");
        assert_eq!(check(hub, "ghcr.io").await, "none");
        let address = r#"{"auths": {"https://ghcr.io/v2/": {"auth": "YW5uOnBhc3M=", "identitytoken": "t"}}}"#;
        assert_eq!(check(address, "ghcr.io").await, "https://ghcr.io/v2/ ann  t");
        assert_eq!(check(r#"{"auths": {"ghcr.io": {}}}"#, "ghcr.io").await, "none");
    }

    #[tokio::test]
    async fn a_helper_that_is_not_there_leaves_what_is_written() {
        let json = r#"{"credsStore": "of-no-such-name", "auths": {"a.b": {"auth": "YTpi"}}}"#;
        assert_eq!(check(json, "a.b").await, "a.b a b ");
    }
}
