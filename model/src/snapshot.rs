//! What an edge has counted, as it is seen from outside: by listener, by rule, by instance.

use crate::{
    EdgeCounts, EdgeId, Generation, InProgress, InstanceId, Latencies, NodeId, Protocol, ReleaseNo,
    ServiceName, StackName, Time,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::AddAssign;
use utoipa::ToSchema;

/// All that one edge has counted since its process began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EdgeSnapshot {
    /// Its node.
    pub node: NodeId,
    /// This life of the process.
    pub edge: EdgeId,
    /// When that life began.
    pub began: Time,
    /// When this was taken.
    pub at: Time,
    /// The table by which all its workers choose.
    pub acked: Generation,
    /// The listeners of the newest table, sorted by name.
    pub listeners: Vec<ListenerSnapshot>,
    /// By instance, as in the edge's report.
    pub instances: BTreeMap<InstanceId, InstanceSnapshot>,
    /// By the access log's file.
    pub access_logs: BTreeMap<String, LogCounts>,
    /// Old processes of this edge that finish what they carry, oldest first. What they count is in all of the above.
    #[serde(default)]
    pub draining: Vec<DrainingEdge>,
}

/// A process of an edge that was replaced, and finishes what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrainingEdge {
    /// Its process; 0 if it has not been heard of yet.
    pub pid: u32,
    /// Connections that are still open there.
    pub connections: u64,
}

/// What was counted of one listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListenerSnapshot {
    /// Its name.
    pub name: String,
    /// Its address, as the table names it.
    pub address: String,
    /// How it is spoken.
    pub protocol: Protocol,
    /// Its stack.
    pub stack: StackName,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Of those, connections that were closed at once: one too many of their source, or without the beginning that
    /// they have to have.
    #[serde(default)]
    pub turned_away: u64,
    /// Connections that are open.
    pub open: u64,
    /// Of those, connections at old processes of the edge, which take no new ones.
    #[serde(default)]
    pub draining: u64,
    /// Requests and connections that wait for an instance.
    pub held: u64,
    /// First what no rule took, then the rules of the newest table by their place.
    pub rules: Vec<RuleSnapshot>,
}

/// What was counted of one rule of a listener, or of what no rule took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleSnapshot {
    /// Its name; empty for what no rule took.
    pub name: String,
    /// The service that it is for, if it is for one.
    pub service: Option<ServiceName>,
    /// The counts.
    pub tally: RuleTally,
}

/// Requests and their answers, counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RuleTally {
    /// Requests that began and have no whole answer yet, and streams.
    pub in_progress: InProgress,
    /// Requests that are over, by what they were answered: none, 1xx, 2xx, 3xx, 4xx, 5xx. One that has become a stream
    /// counts from then on.
    pub answers: [u64; 6],
    /// Of those, answered by the edge itself: by the status and the reason.
    pub own: Vec<OwnAnswers>,
    /// Of those, left by the client before the answer was whole.
    pub left: u64,
    /// Of those, whose answer broke off at the instance.
    pub broken: u64,
    /// Streams that the edge ended, as the service's policy says: silent for too long, or of an instance that retires.
    #[serde(default)]
    pub closed: u64,
    /// Times that a request was given to one more instance.
    pub retries: u64,
    /// Streams that are over.
    pub streams: u64,
    /// Bytes of the requests' bodies.
    pub received: u64,
    /// Bytes of the answers' bodies.
    pub sent: u64,
    /// How long whole answers took, from the request's head to the last byte; without streams.
    pub latencies: Latencies,
}

/// Answers of one kind that the edge gave itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnAnswers {
    /// Their status.
    pub status: u16,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// What was counted of one instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct InstanceSnapshot {
    /// Its stack, service and release; `None` where no table of this edge's life named it.
    pub made_by: Option<MadeBy>,
    /// As in the edge's report.
    pub counts: EdgeCounts,
    /// Its whole answers to requests, by status: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub answers: [u64; 5],
    /// How often a worker has passed it over for a while, since it failed again and again.
    pub ejections: u64,
    /// How long they took.
    pub latencies: Latencies,
}

/// Where an instance comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MadeBy {
    /// Its stack.
    pub stack: StackName,
    /// Its service.
    pub service: ServiceName,
    /// The release that made it.
    pub release: ReleaseNo,
}

/// An access log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogCounts {
    /// That are in the file.
    pub written: u64,
    /// That were dropped, because the file could not be written, or not as fast.
    pub dropped: u64,
}

impl AddAssign<&RuleTally> for RuleTally {
    fn add_assign(&mut self, other: &RuleTally) {
        self.in_progress += other.in_progress;
        self.answers.iter_mut().zip(other.answers).for_each(|(mine, more)| *mine += more);
        for more in &other.own {
            let same = |one: &&mut OwnAnswers| one.status == more.status && one.reason == more.reason;
            match self.own.iter_mut().find(same) {
                Some(mine) => mine.count += more.count,
                None => self.own.push(more.clone()),
            }
        }
        self.left += other.left;
        self.broken += other.broken;
        self.closed += other.closed;
        self.retries += other.retries;
        self.streams += other.streams;
        self.received += other.received;
        self.sent += other.sent;
        self.latencies.add(&other.latencies);
    }
}
