//! The file that says what is told to whom: `notify.yaml` in NARU_HOME.
//!
//! ```yaml
//! channels:
//!   chat: { type: webhook, url_file: chat.url, secret_file: chat.secret }
//!   ops: { type: mail, server: smtp://mail.example.com, from: naru@example.com, to: [ops@example.com], user: naru, password_file: mail.password }
//! routes:
//!   - { kinds: [request], to: [chat] }
//!   - { kinds: [failed, overdue, incident], stacks: [shop], to: [ops] }
//! ```

use naru_yaml::shape::{is_map, known_keys, map, needed, text, texts};
use naru_yaml::{Errors, Node, Report, parse};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The file's name in NARU_HOME.
pub const FILE: &str = "notify.yaml";

const CHANNELS_MAX: usize = 32;
const ROUTES_MAX: usize = 64;
const TO_MAX: usize = 32;

/// A kind of thing that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Somebody asks for what they may not do, or is answered.
    Request,
    /// An operation has failed, or what it began was taken back.
    Failed,
    /// Work has outlasted `postpone_max`.
    Overdue,
    /// A wake ends soon.
    WakeEnds,
    /// Something broke.
    Incident,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::Request, Kind::Failed, Kind::Overdue, Kind::WakeEnds, Kind::Incident];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::Failed => "failed",
            Kind::Overdue => "overdue",
            Kind::WakeEnds => "wake-ends",
            Kind::Incident => "incident",
        }
    }
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// By name.
    pub channels: BTreeMap<String, Transport>,
    /// What goes where.
    pub routes: Vec<Route>,
}

impl Config {
    /// To which channels something goes.
    pub fn to(&self, kind: Kind, stack: &str) -> impl Iterator<Item = &str> {
        let fits = move |route: &&Route| {
            route.kinds.contains(&kind)
                && (route.stacks.is_empty() || route.stacks.iter().any(|one| one == stack))
        };
        let mut all: Vec<&str> =
            self.routes.iter().filter(fits).flat_map(|route| &route.to).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }
}

/// What goes where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Of these kinds.
    pub kinds: Vec<Kind>,
    /// In these stacks; none: in all.
    pub stacks: Vec<String>,
    /// To these channels.
    pub to: Vec<String>,
}

/// How a channel reaches people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By webhook.
    Webhook(Webhook),
    /// By mail.
    Mail(MailTo),
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The file with its address, which is a secret.
    pub url_file: PathBuf,
    /// The file with what it is signed with.
    pub secret_file: Option<PathBuf>,
}

/// Mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailTo {
    /// The server that takes them.
    pub server: MailServer,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// As whom Naru signs in.
    pub user: Option<String>,
    /// The file with the password.
    pub password_file: Option<PathBuf>,
    /// Certificates that the server's may come from besides the system's.
    pub ca: Option<PathBuf>,
}

/// A server that takes mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS begins.
    pub tls: Tls,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// With the connection: `smtps://`.
    AtOnce,
    /// By STARTTLS, which is not optional: `smtp://`.
    StartTls,
    /// Not at all: `smtp://` to this machine.
    None,
}

/// What a file says.
///
/// # Errors
/// All that is wrong in it, each with its place.
pub fn read(path: &str, content: &str) -> Result<Config, Errors> {
    let mut report = Report::default();
    let source = report.add_source(path, content);
    let documents = parse(&mut report, source, content);
    let mut config = Config::default();
    for document in documents.iter().filter(|document| !document.root.is_null()) {
        top(&mut report, &document.root, &mut config);
    }
    let (errors, warnings) = report.finish();
    if errors.is_empty() { Ok(config) } else { Err(Errors { errors, warnings }) }
}

fn top(report: &mut Report, root: &Node, config: &mut Config) {
    if !is_map(report, root, "the file") {
        return;
    }
    known_keys(report, root, &["channels", "routes"]);
    for (name, node) in map(report, root, "channels").into_iter().flat_map(Node::entries) {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty()
            || name.len() > 40
            || !name.chars().all(fits)
            || config.channels.len() >= CHANNELS_MAX
        {
            let what = format!("{name:?} cannot be the name of a channel");
            let advice = format!("small letters, digits and -, 40 at most; at most {CHANNELS_MAX} channels");
            report.error_advised(node.key, what, advice);
        } else if is_map(report, node, name)
            && let Some(transport) = transport(report, name, node)
        {
            config.channels.insert(name.clone(), transport);
        }
    }
    let Some(routes) = root.get("routes").filter(|routes| !routes.is_null()) else { return };
    if routes.list().is_none_or(|list| list.len() > ROUTES_MAX) {
        let what = format!("routes must be a list of at most {ROUTES_MAX}, not {}", routes.shown());
        return report.error_advised(routes.pos, what, "write - { kinds: [failed], to: [ops] }");
    }
    for node in routes.items() {
        if is_map(report, node, "a route") {
            let route = route(report, node, root);
            config.routes.push(route);
        }
    }
}

