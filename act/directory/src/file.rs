//! The file that says which directory people are in: `directory.yaml` in NARU_HOME.
//!
//! ```yaml
//! servers: [ldaps://ldap1.example.com, ldap://ldap2.example.com]
//! ca: directory-ca.pem
//! service: { dn: "cn=naru,ou=services,dc=example,dc=com", password_file: directory.password }
//! people:
//!   base: ou=people,dc=example,dc=com
//!   filter: (&(objectClass=inetOrgPerson)(uid={name}))
//!   name: uid
//! groups:
//!   base: ou=groups,dc=example,dc=com
//!   find: member
//!   map:
//!     cn=ops,ou=groups,dc=example,dc=com: ops
//! ```

use crate::config::{Begin, Config, Find, Groups, NAME, People, Server, Service, Timeouts};
use crate::dn::canonical;
use naru_who::is_person_name;
use naru_yaml::shape::{duration, is_map, known_keys, map, needed, number, text};
use naru_yaml::{Errors, Node, Pos, Report, parse};
use std::collections::BTreeMap;
use std::time::Duration;

/// The file's name in NARU_HOME.
pub const FILE: &str = "directory.yaml";

const KEYS: [&str; 12] = [
    "servers",
    "ca",
    "bind",
    "service",
    "people",
    "groups",
    "refresh",
    "stale_max",
    "attempts",
    "forget",
    "connections",
    "timeouts",
];

/// Each may take its time before the next is tried.
const SERVERS_MAX: usize = 8;

/// More groups than anybody gives rights to.
const MAP_MAX: usize = 1_000;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What a file says.
///
/// # Errors
/// All that is wrong in it, each with its place.
pub fn read(path: &str, content: &str) -> Result<Config, Errors> {
    let mut report = Report::default();
    let source = report.add_source(path, content);
    let documents = parse(&mut report, source, content);
    let config = documents.first().and_then(|document| top(&mut report, &document.root));
    if documents.iter().all(|document| document.root.is_null()) {
        let at = documents.first().map_or(Pos::NOWHERE, |document| document.root.pos);
        let advice = "write servers, people and groups; or remove the file";
        report.error_advised(at, format!("{path} names no directory"), advice);
    }
    if let Some(second) = documents.get(1) {
        report.error_advised(second.root.pos, "the file has more than one document".to_string(), "keep one");
    }
    let (errors, warnings) = report.finish();
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => Err(Errors { errors, warnings }),
    }
}

fn top(report: &mut Report, root: &Node) -> Option<Config> {
    if root.is_null() || !is_map(report, root, "the file") {
        return None;
    }
    known_keys(report, root, &KEYS);
    let servers = servers(report, root);
    let (bind, service) = (template(report, root), service(report, root));
    missing(report, root);
    let day = HOUR * 24;
    let refresh = duration(report, root, "refresh", HOUR / 4, SECOND..=day);
    let stale_max = duration(report, root, "stale_max", HOUR * 8, SECOND..=day * 30);
    if let Some(at) = root.get("stale_max").or(root.get("refresh")).filter(|_| stale_max < refresh) {
        let what = "stale_max is shorter than refresh: tokens would be refused in between".to_string();
        report.error_advised(at.pos, what, "write a longer stale_max; four times refresh, for one");
    }
    Some(Config {
        servers,
        ca: text(report, root, "ca").map(Into::into),
        bind,
        service,
        people: people(report, root),
        groups: map(report, root, "groups").map(|node| groups(report, node)),
        refresh,
        stale_max,
        attempts: u32::try_from(number(report, root, "attempts", 4, 1..=100)).unwrap_or(4),
        forget: duration(report, root, "forget", HOUR / 6, SECOND..=day),
        connections: number(report, root, "connections", 4, 1..=64),
        timeouts: timeouts(report, root),
    })
}

