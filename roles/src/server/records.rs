//! Records as the store has them: which key, which bytes.
//!
//! | key | value |
//! | --- | --- |
//! | `server/generation` | how often the records were changed, and by which life of a server last |
//! | `server/format` | the number of this layout |
//! | `server/journal` | a change that is too large for one transaction, and is being copied to its place |
//! | `asset/PROVIDER/MACHINE` | what is wanted of an asset, kept by a task of its own |
//! | `stack/NAME`, `release/STACK/N`, `instance/ID`, `operation/N`, `run/STACK/JOB/N`, `routes`, `edge/NODE`, `user/NAME`, `token/ID`, `grant/N`, `next-grant`, `request/N`, `next-request` | the record, JSON |
//!
//! A value of more than [`PART`] bytes is kept in parts: `KEY`, `KEY/~1`, `KEY/~2`, … in order.

use naru_decide::{EdgeRecord, RunKey, World, Write};
use naru_model::{
    InstanceRecord, Operation, OperationId, Release, ReleaseNo, RouteTable, RunRecord, StackName, StackRecord,
};
use naru_store::{InvalidKey, Item, Key};
use naru_who::{DeskRequest, GrantRecord, PersonWrite, TokenRecord, UserRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The layout that this version writes, and the newest that it reads.
pub const FORMAT: u64 = 1;

/// Half of what the store takes as one value, so that two fit one transaction.
pub const PART: usize = naru_store::VALUE_MAX / 2;

/// What marks the key of a part after the first.
pub const PART_MARK: &str = "/~";

/// A record that cannot be read, or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// By a later version of Naru.
    #[error(
        "the records are of format {found}, and this version reads up to {FORMAT}: use the version that wrote them, or a later one"
    )]
    Newer {
        /// Its number.
        found: u64,
    },
    /// Its bytes make no sense.
    #[error("the record {key} cannot be read ({detail}): restore the store from a copy")]
    Damaged {
        /// Where.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Its name does not fit a key.
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

/// A record's change, as the store takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which record.
    pub key: Key,
    /// Its new value; `None`: it goes.
    pub value: Option<Vec<u8>>,
}

/// What the store is to hold after this write.
///
/// # Errors
/// A name in it does not fit a key.
pub fn encode(write: &Write) -> Result<Change, RecordError> {
    match write {
        Write::Stack(stack) => put(format!("stack/{}", stack.name), stack),
        Write::Release(stack, release) => put(release_key(stack, release.number), release),
        Write::ForgetRelease(stack, number) => gone(release_key(stack, *number)),
        Write::Instance(instance) => put(format!("instance/{}", instance.id), instance),
        Write::ForgetInstance(id) => gone(format!("instance/{id}")),
        Write::Operation(operation) => put(operation_key(operation.id), operation),
        Write::ForgetOperation(id) => gone(operation_key(*id)),
        Write::Run(run) => put(run_key(&(run.stack.clone(), run.job.clone(), run.number)), run),
        Write::ForgetRun(key) => gone(run_key(key)),
        Write::Routes(table) => put("routes".into(), table),
        Write::Edge(edge) => put(format!("edge/{}", edge.node), edge),
        Write::Person(person) => encode_person(person),
    }
}

fn encode_person(write: &PersonWrite) -> Result<Change, RecordError> {
    match write {
        PersonWrite::User(user) => put(format!("user/{}", user.name), user),
        PersonWrite::ForgetUser(name) => gone(format!("user/{name}")),
        PersonWrite::Token(token) => put(format!("token/{}", token.id), token),
        PersonWrite::ForgetToken(id) => gone(format!("token/{id}")),
        PersonWrite::Grant(grant) => put(format!("grant/{}", grant.id), grant),
        PersonWrite::ForgetGrant(id) => gone(format!("grant/{id}")),
        PersonWrite::NextGrant(next) => put("next-grant".into(), next),
        PersonWrite::Request(request) => put(format!("request/{}", request.id), request),
        PersonWrite::ForgetRequest(id) => gone(format!("request/{id}")),
        PersonWrite::NextRequest(next) => put("next-request".into(), next),
    }
}

