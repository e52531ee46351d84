//! What an edge does with traffic, beyond handing it to an instance: rules, and how instances are chosen.
//!
//! A [`Rule`] says which requests it takes and what becomes of them. A [`Policy`] belongs to the instances that
//! requests are forwarded to; an [`Entrance`] to the address that they come in at. Every default is what an
//! edge does where the file says nothing.

use crate::{Ignored, Protocol, ServiceName, Span, Split, StackName, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// An address of the stack itself, at which its routes stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StackListener {
    /// The file's name for it.
    pub name: String,
    /// The address that the edge listens on.
    pub host_ip: String,
    /// The port.
    pub port: u16,
    /// How it is spoken.
    #[serde(default = "StackListener::usual_protocol")]
    pub protocol: Protocol,
    /// Where every connection or flow goes, of a protocol that knows no requests; its splits are empty, and are filled in
    /// as the table is derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
    /// What holds for all that comes in.
    #[serde(default, skip_serializing_if = "Entrance::is_default")]
    pub entrance: Entrance,
    /// Whether what no route that names it takes is led to HTTPS.
    #[serde(default)]
    pub to_https: bool,
}

impl StackListener {
    /// HTTP.
    fn usual_protocol() -> Protocol {
        Protocol::Http
    }
}

/// A rule of a stack, and the listeners at which it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StackRoute {
    /// Names of listeners.
    pub listeners: Vec<String>,
    /// The rule; a forward's splits are empty, and are filled in as the table is derived.
    pub rule: Rule,
}

/// What holds at the published ports of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Published {
    /// For connections, and what comes by them. Without TLS.
    #[serde(skip_serializing_if = "Entrance::is_default")]
    pub entrance: Entrance,
    /// For requests, where a port speaks HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

impl Published {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Published::default()
    }
}

/// Requests, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Unique within the listener: the file's name for it, or its place, as `routes[2]`.
    pub name: String,
    /// Which requests.
    #[serde(default, rename = "match")]
    pub when: Match,
    /// What is asked of those requests before the action.
    #[serde(default, skip_serializing_if = "Guard::is_default")]
    pub guard: Guard,
    /// What is changed on the way to the instance and back.
    #[serde(default, skip_serializing_if = "Edits::is_default")]
    pub edits: Edits,
    /// What becomes of them.
    pub action: RuleAction,
}

/// Which requests: all conditions hold; an empty one always does; within one, any entry is enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Match {
    /// Host names, lower case, without a port. `*.example.com` is any name with one or more labels before
    /// `example.com`.
    pub hosts: Vec<String>,
    /// Paths.
    pub paths: Vec<PathMatch>,
    /// Methods, upper case.
    pub methods: Vec<String>,
    /// Header fields: every one has to hold.
    pub headers: Vec<FieldMatch>,
    /// Query parameters: every one has to hold.
    pub query: Vec<FieldMatch>,
    /// The client's networks, as `10.0.0.0/8` or `::1/128`.
    pub sources: Vec<String>,
}

/// Which paths. Percent-encoding is compared as decoded; a query is no part of the path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathMatch {
    /// This one.
    Exact(String),
    /// This one, and all below it, by whole segments: `/api` is `/api` and `/api/x`, not `/apis`.
    Prefix(String),
    /// Segment by segment: `*` is any one segment, `**` at the end any number, `{name}` any one with a name.
    Pattern(String),
}

/// As the file has it.
impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathMatch::Exact(path) | PathMatch::Pattern(path) => f.write_str(path),
            PathMatch::Prefix(prefix) => write!(f, "{}/*", prefix.trim_end_matches('/')),
        }
    }
}

/// One header field or query parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldMatch {
    /// Its name; of a header, lower case.
    pub name: String,
    /// What it has to be.
    #[serde(flatten)]
    pub value: ValueMatch,
}

/// What a field has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ValueMatch {
    /// This.
    Equals(String),
    /// Begins with this.
    Prefix(String),
    /// There (`true`) or not there (`false`).
    Present(bool),
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleAction {
    /// An instance answers it.
    Forward(Forward),
    /// It is answered with another address.
    Redirect(Redirect),
    /// It is answered as written.
    Respond(Respond),
    /// It is answered from a folder.
    Files(Files),
}

