//! The tables of keys of `x-naru`: what is read, what `naru schema` prints and what the reference lists come from them,
//! so that none of these can know a key that the others do not.

use serde_json::{Map, Value, json};

/// One key of `x-naru`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path below `x-naru`, with dots; `[]` is an item of a list, `NAME` a name of one's own.
    pub path: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What it is for, one sentence.
    pub doc: &'static str,
    /// Whether it has an effect yet.
    pub support: Support,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A mapping with the keys below it.
    Group,
    /// A list of mappings with the keys below it.
    Groups,
    /// A command (a list of words, or a text split into words), or a mapping with the keys below it.
    CommandOrGroup,
    /// A list of words, or a text split into words as a shell would.
    Command,
    /// A text.
    Text,
    /// A text, or a list of texts.
    Texts,
    /// A duration with its unit: `10s`, `1m30s`, `2h`, `1d`.
    Duration,
    /// A whole number.
    Whole,
    /// A whole number, or a list of them.
    Wholes,
    /// A number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Truth,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words, or a mapping with the keys below it.
    WordOrGroup(&'static [&'static str]),
    /// A text, or a mapping with the keys below it.
    TextOrGroup,
    /// A mapping with the keys below it, or a list of mappings with the keys of its items.
    GroupOrGroups,
    /// A mapping of names of one's own, each with a mapping with the keys below it.
    Named,
    /// A mapping of names of one's own, each with a text, or a mapping with the keys below it.
    NamedTextOrGroup,
    /// A mapping of names of one's own, each with a text, or `true` or `false`.
    Pairs,
}

/// Whether a key has an effect yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It has.
    Now,
    /// It is accepted and kept, with a warning.
    Later,
}

/// A key that has an effect.
pub const fn key(path: &'static str, takes: Takes, doc: &'static str) -> Key {
    Key { path, takes, doc, support: Support::Now }
}

/// A key that is kept for later.
pub const fn later(path: &'static str, takes: Takes, doc: &'static str) -> Key {
    Key { path, takes, doc, support: Support::Later }
}

