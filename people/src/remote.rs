//! Servers elsewhere: signed in to once, then reached by `--server`.

use crate::{Around, Problem, ask, span};
use clap::Args;
use naru_api::{Client, Fingerprint, Remote, fingerprint};
use naru_home::{Home, put_file, take_file};
use naru_model::Time;
use naru_who::{PeopleOrder, SignIn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The file in NARU_HOME, which only its owner may read.
const FILE: &str = "servers.json";

/// A server that one has signed in to.
#[derive(Clone, Serialize, Deserialize)]
struct Known {
    fingerprint: String,
    user: String,
    /// The token.
    token: String,
    id: Option<String>,
    until: Option<Time>,
}

type Servers = BTreeMap<String, Known>;

fn open(home: &Path) -> Result<(Home, Servers), Problem> {
    let failed = |error: String| Problem::failed(error, "see to NARU_HOME");
    let home = Home::open(home).map_err(|error| failed(error.to_string()))?;
    let file =
        take_file(&home.path(FILE)).map_err(|error| failed(format!("{FILE} cannot be read: {error}")))?;
    let servers = file.map_or(Ok(Servers::new()), |text| serde_json::from_slice(&text));
    let servers = servers
        .map_err(|_| failed(format!("{FILE} in NARU_HOME makes no sense: remove it, and sign in again")))?;
    Ok((home, servers))
}

fn keep(home: &Home, servers: &Servers) -> Result<(), Problem> {
    let text = serde_json::to_vec_pretty(servers).map_err(|error| Problem::failed(error, ""))?;
    put_file(&home.path(FILE), &text)
        .map_err(|error| Problem::failed(format!("{FILE} cannot be written: {error}"), "see to NARU_HOME"))
}

/// `https://HOST:PORT`, as it is kept, with its parts.
fn address(url: &str) -> Result<(String, String, u16), Problem> {
    let odd = || {
        Problem::Usage(
            format!("{url:?} is no server's address"),
            "write https://HOST:PORT, as `naru serve --listen` says it".into(),
        )
    };
    let rest = url.strip_prefix("https://").ok_or_else(odd)?.trim_end_matches('/');
    let (host, port) = rest.rsplit_once(':').ok_or_else(odd)?;
    let port: u16 = port.parse().map_err(|_| odd())?;
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    if host.is_empty() || host.contains('/') || host.contains('@') {
        return Err(odd());
    }
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    Ok((format!("https://{shown}:{port}"), host, port))
}

/// A client of a server that one has signed in to.
///
/// # Errors
/// One has not, or the sign-in has ended.
pub fn client(home: &Path, url: &str) -> Result<Client, Problem> {
    let (name, host, port) = address(url)?;
    let (_, servers) = open(home)?;
    let help = format!("`naru login {name}`");
    let known = servers
        .get(&name)
        .ok_or_else(|| Problem::Failed(format!("nobody has signed in to {name} here"), help.clone()))?;
    if known.until.is_some_and(|until| until <= span::now()) {
        return Err(Problem::Failed(format!("the sign-in to {name} has ended"), help));
    }
    let fingerprint = known.fingerprint.parse().map_err(|error: String| Problem::Failed(error, help))?;
    Ok(Client::remote(Remote { host, port, fingerprint, token: Some(known.token.clone()) }))
}

/// What `naru login` takes.
#[derive(Args, Debug)]
pub struct Login {
    /// `https://HOST:PORT`
    #[arg(value_name = "URL")]
    url: String,
    /// As whom; without, the name is that of your user here
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,
    /// The certificate's fingerprint, as its owner has told it
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<Fingerprint>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// Read a token from the first line of standard input, instead of a password
    #[arg(long, conflicts_with = "password_stdin")]
    token_stdin: bool,
}

impl Login {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let (name, host, port) = address(&self.url)?;
        let (home, mut servers) = open(&around.home()?)?;
        let shown = fingerprint(&host, port).await?;
        let known = servers.get(&name).and_then(|known| known.fingerprint.parse().ok());
        trust(&name, shown, self.fingerprint, known)?;
        let remote = |token| Client::remote(Remote { host: host.clone(), port, fingerprint: shown, token });
        let signed_in = if self.token_stdin {
            let token = ask::secret("", true)?;
            let user = remote(Some(token.clone())).people().await?.me;
            Known { fingerprint: shown.to_string(), user, token, id: None, until: None }
        } else {
            let user = self.user.or_else(|| std::env::home_dir().and_then(own_name)).unwrap_or_default();
            let password = ask::secret(&format!("Password of {user} at {name}: "), self.password_stdin)?;
            let answer = remote(None).sign_in(&SignIn { user: user.clone(), password }).await?;
            let token = answer.token.ok_or_else(|| Problem::failed("the server sent no token", ""))?;
            Known { fingerprint: shown.to_string(), user, token, id: answer.id, until: answer.until }
        };
        let until = signed_in.until.map_or(String::new(), |until| format!(" until {}", span::date(until)));
        around
            .result(&format!("signed in to {name} as {}; `--server {name}` uses it{until}", signed_in.user));
        servers.insert(name, signed_in);
        keep(&home, &servers)
    }
}