/// To the instances of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Forward {
    /// The service.
    pub service: ServiceName,
    /// Which of its target ports.
    pub target: u16,
    /// Whether its instances speak HTTP/2.
    #[serde(default)]
    pub http2: bool,
    /// Shares of the traffic.
    pub splits: Vec<Split>,
    /// How instances are chosen and treated.
    #[serde(default, skip_serializing_if = "Policy::is_default")]
    pub policy: Policy,
}

/// To another address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The address. `{scheme}`, `{host}` (without a port), `{port}`, `{path}` (with its slash) and `{query}` (with its `?`,
    /// or empty) stand for the request's own; names of the path's pattern for their segments.
    pub location: String,
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// The body's type.
    pub content_type: String,
    /// The body, at most 64 KiB.
    pub body: String,
}

/// Files of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Files {
    /// The folder, absolute.
    pub root: String,
    /// What of the path is left out before it is looked up, as `/static`.
    #[serde(default)]
    pub strip: String,
    /// The file that answers for a folder.
    pub index: String,
    /// The file that answers where there is none, with status 200 (an application of one page).
    #[serde(default)]
    pub fallback: Option<String>,
    /// How long a client may keep an answer without asking.
    #[serde(default)]
    pub max_age: Option<Span>,
}

/// What is asked of requests before anything is done with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Guard {
    /// A name and a password, by HTTP's basic scheme.
    pub basic_auth: Option<BasicAuth>,
    /// Another service says whether.
    pub forward_auth: Option<ForwardAuth>,
    /// So many requests.
    pub rate_limit: Option<RateLimit>,
}

impl Guard {
    /// Whether it asks nothing.
    pub fn is_default(&self) -> bool {
        *self == Guard::default()
    }
}

/// Names and passwords.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BasicAuth {
    /// What a browser shows.
    pub realm: String,
    /// A file of lines `NAME:HASH` as `htpasswd -B` writes them; absolute. Read again when it changes.
    pub file: String,
}

/// A request to another service decides: 2xx lets the request pass, anything else is the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForwardAuth {
    /// Where it is asked, as `http://127.0.0.1:4180/auth`.
    pub url: String,
    /// Fields of its answer that are handed to the instance; the client's own of these names are removed.
    #[serde(default)]
    pub copy_headers: Vec<String>,
    /// An answer that takes longer is a 504.
    pub timeout: Span,
}

/// A bound on how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RateLimit {
    /// So many in each `per`, on average.
    pub requests: u32,
    /// In so long.
    pub per: Span,
    /// So many at once, beyond which they are answered 429.
    pub burst: u32,
    /// For each of these, separately.
    #[serde(default)]
    pub by: RateKey,
}

/// What a rate is counted for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RateKey {
    /// The client's address (of IPv6, its /64).
    #[default]
    Source,
    /// All requests of the rule together.
    All,
    /// The value of a header field.
    Header(String),
}

/// What is changed on the way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Edits {
    /// The host that the instance is told.
    pub host: Option<String>,
    /// The path that the instance is told.
    pub path: Option<PathEdit>,
    /// Fields of the request.
    pub request: FieldEdits,
    /// Fields of the answer.
    pub response: FieldEdits,
}

impl Edits {
    /// Whether nothing is changed.
    pub fn is_default(&self) -> bool {
        *self == Edits::default()
    }
}

/// How a path is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathEdit {
    /// This beginning is left out.
    Strip(String),
    /// This comes before it.
    Add(String),
    /// The first by the second.
    ReplacePrefix(String, String),
    /// This instead. Names of the path's pattern, as `{name}`, stand for their segments.
    Replace(String),
}

/// How fields are changed: removed, then set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FieldEdits {
    /// Set, instead of any that is there.
    pub set: Vec<(String, String)>,
    /// Added beside any that is there.
    pub add: Vec<(String, String)>,
    /// Removed.
    pub remove: Vec<String>,
}

