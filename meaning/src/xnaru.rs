//! The reference of a service's `x-naru` as data: one table of keys, from which the schema is made that checks files
//! and, with the table of the file's own `x-naru`, the one that `naru schema` prints.

use naru_routing::{FILE_KEYS, Key, POWER_KEYS, Takes, joined, key, later};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Every key of `x-naru`, parents before children.
pub const KEYS: &[Key] = &joined::<{ OWN_KEYS.len() + POWER_KEYS.len() }>(OWN_KEYS, POWER_KEYS);

/// Those that a file does not have for all of its services.
const OWN_KEYS: &[Key] = &[
    key("process", Takes::Group, "Runs the service as a process of the host, instead of its image."),
    key(
        "process.command",
        Takes::Command,
        "The program and its arguments; $PORT and other variables of the instance are replaced when it starts.",
    ),
    key("health", Takes::Group, "How one knows that an instance can serve; takes the place of healthcheck."),
    key("health.http", Takes::Text, "A path that answers GET with a status of 200 to 399."),
    key("health.tcp", Takes::Whole, "A target port that accepts connections."),
    key("health.command", Takes::Command, "A command that exits with 0."),
    key("health.port", Takes::Whole, "The target port that http asks; the first one if missing."),
    key("health.interval", Takes::Duration, "From the end of one probe to the next; 2s if missing."),
    key("health.timeout", Takes::Duration, "A probe that takes longer has failed; 5s if missing."),
    key("health.retries", Takes::Whole, "So many failures in a row make it unready; 3 if missing."),
    key(
        "health.start_period",
        Takes::Duration,
        "Failures within this time of the start do not count; 0s if missing.",
    ),
    key("health.start_interval", Takes::Duration, "The interval until it is ready; 100ms if missing."),
    key("work", Takes::Group, "How Naru knows of jobs, beside leases, and what a wait for them may do."),
    key(
        "work.busy",
        Takes::CommandOrGroup,
        "Tells whether jobs are in progress; as a command, exit status 0 means busy.",
    ),
    key("work.busy.http", Takes::Text, "A path that answers GET with 200 and {\"jobs\": n}."),
    key("work.busy.port", Takes::Whole, "The target port that http asks; the first one if missing."),
    key("work.busy.command", Takes::Command, "A command whose exit status 0 means busy."),
    key(
        "work.quiet",
        Takes::CommandOrGroup,
        "Tells an instance to take no new work; as a command, exit status 0 means told.",
    ),
    key("work.quiet.http", Takes::Text, "A path that takes POST and answers with a status of 200 to 299."),
    key("work.quiet.port", Takes::Whole, "The target port that http asks; the first one if missing."),
    key("work.quiet.command", Takes::Command, "A command that tells it."),
    key("work.quiet.signal", Takes::Text, "A signal that tells it, by name or number."),
    key(
        "work.postpone_max",
        Takes::Duration,
        "A wait for work that is longer raises an alarm; never if missing.",
    ),
    key(
        "work.at_limit",
        Takes::Word(&["wait", "cut"]),
        "What follows the alarm: wait on, or cut the work and list it; wait if missing.",
    ),
    key("rollout", Takes::Group, "How one release replaces another, beside deploy.update_config."),
    key(
        "rollout.strategy",
        Takes::Word(&["rolling", "blue-green", "canary"]),
        "A few instances at a time, the whole set at once, or a growing share of the traffic; rolling if missing.",
    ),
    key(
        "rollout.soak",
        Takes::Duration,
        "Blue-green: how long the new set must stay ready before it is promoted; 0s if missing.",
    ),
    key(
        "rollout.promote",
        Takes::Word(&["auto", "manual"]),
        "Promoted by itself, or by naru promote; auto if missing.",
    ),
    key(
        "rollout.preview",
        Takes::Whole,
        "Blue-green: a port at which the new set can be reached before it is promoted.",
    ),
    key("rollout.steps", Takes::Groups, "Canary: shares of the traffic, and how long each is held."),
    key("rollout.steps.[].weight", Takes::Whole, "Percent of the traffic that goes to the new release."),
    key("rollout.steps.[].for", Takes::Duration, "How long, before the next step."),
    key(
        "rollout.max_retiring",
        Takes::Whole,
        "So many releases of a service may retire side by side; 10 if missing.",
    ),
    key(
        "rollout.healthy_within",
        Takes::Duration,
        "A new instance that is not ready within this time has failed; 120s if missing, or more where the health check needs it.",
    ),
    key(
        "rollout.max_error_ratio",
        Takes::Ratio,
        "A share of failed requests above this, during monitor, is a failure; 0.1 if missing.",
    ),
    key(
        "singleton",
        Takes::Truth,
        "At most one instance at any time, across releases: the old one stops first.",
    ),
    key(
        "max_concurrent",
        Takes::Whole,
        "With deploy.mode replicated-job: no more than so many at once; all if missing.",
    ),
    key("traffic", Takes::Group, "How requests to the service are treated, whichever way they come."),
    key(
        "traffic.compress",
        Takes::Truth,
        "Answers are made smaller for clients that take it; false if missing.",
    ),
    key(
        "traffic.idle_timeout",
        Takes::Duration,
        "A TCP connection or UDP flow in which nothing moves for so long is ended; never for TCP and 2m for UDP if missing.",
    ),
    key(
        "traffic.stream_drain",
        Takes::Duration,
        "Streams of an instance that retires are ended within so long; if missing, they go on for as long as they like.",
    ),
    key(
        "traffic.send_proxy",
        Takes::Word(&["v1", "v2"]),
        "Instances are told of each TCP client by the PROXY protocol.",
    ),
    key("published", Takes::Group, "What holds for all that comes in at the published ports."),
    key(
        "published.trusted",
        Takes::Texts,
        "Networks whose X-Forwarded-For, Forwarded and PROXY protocol are believed.",
    ),
    key(
        "published.accept_proxy",
        Takes::Truth,
        "Clients from trusted networks begin with the PROXY protocol.",
    ),
    key(
        "published.max_connections",
        Takes::Whole,
        "So many connections to a port at once; more wait to be accepted.",
    ),
    key(
        "published.max_connections_per_source",
        Takes::Whole,
        "So many of one source; more are closed at once.",
    ),
    key("published.rate_limit", Takes::Group, "So many requests, and no more: 429."),
    key("published.rate_limit.requests", Takes::Whole, "How many."),
    key("published.rate_limit.per", Takes::Duration, "In so long; 1s if missing."),
    key("published.rate_limit.burst", Takes::Whole, "So many at once; as many as requests if missing."),
    key("published.rate_limit.by", Takes::Text, "For each: source (if missing), all, or header:NAME."),
    key("published.access_log", Takes::Group, "A line for each request."),
    key("published.access_log.file", Takes::Text, "The file."),
    key(
        "published.access_log.format",
        Takes::Word(&["json", "combined"]),
        "How a line is written; json if missing.",
    ),
    key(
        "published.server_timing",
        Takes::Truth,
        "Answers say in Server-Timing how long the edge and the instance took.",
    ),
    key(
        "traffic.balance",
        Takes::Text,
        "Who of the instances: least-loaded (if missing), round-robin, or hash:source, hash:path, hash:header:NAME, hash:cookie:NAME.",
    ),
    key(
        "traffic.sticky",
        Takes::WordOrGroup(&["version", "session"]),
        "Keeps a client on the release that it began with, or on the instance.",
    ),
    key("traffic.sticky.to", Takes::Word(&["version", "session"]), "On the release, or on the instance."),
    key("traffic.sticky.cookie", Takes::Text, "The cookie that says it; naru-SERVICE if missing."),
    key("traffic.sticky.header", Takes::Text, "A header field that says it as well, both ways."),
    key(
        "traffic.sticky.max_age",
        Takes::Duration,
        "How long a browser keeps the cookie; until it closes if missing.",
    ),
    key(
        "traffic.sticky.keep",
        Takes::Duration,
        "With version: how long the instances of a release that a newer one replaced go on for clients that began there; 1h if missing.",
    ),
    key(
        "traffic.zone",
        Takes::WordOrGroup(&["own"]),
        "Instances of the edge's own zone (NARU_ZONE) come first, while enough of them can take more.",
    ),
    key("traffic.zone.enough", Takes::Whole, "In percent of those of the zone; 50 if missing."),
    key(
        "traffic.slow_start",
        Takes::Duration,
        "Over so long a new instance's share grows from a tenth to a whole; at once if missing.",
    ),
    key("traffic.ejection", Takes::Group, "When an instance that fails is passed over for a while."),
    key(
        "traffic.ejection.failures",
        Takes::Whole,
        "After so many failures in a row (no connection, no answer, 5xx); 5 if missing, 0 is never.",
    ),
    key(
        "traffic.ejection.pause",
        Takes::Duration,
        "For so long, times how often it was lately, up to ten times; 10s if missing.",
    ),
    key(
        "traffic.ejection.at_most",
        Takes::Whole,
        "Never more than this share of the instances, in percent; 50 if missing.",
    ),
    key("traffic.retry", Takes::Group, "What is sent again, where that is safe."),
    key("traffic.retry.tries", Takes::Whole, "So many times in all, the first included; 3 if missing."),
    key(
        "traffic.retry.budget",
        Takes::Whole,
        "Retries are at most this share of the requests of ten seconds, in percent, and ten a second; 20 if missing.",
    ),
    key(
        "traffic.retry.statuses",
        Takes::Wholes,
        "Answers to idempotent requests that are tried elsewhere, as 502 or 503.",
    ),
    key(
        "traffic.max_in_progress",
        Takes::Whole,
        "More requests and streams at once than this one instance is not given; no bound if missing.",
    ),
    key(
        "traffic.response_timeout",
        Takes::Duration,
        "An instance that has not begun to answer after so long has failed; it may take its time if missing.",
    ),
    key("traffic.queue", Takes::Group, "What waits while no instance can take a request."),
    key("traffic.queue.max", Takes::Whole, "So many requests at once; 1024 if missing."),
    key("traffic.queue.time", Takes::Duration, "For so long, then they are answered 503; 5s if missing."),
    later("scale", Takes::Group, "How many instances, by load."),
    later("scale.min", Takes::Whole, "The fewest."),
    later("scale.max", Takes::Whole, "The most."),
    later("scale.per_instance", Takes::Whole, "Requests in progress that one instance is for."),
    later("allow_from", Takes::Texts, "Services that may reach this one."),
    key(
        "direct",
        Takes::Truth,
        "Containers find its instances by the engine, not at the edge; false if missing.",
    ),
];