fn route(report: &mut Report, node: &Node, root: &Node) -> Route {
    known_keys(report, node, &["kinds", "stacks", "to"]);
    let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    let mut kinds = vec![];
    for word in texts(report, node, "kinds") {
        match Kind::ALL.into_iter().find(|kind| kind.word() == word) {
            Some(kind) => kinds.push(kind),
            None => {
                let at = node.get("kinds").unwrap_or(node).pos;
                report.error_advised(
                    at,
                    format!("nothing is of the kind {word:?}"),
                    format!("there is {}", words.join(", ")),
                );
            }
        }
    }
    let to = texts(report, node, "to");
    let known = |name: &String| root.get("channels").is_some_and(|channels| channels.get(name).is_some());
    for name in to.iter().filter(|name| !known(name)) {
        let at = node.get("to").unwrap_or(node).pos;
        report.error_advised(at, format!("there is no channel {name:?}"), "write it under channels");
    }
    for (key, is_empty) in [("kinds", kinds.is_empty()), ("to", to.is_empty())] {
        if is_empty && node.get(key).is_none() {
            report.error_advised(
                node.pos,
                format!("a route without {key} leads nowhere"),
                format!("write {key}: […]"),
            );
        }
    }
    Route { kinds, stacks: texts(report, node, "stacks"), to }
}

fn transport(report: &mut Report, name: &str, node: &Node) -> Option<Transport> {
    match text(report, node, "type").as_deref() {
        Some("webhook") => {
            known_keys(report, node, &["type", "url_file", "secret_file"]);
            let advice = "put the address into a file of NARU_HOME that only its owner may read (chmod 600): whoever knows it can write there";
            let url_file = needed(report, node, "url_file", advice).into();
            let secret_file = text(report, node, "secret_file").map(Into::into);
            Some(Transport::Webhook(Webhook { url_file, secret_file }))
        }
        Some("mail") => {
            known_keys(report, node, &["type", "server", "from", "to", "user", "password_file", "ca"]);
            let from = needed(report, node, "from", "write the address that mails come from");
            let to = texts(report, node, "to");
            if to.is_empty() || to.len() > TO_MAX {
                let what = format!("{name} must name 1 to {TO_MAX} people in to");
                report.error_advised(node.get("to").unwrap_or(node).pos, what, "to: [ops@example.com]");
            }
            let (user, password_file) = (text(report, node, "user"), text(report, node, "password_file"));
            if let (true, Some(at)) =
                (user.is_some() != password_file.is_some(), node.get("user").or(node.get("password_file")))
            {
                let what = "user and password_file go together".to_string();
                report.error_advised(at.key, what, "write both, or none");
            }
            let server = mail_server(report, node)?;
            let (password_file, ca) =
                (password_file.map(Into::into), text(report, node, "ca").map(Into::into));
            Some(Transport::Mail(MailTo { server, from, to, user, password_file, ca }))
        }
        _ => {
            let at = node.get("type").map_or(node.key, |at| at.pos);
            report.error_advised(
                at,
                format!("{name} is of no type that is known"),
                "write type: webhook, or type: mail",
            );
            None
        }
    }
}

fn mail_server(report: &mut Report, node: &Node) -> Option<MailServer> {
    let advice = "write smtp://HOST (STARTTLS, port 587) or smtps://HOST (port 465)";
    let url = needed(report, node, "server", advice);
    let parsed = || {
        let (tls, rest, port) = match url.split_once("://")? {
            ("smtps", rest) => (Tls::AtOnce, rest, 465),
            ("smtp", rest) => (Tls::StartTls, rest, 587),
            _ => return None,
        };
        let (host, port) = match rest.trim_end_matches('/').split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (rest.trim_end_matches('/'), port),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let is_here = host == "localhost" || host == "127.0.0.1";
        let tls = if tls == Tls::StartTls && is_here { Tls::None } else { tls };
        (!host.is_empty() && host.chars().all(fits) && port > 0).then(|| MailServer {
            host: host.into(),
            port,
            tls,
        })
    };
    let server = parsed();
    if let (None, Some(at)) = (&server, node.get("server")) {
        report.error_advised(at.pos, format!("{} is no server for mails", at.shown()), advice);
    }
    server
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tls, Transport, read};

    const WHOLE: &str = "\
channels:
  chat: { type: webhook, url_file: chat.url, secret_file: chat.secret }
  ops: { type: mail, server: smtp://mail.example.com, from: naru@example.com, to: ops@example.com }
routes:
  - { kinds: [request, failed], to: chat }
  - { kinds: failed, stacks: [shop], to: [ops, chat] }
";

    #[test]
    fn a_whole_file_is_read() {
        let config = read("notify.yaml", WHOLE).unwrap();
        let to = |kind, stack| config.to(kind, stack).collect::<Vec<_>>();
        assert_eq!(to(Kind::Failed, "shop"), ["chat", "ops"]);
        assert_eq!(to(Kind::Failed, "other"), ["chat"]);
        assert_eq!(to(Kind::Incident, "shop"), Vec::<&str>::new());
        let Transport::Mail(mail) = &config.channels["ops"] else { panic!() };
        assert_eq!((mail.server.port, mail.server.tls), (587, Tls::StartTls));
        assert_eq!(read("notify.yaml", "").unwrap(), Default::default());
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let said = read(
            "notify.yaml",
            "channels:\n  A: {}\n  b: { type: fax }\n  c: { type: webhook, url: x }\n  d: { type: mail, server: mail, user: x }\n\
             routes:\n  - { kinds: [all], to: [e] }\n  - {}\n",
        )
        .unwrap_err()
        .to_string();
        for part in [
            "notify.yaml:2:3: error: \"A\" cannot be the name of a channel",
            "b is of no type that is known",
            "url is not a key that Naru knows",
            "url_file is missing",
            "\"mail\" is no server for mails",
            "user and password_file go together",
            "nothing is of the kind \"all\"",
            "there is no channel \"e\"",
            "a route without kinds leads nowhere",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }
}