/// One table after the other; `N` is the length of both.
pub const fn joined<const N: usize>(first: &[Key], second: &[Key]) -> [Key; N] {
    assert!(first.len() + second.len() == N);
    let mut all = [first[0]; N];
    let mut at = 1;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

/// The keys of `power`, which a file has for all of its services, and a service for itself.
pub const POWER_KEYS: &[Key] = &[
    key(
        "power",
        Takes::Group,
        "When the service is asleep, and what wakes it; of a service: as the file says for all if missing.",
    ),
    key(
        "power.off",
        Takes::Texts,
        "Hours in which it is asleep, as \"Mon-Fri 20:00-08:00, Sat, Sun\": days, and times where it is not the whole day.",
    ),
    key("power.timezone", Takes::Text, "The zone that the hours are in, as Asia/Seoul; UTC if missing."),
    key(
        "power.holidays",
        Takes::Texts,
        "Days on which it is asleep as well, as 2026-12-25, or a calendar's file, as kr.ics, or its address, as https://…: the days of its all-day events.",
    ),
    key(
        "power.idle_after",
        Takes::Duration,
        "Without request, stream or job for so long it falls asleep at any time; not for that if missing.",
    ),
    key("power.wake", Takes::Texts, "What wakes it: request, person; both if missing."),
    key(
        "power.wake_max",
        Takes::Duration,
        "A person's wake and its extensions last for so long at most; 12h if missing.",
    ),
    key(
        "power.hold",
        Takes::Duration,
        "A request waits for so long until it is awake, then it is answered 503; 60s if missing.",
    ),
    key("power.ignore", Takes::Group, "Requests that neither wake it nor keep it awake."),
    key("power.ignore.paths", Takes::Texts, "By path, as /healthz, or /status/* for all that begin so."),
    key(
        "power.ignore.user_agents",
        Takes::Texts,
        "By a part of the field User-Agent; the usual health checks of load balancers and monitors if missing.",
    ),
];

/// Every key of the file's own `x-naru`, parents before children.
pub const FILE_KEYS: &[Key] = &joined::<{ ROUTE_KEYS.len() + POWER_KEYS.len() }>(ROUTE_KEYS, POWER_KEYS);

/// Those about its addresses and routes.
const ROUTE_KEYS: &[Key] = &[
    key("listeners", Takes::Named, "Addresses of the stack itself, by name."),
    key("listeners.NAME.port", Takes::Whole, "The port."),
    key("listeners.NAME.host_ip", Takes::Text, "The address of this machine; 0.0.0.0 if missing."),
    key(
        "listeners.NAME.protocol",
        Takes::Word(&["http", "tcp", "udp"]),
        "What is spoken: http if missing; tcp and udp lead to one service, by to.",
    ),
    key(
        "listeners.NAME.to",
        Takes::TextOrGroup,
        "The service that every connection or flow of tcp or udp goes to.",
    ),
    key("listeners.NAME.to.service", Takes::Text, "Its name."),
    key("listeners.NAME.to.port", Takes::Whole, "Which of its ports; the first that speaks it if missing."),
    key(
        "listeners.NAME.tls",
        Takes::GroupOrGroups,
        "Ends TLS here, with these certificates; of several, by the name that a client asks for.",
    ),
    key("listeners.NAME.tls.cert", Takes::Text, "A file with the certificate and those that signed it, PEM."),
    key("listeners.NAME.tls.key", Takes::Text, "A file with its key, PEM."),
    key("listeners.NAME.tls.[].cert", Takes::Text, "The same of one of several."),
    key("listeners.NAME.tls.[].key", Takes::Text, "Its key."),
    key("listeners.NAME.tls.acme", Takes::Group, "Has a certificate from an authority, and renews it."),
    key("listeners.NAME.tls.acme.domains", Takes::Texts, "The names in it."),
    key("listeners.NAME.tls.acme.email", Takes::Text, "Whom the authority writes to."),
    key(
        "listeners.NAME.tls.acme.directory",
        Takes::Text,
        "The authority's address; Let's Encrypt if missing.",
    ),
    key(
        "listeners.NAME.tls.acme.root",
        Takes::Text,
        "A file with the certificate that the authority itself is known by, PEM.",
    ),
    key(
        "listeners.NAME.redirect",
        Takes::Word(&["https"]),
        "Everything that no route takes which names this listener is led to HTTPS.",
    ),
    key(
        "listeners.NAME.trusted",
        Takes::Texts,
        "Networks whose X-Forwarded-For, Forwarded and PROXY protocol are believed.",
    ),
    key(
        "listeners.NAME.accept_proxy",
        Takes::Truth,
        "Clients from trusted networks begin with the PROXY protocol.",
    ),
    key(
        "listeners.NAME.max_connections",
        Takes::Whole,
        "So many connections at once; more wait to be accepted.",
    ),
    key(
        "listeners.NAME.max_connections_per_source",
        Takes::Whole,
        "So many of one source; more are closed at once.",
    ),
    key("listeners.NAME.access_log", Takes::Group, "A line for each request."),
    key("listeners.NAME.access_log.file", Takes::Text, "The file."),
    key(
        "listeners.NAME.access_log.format",
        Takes::Word(&["json", "combined"]),
        "How a line is written; json if missing.",
    ),
    key(
        "listeners.NAME.server_timing",
        Takes::Truth,
        "Answers say in Server-Timing how long the edge and the instance took.",
    ),
    key(
        "listeners.NAME.sni",
        Takes::NamedTextOrGroup,
        "Passes TLS on unread: services by the name that a client asks for, with * for all others.",
    ),
    key("listeners.NAME.sni.NAME.service", Takes::Text, "The service."),
    key(
        "listeners.NAME.sni.NAME.port",
        Takes::Whole,
        "Which of its ports that speak tcp; the first if missing.",
    ),
    key("routes", Takes::Groups, "What becomes of requests, the first that fits."),
    key("routes.[].name", Takes::Text, "Its name, in metrics and in naru routes; routes[N] if missing."),
    key(
        "routes.[].priority",
        Takes::Whole,
        "Higher comes first; of equal ones, the narrower, then the one that stands first.",
    ),
    key("routes.[].listeners", Takes::Texts, "Where it stands; all that do not redirect if missing."),
    key("routes.[].host", Takes::Texts, "Names of hosts; *.example.com is any below it."),
    key("routes.[].path", Takes::Texts, "Paths: /a, /a/*, /users/{id}/*."),
    key("routes.[].method", Takes::Texts, "Methods, in capitals."),
    key(
        "routes.[].header",
        Takes::Pairs,
        "Header fields: what each is, text* for a beginning, or whether it is there.",
    ),
    key("routes.[].query", Takes::Pairs, "Query parameters, in the same way."),
    key("routes.[].source", Takes::Texts, "Networks of clients."),
    key("routes.[].to", Takes::TextOrGroup, "An instance of this service answers."),
    key("routes.[].to.service", Takes::Text, "Its name."),
    key("routes.[].to.port", Takes::Whole, "Which of its ports that speak HTTP; the first if missing."),
    key("routes.[].redirect", Takes::TextOrGroup, "The client is led to this address."),
    key(
        "routes.[].redirect.to",
        Takes::Text,
        "The address, with {scheme}, {host}, {port}, {path}, {query} and names of the path.",
    ),
    key("routes.[].redirect.status", Takes::Whole, "301, 302, 303, 307 or 308, which it is if missing."),
    key("routes.[].respond", Takes::Group, "It is answered as written."),
    key("routes.[].respond.status", Takes::Whole, "The status; 200 if missing."),
    key("routes.[].respond.body", Takes::Text, "The body, at most 64 KiB."),
    key("routes.[].respond.type", Takes::Text, "Its type; text/plain if missing."),
    key("routes.[].files", Takes::TextOrGroup, "It is answered with a file of this folder."),
    key("routes.[].files.root", Takes::Text, "The folder."),
    key("routes.[].files.strip", Takes::Text, "What of the path is left out."),
    key("routes.[].files.index", Takes::Text, "The file that answers for a folder; index.html if missing."),
    key("routes.[].files.fallback", Takes::Text, "The file that answers where there is none."),
    key("routes.[].files.max_age", Takes::Duration, "How long a client may keep an answer."),
    key("routes.[].rewrite", Takes::Group, "What the instance is told instead."),
    key("routes.[].rewrite.host", Takes::Text, "The host."),
    key("routes.[].rewrite.path", Takes::Text, "The whole path."),
    key("routes.[].rewrite.strip", Takes::Text, "The beginning of the path that is left out."),
    key("routes.[].rewrite.add", Takes::Text, "What comes before the path."),
    key("routes.[].request_headers", Takes::Group, "Header fields of the request are changed."),
    key("routes.[].request_headers.set", Takes::Pairs, "Set, instead of any that is there."),
    key("routes.[].request_headers.add", Takes::Pairs, "Added beside any that is there."),
    key("routes.[].request_headers.remove", Takes::Texts, "Removed."),
    key("routes.[].response_headers", Takes::Group, "Header fields of the answer are changed."),
    key("routes.[].response_headers.set", Takes::Pairs, "Set, instead of any that is there."),
    key("routes.[].response_headers.add", Takes::Pairs, "Added beside any that is there."),
    key("routes.[].response_headers.remove", Takes::Texts, "Removed."),
    key("routes.[].basic_auth", Takes::Group, "Asks for a name and a password."),
    key("routes.[].basic_auth.file", Takes::Text, "A file of lines NAME:HASH, as htpasswd -B writes them."),
    key("routes.[].basic_auth.realm", Takes::Text, "What a browser shows."),
    key("routes.[].forward_auth", Takes::Group, "Another service says whether."),
    key("routes.[].forward_auth.url", Takes::Text, "Where it is asked."),
    key("routes.[].forward_auth.copy_headers", Takes::Texts, "Fields of its answer that the instance gets."),
    key("routes.[].forward_auth.timeout", Takes::Duration, "A later answer is a 504; 5s if missing."),
    key("routes.[].rate_limit", Takes::Group, "So many requests, and no more: 429."),
    key("routes.[].rate_limit.requests", Takes::Whole, "How many."),
    key("routes.[].rate_limit.per", Takes::Duration, "In so long; 1s if missing."),
    key("routes.[].rate_limit.burst", Takes::Whole, "So many at once; as many as requests if missing."),
    key("routes.[].rate_limit.by", Takes::Text, "For each: source (if missing), all, or header:NAME."),
];

/// The keys right below a path of a table, each with its name there; those at the top, for no path.
fn right_below<'a>(table: &'a [Key], parent: &str) -> impl Iterator<Item = (&'static str, &'a Key)> {
    let own = move |key: &'a Key| {
        let name = match parent {
            "" => key.path,
            parent => key.path.strip_prefix(parent)?.strip_prefix('.')?,
        };
        (!name.contains('.')).then_some((name, key))
    };
    table.iter().filter_map(own)
}