/// What has to be there. All of it at once: it has one place, the file.
fn missing(report: &mut Report, root: &Node) {
    let has = |key| root.get(key).is_some_and(|node| !node.is_null());
    let mut all: Vec<&str> = ["servers", "people"].into_iter().filter(|key| !has(key)).collect();
    if !has("service") && !has("bind") {
        all.push("service (or bind: how somebody is found)");
    }
    if !all.is_empty() {
        let advice = "servers: [ldaps://HOST]; people: { base: …, filter: \"(uid={name})\", name: uid }; \
                      service: { dn: …, password_file: … }";
        report.error_advised(root.pos, format!("missing: {}", all.join(", ")), advice);
    }
}

fn timeouts(report: &mut Report, root: &Node) -> Timeouts {
    let nothing = Node::new(naru_yaml::Value::Null, root.pos);
    let node = map(report, root, "timeouts").unwrap_or(&nothing);
    known_keys(report, node, &["connect", "tls", "bind", "search", "sign_in"]);
    let within = Duration::from_millis(100)..=SECOND * 60;
    let mut one = |key, seconds: u32| duration(report, node, key, SECOND * seconds, within.clone());
    Timeouts {
        connect: one("connect", 3),
        tls: one("tls", 3),
        bind: one("bind", 5),
        search: one("search", 5),
        sign_in: one("sign_in", 12),
    }
}

fn servers(report: &mut Report, root: &Node) -> Vec<Server> {
    let advice = "write servers: [ldaps://HOST, ldap://HOST]: the second begins TLS by StartTLS";
    let Some(node) = root.get("servers").filter(|node| !node.is_null()) else { return vec![] };
    let nodes = node.list().unwrap_or(std::slice::from_ref(node));
    if nodes.is_empty() || nodes.len() > SERVERS_MAX {
        report.error_advised(node.pos, format!("servers must be 1 to {SERVERS_MAX}"), advice);
    }
    let mut found = vec![];
    for node in nodes {
        match node
            .scalar()
            .ok_or_else(|| format!("{} is no server", node.shown()))
            .and_then(|url| server(&url))
        {
            Ok(server) => found.push(server),
            Err(what) => report.error_advised(node.pos, what, advice),
        }
    }
    found
}

fn server(url: &str) -> Result<Server, String> {
    let odd = || format!("{url:?} is no address of a directory");
    let (begin, rest, port) = if let Some(rest) = url.strip_prefix("ldaps://") {
        (Begin::AtOnce, rest, 636)
    } else if let Some(rest) = url.strip_prefix("ldap://") {
        (Begin::StartTls, rest, 389)
    } else {
        return Err(odd());
    };
    let rest = rest.trim_end_matches('/');
    if rest.starts_with('[') {
        return Err(format!(
            "{url:?}: name the server, or its IPv4 address; its certificate has to bear that"
        ));
    }
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| odd())?),
        None => (rest, port),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if host.is_empty() || host.len() > 253 || !host.chars().all(fits) || port == 0 {
        return Err(odd());
    }
    Ok(Server { host: host.to_ascii_lowercase(), port, begin })
}

/// `uid={name},ou=people,dc=example,dc=com`, or `{name}@example.com`.
fn template(report: &mut Report, root: &Node) -> Option<String> {
    let template = text(report, root, "bind")?;
    let at = root.get("bind")?.pos;
    let one = template.matches(NAME).count() == 1;
    let is_upn = template.strip_prefix("{name}@").is_some_and(|domain| {
        !domain.is_empty() && domain.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
    });
    if one && (is_upn || canonical(&template.replace(NAME, "x")).is_some()) {
        return Some(template);
    }
    let advice = "write uid={name},ou=people,dc=example,dc=com or, for Active Directory, {name}@example.com";
    report.error_advised(at, format!("bind says not as whom: {template:?}"), advice);
    None
}

