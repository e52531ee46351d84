//! Refusals on their way through HTTP, and what a client makes of an answer that it did not want.

use naru_model::Refusal;
use std::fmt;
use std::io;

/// A request that was not carried out: on what ground, what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", refusal.error)]
pub struct Refused {
    /// The kind of obstacle, for programs.
    pub ground: Ground,
    /// The sentences, for people.
    pub refusal: Refusal,
}

impl Refused {
    /// A refusal with what to do.
    pub fn new(ground: Ground, error: impl Into<String>, hint: impl Into<String>) -> Refused {
        Refused { ground, refusal: Refusal::new(error, hint) }
    }
}

/// Why a request was not carried out; each is one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The request is not what the route takes (400).
    Malformed,
    /// Nobody has shown who they are (401).
    Unknown,
    /// The peer may not (403).
    Forbidden,
    /// There is no such thing (404).
    NotFound,
    /// There is no such verb on this route (405).
    NoSuchMethod,
    /// Not in the present state (409).
    Conflict,
    /// Over a bound (413).
    TooLarge,
    /// It can be read, and makes no sense (422).
    Invalid,
    /// Too often (429).
    TooMany,
    /// Not at present: the server's store or another part of it is in the way (503).
    Unavailable,
}

impl Ground {
    const ALL: [Ground; 10] = [
        Ground::Malformed,
        Ground::Unknown,
        Ground::Forbidden,
        Ground::NotFound,
        Ground::NoSuchMethod,
        Ground::Conflict,
        Ground::TooLarge,
        Ground::Invalid,
        Ground::TooMany,
        Ground::Unavailable,
    ];

    /// Its HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Ground::Malformed => 400,
            Ground::Unknown => 401,
            Ground::Forbidden => 403,
            Ground::NotFound => 404,
            Ground::NoSuchMethod => 405,
            Ground::Conflict => 409,
            Ground::TooLarge => 413,
            Ground::Invalid => 422,
            Ground::TooMany => 429,
            Ground::Unavailable => 503,
        }
    }

    /// The ground that has this status.
    pub fn of(status: u16) -> Option<Ground> {
        Ground::ALL.into_iter().find(|ground| ground.status() == status)
    }
}

/// Why a client has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing answers at the socket, or address.
    #[error("no server answers at {at}: {source}; `naru serve` starts one")]
    NoServer {
        /// Where.
        at: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server answered, and said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What answered does not speak this API, or the answer broke off. Whether an order was taken is
    /// then unknown.
    #[error("the server's answer cannot be used: {0}; `naru version` tells both versions")]
    Protocol(String),
    /// No answer in time. Whether an order was taken is then unknown.
    #[error("the server did not answer within {0:?}; its log is in the folder `log` of NARU_HOME")]
    TimedOut(std::time::Duration),
}

impl ClientError {
    /// Whether there is no server, so that one may be started.
    pub fn is_no_server(&self) -> bool {
        matches!(self, ClientError::NoServer { .. })
    }

    pub(crate) fn protocol(what: impl fmt::Display) -> ClientError {
        ClientError::Protocol(what.to_string())
    }
}