/// The names of the keys right below a path of the file's own `x-naru`.
pub(crate) fn below(path: &str) -> Vec<&'static str> {
    right_below(FILE_KEYS, path).map(|(name, _)| name).collect()
}

/// The schema of what is below a path of a table; of all of it, for no path.
pub fn schema(table: &[Key], parent: &str) -> Value {
    let properties = right_below(table, parent).map(|(name, key)| (name.to_string(), property(table, key)));
    let properties: Map<String, Value> = properties.collect();
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
    })
}

/// Numbers and truths may be texts as well: a variable gives a text.
fn property(table: &[Key], key: &Key) -> Value {
    let words = json!({ "type": "array", "items": { "type": "string" } });
    let text = json!({ "type": "string" });
    let group = |path: &str| schema(table, path);
    let named = |one: Value| json!({ "type": "object", "additionalProperties": one });
    let mut made = match key.takes {
        Takes::Group => group(key.path),
        Takes::Groups => json!({ "type": "array", "items": group(&format!("{}.[]", key.path)) }),
        Takes::CommandOrGroup => json!({ "oneOf": [text, words, group(key.path)] }),
        Takes::Command | Takes::Texts => json!({ "oneOf": [text, words] }),
        Takes::Text | Takes::Duration => text,
        Takes::Whole => json!({ "type": ["integer", "string"] }),
        Takes::Ratio => json!({ "type": ["number", "string"] }),
        Takes::Truth => json!({ "type": ["boolean", "string"] }),
        Takes::Wholes => {
            let whole = json!({ "type": ["integer", "string"] });
            json!({ "oneOf": [whole, { "type": "array", "items": whole }] })
        }
        Takes::Word(words) => json!({ "type": "string", "enum": words }),
        Takes::WordOrGroup(words) => {
            json!({ "oneOf": [{ "type": "string", "enum": words }, group(key.path)] })
        }
        Takes::TextOrGroup => json!({ "oneOf": [text, group(key.path)] }),
        Takes::GroupOrGroups => {
            json!({ "oneOf": [group(key.path), { "type": "array", "items": group(&format!("{}.[]", key.path)) }] })
        }
        Takes::Named => named(group(&format!("{}.NAME", key.path))),
        Takes::NamedTextOrGroup => named(json!({ "oneOf": [text, group(&format!("{}.NAME", key.path))] })),
        Takes::Pairs => named(json!({ "type": ["string", "boolean", "number"] })),
    };
    let note = if key.support == Support::Later { " Not supported yet." } else { "" };
    made["description"] = json!(format!("{}{note}", key.doc));
    made
}