/// Every key of a job's `x-naru`, parents before children.
pub const JOB_KEYS: &[Key] = &[
    key("process", Takes::Group, "Runs the job as a process of the host, instead of its image."),
    key(
        "process.command",
        Takes::Command,
        "The program and its arguments; variables of the instance are replaced when it starts.",
    ),
    key(
        "concurrency",
        Takes::Word(&["allow"]),
        "Runs go on side by side; takes the place of the concurrency of each schedule.",
    ),
    key(
        "timeout",
        Takes::Duration,
        "A try that takes longer is cut and has failed; each try has the whole time, and as long as it likes if missing.",
    ),
    key("retries", Takes::Whole, "So many tries more after the first, where one fails; 0 if missing."),
    key(
        "backoff",
        Takes::Duration,
        "From the end of the first try to the second, doubled from one to the next up to 1h; 10s if missing.",
    ),
];

/// The JSON Schema of what Naru takes of a Compose file beside the specification, for editors and for `naru schema`.
pub fn schema() -> Value {
    let mut file = naru_routing::schema(FILE_KEYS, "");
    file["description"] = json!("What holds for the file as a whole.");
    let service = json!({ "type": "object", "properties": { "x-naru": &*SCHEMA } });
    let job = json!({ "type": "object", "properties": { "x-naru": &*JOB_SCHEMA } });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "x-naru: what Naru takes of a Compose file, beside the specification",
        "type": "object",
        "properties": {
            "x-naru": file,
            "services": { "type": "object", "additionalProperties": service },
            "jobs": { "type": "object", "additionalProperties": job },
        },
    })
}

