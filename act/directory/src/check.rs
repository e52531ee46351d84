//! The directory tried step by step, for whoever sets it up.

use crate::Refusal;
use crate::config::Begin;
use crate::connection::{Connection, Search};
use crate::directory::Directory;
use crate::groups;
use crate::person::{bind_name, find};
use ldap3::Scope;

/// A step, and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub name: &'static str,
    /// What came of it, or what is wrong and what to do.
    pub result: Result<String, String>,
}

/// Tells a step.
type Tell<'a> = &'a mut (dyn FnMut(Step) + Send);

/// What to do about a step that failed.
fn advice(step: &'static str, refusal: &Refusal) -> &'static str {
    let said = refusal.to_string();
    match step {
        "connect" => {
            "is the server on, is the port right (389 for ldap://, 636 for ldaps://), is a firewall in between?"
        }
        "TLS" if said.contains("UnknownIssuer") || said.contains("BadSignature") => {
            "the server's certificate is not from `ca`: put the certificate of its authority there"
        }
        "TLS" if said.contains("not valid for name") => {
            "name the server in `servers` as its certificate does"
        }
        "TLS" => "does the server have a certificate, and TLS at this port? ldap:// begins it by StartTLS",
        "service" => "is `service.dn` right, and the password in its file?",
        "people" => "is `people.base` right, and may the service account read it?",
        "groups" => "is `groups.base` right, and may the service account read it?",
        "entry" => "try `people.base` and `people.filter` with ldapsearch; `{name}` stands for the name",
        "password" => "the directory has the last word; its own log says more",
        _ => "the directory's own log says more",
    }
}

fn tell<T>(
    tell: Tell<'_>,
    name: &'static str,
    result: Result<T, Refusal>,
    said: impl FnOnce(&T) -> String,
) -> Option<T> {
    let told = match &result {
        Ok(value) => Ok(said(value)),
        Err(refusal) => Err(format!("{refusal}: {}", advice(name, refusal))),
    };
    tell(Step { name, result: told });
    result.ok()
}

/// Tries the server with this number: reached, TLS, the service account, where people and groups are.
pub async fn server(directory: &Directory, server: usize, told: Tell<'_>) {
    let config = &directory.config;
    let (at, timeouts) = (&config.servers[server], &config.timeouts);
    let reached = Connection::reach(at, timeouts).await;
    let peer = |stream: &tokio::net::TcpStream| {
        stream.peer_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
    };
    let Some(stream) = tell(told, "connect", reached, peer) else { return };
    let how = match at.begin {
        Begin::AtOnce => "from the first byte",
        Begin::StartTls => "by StartTLS",
    };
    let begun = Connection::begin(stream, at, &directory.tls, timeouts).await;
    if tell(told, "TLS", begun, |_| format!("{how}, its certificate is good for {}", at.host)).is_none() {
        return;
    }
    let Some(service) = &config.service else { return };
    let bound = directory.as_service(server).await;
    let Some(mut bound) = tell(told, "service", bound, |_| format!("signed in as {}", service.dn)) else {
        return;
    };
    let groups = config.groups.iter().map(|groups| ("groups", groups.base.as_str()));
    for (name, base) in std::iter::once(("people", config.people.base.as_str())).chain(groups) {
        let search =
            Search { base, scope: Scope::Base, filter: "(objectClass=*)", attributes: &["1.1"], most: 1 };
        let there = bound.search(&search).await.and_then(|found| {
            if found.is_empty() {
                Err(Refusal::Unusable(format!("there is nothing at {base}")))
            } else {
                Ok(())
            }
        });
        tell(told, name, there, |()| format!("{base} is there"));
    }
}

/// Tries somebody at the server with this number: which entry, whether the password fits, which groups.
pub async fn user(directory: &Directory, server: usize, name: &str, password: &str, told: Tell<'_>) {
    let config = &directory.config;
    let own = |dn: String| async move {
        let mut own = Connection::open(&config.servers[server], &directory.tls, &config.timeouts).await?;
        own.bind(&dn, password).await.map(|()| own)
    };
    let template = config.bind.as_deref().map(|template| bind_name(template, name));
    let mut early = None;
    if config.service.is_none() {
        let dn = template.clone().unwrap_or_default();
        let Some(bound) = tell(told, "password", own(dn.clone()).await, |_| format!("right, as {dn}")) else {
            return;
        };
        early = Some(bound);
    }
    let mut reader = match early {
        Some(own) => own,
        None => match directory.as_service(server).await {
            Ok(service) => service,
            failed => {
                tell(told, "service", failed, |_| String::new());
                return;
            }
        },
    };
    let found = find(&mut reader, config, name).await.and_then(|found| {
        found.ok_or_else(|| Refusal::Unusable("no entry of the directory has this name".into()))
    });
    let Some(entry) = tell(told, "entry", found, |entry| format!("{} ({})", entry.dn, entry.id)) else {
        return;
    };
    if config.service.is_some() {
        let dn = template.unwrap_or_else(|| entry.dn.clone());
        if tell(told, "password", own(dn.clone()).await, |_| format!("right, as {dn}")).is_none() {
            return;
        }
    }
    let Some(wanted) = &config.groups else { return };
    let all = groups::of(&mut reader, wanted, &entry).await;
    let Some(all) = tell(told, "groups", all, |all| format!("of {} there", all.len())) else { return };
    for (form, dn) in all {
        let here =
            wanted.map.get(&form).map_or("not mapped".to_string(), |name| format!("group {name} here"));
        told(Step { name: "group", result: Ok(format!("{dn}: {here}")) });
    }
}