impl FieldEdits {
    /// These, if they change anything.
    pub fn some(&self) -> Option<&FieldEdits> {
        let none = self.set.is_empty() && self.add.is_empty() && self.remove.is_empty();
        (!none).then_some(self)
    }
}

/// How the instances of a service are chosen, and treated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Policy {
    /// The choice among instances.
    pub balance: Balance,
    /// Whether a client stays where it began.
    pub sticky: Option<Sticky>,
    /// Whether instances of the edge's own zone come first.
    pub zone: Option<OwnZone>,
    /// Over so long a new instance's share grows from a tenth to a whole.
    pub slow_start: Span,
    /// When an instance that fails is passed over for a while.
    pub ejection: Ejection,
    /// What is sent again.
    pub retry: Retry,
    /// What waits for an instance.
    pub queue: Queue,
    /// More requests in progress than this one instance is not given.
    pub max_in_progress: Option<u32>,
    /// An instance that has not begun to answer after so long has failed. `None`: it may take as long as it
    /// likes.
    pub response_timeout: Option<Span>,
    /// A websocket or event stream of a retiring instance is closed after so long (a websocket with 1012), each at
    /// a moment of its own within it. `None`: it may go on for as long as it likes.
    pub stream_drain: Option<Span>,
    /// A TCP connection or UDP flow in which nothing moves for so long ends. `None`: 2 minutes for UDP and never for TCP.
    pub idle_timeout: Option<Span>,
    /// Whether the instance is told of the client by the PROXY protocol.
    pub send_proxy: Option<ProxyVersion>,
    /// Whether answers are compressed for clients that take it.
    pub compress: bool,
    /// Of a service that may be asleep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doze: Option<Box<Doze>>,
}

/// What an edge does with requests for a service that may be asleep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Doze {
    /// Whose requests wait.
    pub stack: StackName,
    /// Of which service.
    pub service: ServiceName,
    /// Whether requests wake it: then they wait for its instances, for [`Doze::hold`].
    pub by_request: bool,
    /// How long.
    pub hold: Span,
    /// What does not wake it, does not wait, and does not count as use.
    pub ignore: Ignored,
    /// Whether it is to be asleep.
    pub asleep: bool,
    /// Until when, if that is known.
    pub until: Option<Time>,
}

impl Policy {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Policy::default()
    }
}

/// The choice among instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Of two at random (of four or fewer: of all), the one with less in progress, weighed by how long its answers
    /// take.
    #[default]
    LeastLoaded,
    /// In turn.
    RoundRobin,
    /// By what a request says, always the same while the instances are the same, and few change when they
    /// are not (maglev).
    Hash(HashKey),
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HashKey {
    /// The client's address.
    Source,
    /// The client's address and port: what tells one flow of UDP from another.
    Flow,
    /// The path.
    Path,
    /// A header field.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// Instances of the edge's own zone come first, while enough of them can take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnZone {
    /// In percent of those of the zone; with fewer, all zones are chosen among.
    pub enough: u32,
}

/// Half.
impl Default for OwnZone {
    fn default() -> OwnZone {
        OwnZone { enough: 50 }
    }
}

/// A client stays where it began, for as long as that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sticky {
    /// On the same instance, or on the same release.
    pub to: StickyTo,
    /// The cookie that the edge sets.
    pub cookie: String,
    /// A header field that says it as well, for clients without cookies; also set on the answer.
    #[serde(default)]
    pub header: Option<String>,
    /// How long a browser keeps the cookie. `None`: until it closes.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// How long the instances of a release that a newer one has replaced go on for clients that began there.
    #[serde(default = "Sticky::usual_keep")]
    pub keep: Span,
}

impl Sticky {
    /// An hour: as long as a page is usually used before it is loaded anew.
    pub fn usual_keep() -> Span {
        Span::mins(60)
    }
}

/// What a client stays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StickyTo {
    /// The instance.
    Session,
    /// The release: a page that was loaded from one is not served by another.
    Version,
}

/// When an instance is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Ejection {
    /// After so many failures in a row (no connection, no answer, 5xx). 0: never.
    pub failures: u32,
    /// For so long, times how often it was, up to ten times.
    pub pause: Span,
    /// Never more than this share of the instances, in percent.
    pub at_most: u32,
}