/// The folder of a user is usually called as the user.
fn own_name(home: std::path::PathBuf) -> Option<String> {
    Some(home.file_name()?.to_string_lossy().into_owned())
}

/// Whether the server is the one that is meant.
fn trust(
    name: &str,
    shown: Fingerprint,
    told: Option<Fingerprint>,
    known: Option<Fingerprint>,
) -> Result<(), Problem> {
    if let Some(told) = told {
        if told == shown {
            return Ok(());
        }
        let error = format!("{name} shows another certificate than that: {shown}");
        return Err(Problem::Failed(error, "somebody may be in between; ask its owner".into()));
    }
    if known == Some(shown) {
        return Ok(());
    }
    let changed = if known.is_some() { " It is another one than before." } else { "" };
    let question =
        format!("{name} shows the certificate {shown}.{changed} Is that what its owner has told you?");
    match ask::yes(&question) {
        Some(true) => Ok(()),
        Some(false) => Err(Problem::Failed(
            "not trusted: nothing was sent".into(),
            "ask its owner for the fingerprint".into(),
        )),
        None => Err(Problem::Usage(
            format!("nobody can be asked whether {shown} is the certificate of {name}"),
            "`--fingerprint` says it; `naru serve --listen` shows it on the server".into(),
        )),
    }
}

/// What `naru logout` takes.
#[derive(Args, Debug)]
pub struct Logout {
    /// `https://HOST:PORT`
    #[arg(value_name = "URL")]
    url: String,
}

impl Logout {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let (name, ..) = address(&self.url)?;
        let (home, mut servers) = open(&around.home()?)?;
        let Some(known) = servers.get(&name).cloned() else {
            return Err(Problem::Failed(format!("nobody has signed in to {name} here"), String::new()));
        };
        // A token that was handed over is somebody else's to end.
        if let Some(id) = known.id
            && let Ok(client) = client(&around.home()?, &name)
            && let Err(error) = client.change_people(&PeopleOrder::RemoveToken { id }).await
        {
            around.note(&format!("the token was not ended at the server: {error}"));
        }
        servers.remove(&name);
        keep(&home, &servers)?;
        around.result(&format!("signed out of {name}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(address("https://Naru.example:7700/").unwrap().0, "https://naru.example:7700");
        assert_eq!(address("https://[::1]:7700").unwrap(), ("https://[::1]:7700".into(), "::1".into(), 7700));
        for odd in ["http://a:1", "https://a", "https://:1", "a:1", "https://u@a:1", "https://a/b:1"] {
            assert!(address(odd).is_err(), "{odd}");
        }
    }
}