/// Puts a whole record, read from the store, where it belongs. Keys under `server/` and `asset/` are none of these.
///
/// # Errors
/// It makes no sense.
pub fn decode(world: &mut World, key: &str, value: &[u8]) -> Result<(), RecordError> {
    let (kind, rest) = key.split_once('/').unwrap_or((key, ""));
    let mut person = |write| world.people.apply(write);
    match kind {
        // Assets have a task of their own that reads theirs.
        "server" | "asset" => return Ok(()),
        "stack" => world.apply(Write::Stack(read::<Box<StackRecord>>(key, value)?)),
        "release" => {
            let stack = rest.split('/').next().unwrap_or_default();
            world.apply(Write::Release(stack.into(), read::<Box<Release>>(key, value)?));
        }
        "instance" => world.apply(Write::Instance(read::<Box<InstanceRecord>>(key, value)?)),
        "operation" => world.apply(Write::Operation(read::<Box<Operation>>(key, value)?)),
        "run" => world.apply(Write::Run(read::<Box<RunRecord>>(key, value)?)),
        "routes" => world.apply(Write::Routes(read::<RouteTable>(key, value)?)),
        "edge" => world.apply(Write::Edge(read::<EdgeRecord>(key, value)?)),
        "user" => person(PersonWrite::User(read::<Box<UserRecord>>(key, value)?)),
        "token" => person(PersonWrite::Token(read::<Box<TokenRecord>>(key, value)?)),
        "grant" => person(PersonWrite::Grant(read::<Box<GrantRecord>>(key, value)?)),
        "next-grant" => person(PersonWrite::NextGrant(read(key, value)?)),
        "request" => person(PersonWrite::Request(read::<Box<DeskRequest>>(key, value)?)),
        "next-request" => person(PersonWrite::NextRequest(read(key, value)?)),
        _ => return Err(RecordError::Damaged { key: key.into(), detail: "an unknown kind".into() }),
    }
    Ok(())
}

/// Puts the parts of values together. The items are in the order of their keys; part numbers have the same
/// number of digits up to the tenth part, and are put in order beyond it.
pub fn whole(items: Vec<Item>) -> Vec<Whole> {
    let mut all: Vec<Whole> = Vec::new();
    let mut parts: Vec<(String, u64, Vec<u8>)> = Vec::new();
    for item in items {
        match item.key.as_str().split_once(PART_MARK) {
            Some((key, number)) => parts.push((key.into(), number.parse().unwrap_or(u64::MAX), item.value)),
            None => all.push(Whole { key: item.key.as_str().into(), value: item.value, parts: 1 }),
        }
    }
    parts.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    for (key, _, mut value) in parts {
        if let Ok(at) = all.binary_search_by(|whole| whole.key.as_str().cmp(&key)) {
            all[at].value.append(&mut value);
            all[at].parts += 1;
        }
    }
    all
}

/// A value with all its parts.
pub struct Whole {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub value: Vec<u8>,
    /// How many keys it takes.
    pub parts: usize,
}

/// A value's JSON.
///
/// # Errors
/// It is none of what is meant.
pub fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(value)
        .map_err(|error| RecordError::Damaged { key: key.into(), detail: error.to_string() })
}

fn put(key: String, value: &impl Serialize) -> Result<Change, RecordError> {
    let value = serde_json::to_vec(value).expect("records have only text and numbers as keys");
    Ok(Change { key: Key::new(key)?, value: Some(value) })
}

fn gone(key: String) -> Result<Change, RecordError> {
    Ok(Change { key: Key::new(key)?, value: None })
}

fn release_key(stack: &StackName, number: ReleaseNo) -> String {
    format!("release/{stack}/{number}")
}

fn run_key((stack, job, number): &RunKey) -> String {
    format!("run/{stack}/{job}/{number}")
}

fn operation_key(id: OperationId) -> String {
    format!("operation/{id}")
}