/// Five in a row, 10 s, half.
impl Default for Ejection {
    fn default() -> Ejection {
        Ejection { failures: 5, pause: Span::secs(10), at_most: 50 }
    }
}

/// What is sent again. Only ever what is safe: not yet delivered, or idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Retry {
    /// In all, the first one included.
    pub tries: u32,
    /// Retries are at most this share of the requests of the last ten seconds, in percent, and ten a second.
    pub budget: u32,
    /// Answers that are tried elsewhere, where the request is idempotent.
    pub statuses: Vec<u16>,
}

/// Three tries, a fifth of the requests.
impl Default for Retry {
    fn default() -> Retry {
        Retry { tries: 3, budget: 20, statuses: vec![] }
    }
}

/// What waits while all instances are full, or none is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Queue {
    /// So many at once, at one edge.
    pub max: u32,
    /// For so long; then 503 with `Retry-After`.
    pub time: Span,
}

/// 1,024, and 5 s.
impl Default for Queue {
    fn default() -> Queue {
        Queue { max: 1024, time: Span::secs(5) }
    }
}

/// Which form of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What holds for all that comes in at an address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Entrance {
    /// Whether only this machine and its containers come in; others are turned away.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub this_machine_only: bool,
    /// Spoken with TLS, or told apart by it.
    pub tls: Option<Tls>,
    /// Networks whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted: Vec<String>,
    /// Whether clients from trusted networks begin with the PROXY protocol.
    pub accept_proxy: bool,
    /// So many connections at once from one address; more are closed.
    pub max_connections_per_source: Option<u32>,
    /// So many connections at once in all, at one edge; more wait.
    pub max_connections: Option<u32>,
    /// Where requests are written down.
    pub access_log: Option<AccessLog>,
    /// Whether answers say what the edge measured, as `Server-Timing`.
    pub server_timing: bool,
}

impl Entrance {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Entrance::default()
    }
}

/// What becomes of TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// It ends here.
    Terminate(Terminate),
    /// It is passed on unread, to a service by the name that the client asks for (SNI). Protocol TCP only.
    Passthrough(Vec<SniRoute>),
}

/// TLS that ends at the edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Terminate {
    /// Chosen by the name that the client asks for; the first where none fits.
    pub certificates: Vec<CertificateFiles>,
    /// Certificates that are had from an authority, by ACME.
    pub acme: Option<Acme>,
}

/// A certificate in files; read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct CertificateFiles {
    /// The chain, PEM; absolute.
    pub cert: String,
    /// Its key, PEM; absolute. Neither the server nor the API ever reads it.
    pub key: String,
}

/// Certificates by ACME (RFC 8555), with the challenge `http-01` or `tls-alpn-01`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Acme {
    /// The authority's directory.
    pub directory: String,
    /// For these names.
    pub domains: Vec<String>,
    /// Who is told of what concerns the account.
    #[serde(default)]
    pub email: Option<String>,
    /// A file with the authority's own root certificate, PEM; absolute. `None`: the usual ones.
    #[serde(default)]
    pub root: Option<String>,
}

/// TLS connections for some names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SniRoute {
    /// Names, as in [`Match::hosts`]; none is any, or none at all.
    pub hosts: Vec<String>,
    /// To these instances.
    pub forward: Forward,
}

impl SniRoute {
    /// The same as a rule of hosts alone.
    pub fn as_rule(&self) -> Rule {
        let hosts = self.hosts.clone();
        let name = if hosts.is_empty() { "*".into() } else { hosts.join(",") };
        let (when, action) = (Match { hosts, ..Match::default() }, RuleAction::Forward(self.forward.clone()));
        Rule { name, when, guard: Guard::default(), edits: Edits::default(), action }
    }
}

/// Where and how requests are written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessLog {
    /// The file, absolute; begun anew at 64 MiB, with three kept.
    pub file: String,
    /// Its form.
    pub format: AccessFormat,
}

/// The form of an access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// A JSON object a line.
    Json,
    /// Apache's combined form.
    Combined,
}