fn service(report: &mut Report, root: &Node) -> Option<Service> {
    let node = map(report, root, "service")?;
    known_keys(report, node, &["dn", "password_file"]);
    let dn = dn(report, node, "dn", "write its DN; in quotes, since it has commas in it");
    let advice = "put the password into a file of NARU_HOME that only its owner may read (chmod 600)";
    let file = needed(report, node, "password_file", advice);
    Some(Service { dn, password_file: file.into() })
}

/// The DN below a key that has to be there.
fn dn(report: &mut Report, node: &Node, key: &str, advice: &str) -> String {
    let dn = needed(report, node, key, advice);
    if let Some(at) = node.get(key).filter(|_| !dn.is_empty() && canonical(&dn).is_none()) {
        report.error_advised(
            at.pos,
            format!("{} is no DN", at.shown()),
            "ou=people,dc=example,dc=com is one",
        );
    }
    dn
}

fn people(report: &mut Report, root: &Node) -> People {
    let advice =
        "write people: { base: \"ou=people,dc=example,dc=com\", filter: \"(uid={name})\", name: uid }";
    let Some(node) = map(report, root, "people") else {
        return People { base: String::new(), filter: String::new(), name: String::new() };
    };
    known_keys(report, node, &["base", "filter", "name"]);
    let filter =
        needed(report, node, "filter", "write the filter that one person's entry fits: (uid={name})");
    if let Some(at) = node.get("filter").filter(|_| !filter.is_empty()) {
        if !filter.contains(NAME) {
            let what = "the filter is the same for everybody".to_string();
            report.error_advised(at.pos, what, "write {name} where the name belongs: (uid={name})");
        }
        is_filter(report, at, &filter);
    }
    let name = attribute(report, node, "name").unwrap_or_else(|| "uid".into());
    People { base: dn(report, node, "base", advice), filter, name }
}

fn is_filter(report: &mut Report, at: &Node, filter: &str) {
    if ldap3::parse_filter(filter.replace(NAME, "x")).is_err() {
        let what = format!("{} is no filter of LDAP", at.shown());
        report.error_advised(at.pos, what, "write it in brackets: (&(objectClass=person)(uid={name}))");
    }
}

fn attribute(report: &mut Report, node: &Node, key: &str) -> Option<String> {
    let name = text(report, node, key)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.len() > 64 || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fits) {
        let what = format!("{name:?} is no attribute");
        report.error_advised(node.get(key)?.pos, what, "uid, sAMAccountName and member are some");
        return None;
    }
    Some(name)
}

fn groups(report: &mut Report, node: &Node) -> Groups {
    known_keys(report, node, &["base", "find", "attribute", "filter", "depth", "map"]);
    let find = match (text(report, node, "find").as_deref(), node.get("find")) {
        (None | Some("member"), _) => Find::Member,
        (Some("member-of"), _) => Find::MemberOf,
        (Some("in-chain"), _) => Find::InChain,
        (Some(_), at) => {
            let at = at.unwrap_or(node);
            let advice = "write member, member-of, or in-chain for Active Directory";
            report.error_advised(at.pos, format!("there is no way {} to find groups", at.shown()), advice);
            Find::Member
        }
    };
    let filter = text(report, node, "filter").unwrap_or_else(|| "(objectClass=*)".into());
    if let Some(at) = node.get("filter") {
        is_filter(report, at, &filter);
    }
    let attribute = attribute(report, node, "attribute").unwrap_or_else(|| match find {
        Find::Member | Find::InChain => "member".into(),
        Find::MemberOf => "memberOf".into(),
    });
    Groups {
        base: dn(report, node, "base", "write the DN that groups are below"),
        find,
        attribute,
        filter,
        depth: number(report, node, "depth", 8, 1..=32),
        map: mapping(report, node),
    }
}