/// The schema of a service's `x-naru`, made once.
pub static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut root = naru_routing::schema(KEYS, "");
    root["description"] = json!("What holds for the service.");
    root
});

/// The schema of a job's `x-naru`, made once.
pub static JOB_SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut root = naru_routing::schema(JOB_KEYS, "");
    root["description"] = json!("What holds for the job.");
    root
});

#[cfg(test)]
mod tests {
    use super::{FILE_KEYS, JOB_KEYS, JOB_SCHEMA, KEYS, SCHEMA, Value, schema};
    use std::collections::BTreeSet;

    fn properties(schema: &Value, path: &str, out: &mut BTreeSet<String>) {
        let choices = schema["oneOf"].as_array().into_iter().flatten();
        choices.for_each(|choice| properties(choice, path, out));
        if schema["items"]["properties"].is_object() {
            properties(&schema["items"], &format!("{path}[]."), out);
        }
        if schema["additionalProperties"].is_object() {
            properties(&schema["additionalProperties"], &format!("{path}NAME."), out);
        }
        for (name, value) in schema["properties"].as_object().into_iter().flatten() {
            out.insert(format!("{path}{name}"));
            assert!(value["description"].as_str().is_some_and(|doc| doc.len() > 7), "{path}{name}");
            properties(value, &format!("{path}{name}."), out);
        }
    }

    #[test]
    fn the_schema_has_the_keys_of_the_table_and_no_others() {
        let whole = schema();
        let services = &whole["properties"]["services"]["additionalProperties"]["properties"];
        assert_eq!(services["x-naru"], *SCHEMA);
        for (schema, table) in
            [(&*SCHEMA, KEYS), (&*JOB_SCHEMA, JOB_KEYS), (&whole["properties"]["x-naru"], FILE_KEYS)]
        {
            let mut in_schema = BTreeSet::new();
            properties(schema, "", &mut in_schema);
            let in_table: BTreeSet<String> = table.iter().map(|key| key.path.to_string()).collect();
            assert_eq!(in_schema, in_table);
            assert_eq!(in_table.len(), table.len(), "no key twice");
        }
    }

    #[test]
    fn every_doc_is_one_sentence() {
        for key in KEYS.iter().chain(JOB_KEYS).chain(FILE_KEYS) {
            assert!(key.doc.ends_with('.') && !key.doc.contains('\n'), "{}", key.path);
        }
    }
}