fn mapping(report: &mut Report, node: &Node) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let advice = "write map: { \"cn=ops,ou=groups,dc=example,dc=com\": ops }";
    let Some(entries) = map(report, node, "map") else {
        if node.get("map").is_none_or(Node::is_null) {
            let what = "map is missing: no group of the directory is one here".to_string();
            report.error_advised(node.key, what, advice);
        }
        return found;
    };
    if entries.entries().count() > MAP_MAX {
        report.error_advised(entries.pos, format!("map has more than {MAP_MAX} groups"), "leave some out");
    }
    for (dn, node) in entries.entries() {
        let name = node.scalar().filter(|name| is_person_name(name));
        match (canonical(dn), name) {
            (None, _) => report.error_advised(node.key, format!("{dn:?} is no DN"), advice),
            (_, None) => {
                let what = format!("{} cannot be the name of a group here", node.shown());
                report.error_advised(node.pos, what, "small letters, digits, `-`, `_`, `.`");
            }
            (Some(dn), Some(name)) => {
                if found.insert(dn, name).is_some() {
                    let what = "this group is named twice".to_string();
                    report.error_advised(node.key, what, "keep one; a group here may have several there");
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::config::{Begin, Find};
    use std::time::Duration;

    const WHOLE: &str = "\
servers: [ldaps://ldap1.example.com, ldap://ldap2.example.com:3389]
ca: ca.pem
service: { dn: \"cn=naru,dc=example,dc=com\", password_file: directory.password }
people: { base: \"ou=people,dc=example,dc=com\", filter: \"(uid={name})\", name: uid }
groups:
  base: ou=groups,dc=example,dc=com
  find: in-chain
  map:
    CN=Operations,ou=groups,dc=example,dc=com: ops
refresh: 5m
timeouts: { tls: 1500ms }
";

    #[test]
    fn a_whole_file_is_read() {
        let config = read("directory.yaml", WHOLE).unwrap();
        let begins: Vec<_> = config.servers.iter().map(|one| (one.url(), one.begin)).collect();
        assert_eq!(
            begins,
            [
                ("ldaps://ldap1.example.com:636".into(), Begin::AtOnce),
                ("ldap://ldap2.example.com:3389".into(), Begin::StartTls)
            ]
        );
        let groups = config.groups.unwrap();
        assert_eq!((groups.find, groups.attribute.as_str()), (Find::InChain, "member"));
        assert_eq!(groups.map["cn=operations,ou=groups,dc=example,dc=com"], "ops");
        assert_eq!(config.timeouts.tls, Duration::from_millis(1500));
        assert_eq!(config.stale_max, Duration::from_secs(8 * 3600));
    }

    fn wrong(text: &str) -> String {
        read("directory.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let said = wrong(
            "servers: [http://x, \"ldaps://[::1]\"]\nbind: kim\nservcie: {}\ngroups: { base: groups, find: all, map: { ops: Ops } }\n\
             people: { base: x, filter: \"(uid=kim\" }\nrefresh: 1h\nstale_max: 5m\nattempts: none\ntls: off\n",
        );
        for part in [
            "directory.yaml:1:11: error: \"http://x\" is no address of a directory",
            "directory.yaml:1:21: error: \"ldaps://[::1]\": name the server",
            "directory.yaml:2:7: error: bind says not as whom",
            "directory.yaml:3:1: error: servcie is not a key that Naru knows",
            "did you mean service?",
            "\"groups\" is no DN",
            "there is no way \"all\" to find groups",
            "\"ops\" is no DN",
            "the filter is the same for everybody",
            "stale_max is shorter than refresh",
            "attempts must be a whole number",
            "tls is not a key that Naru knows",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
        let said = wrong("servers: ldaps://ldap.example.com\n");
        assert!(said.contains("1:1: error: missing: people, service (or bind"), "{said}");
        assert!(wrong("").contains("names no directory"));
        let said = wrong("people: { base: dc=x, filter: \"(uid={name}\" }\n");
        assert!(said.contains("is no filter of LDAP"), "{said}");
        assert!(wrong("[]").contains("must be a mapping"));
        assert!(!wrong("{").is_empty());
    }
}
