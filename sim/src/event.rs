//! What happens in the simulated world, and to whom.

use crate::net::Message;
use crate::scenario::Blow;
use crate::store::Answer;
use crate::work::WorkId;
use naru_model::{InstanceId, Time};
use naru_supervise::Input;

/// One thing that happens. A `life` counts the lives of a process of Naru: what is meant for an earlier one
/// finds nobody.
pub(crate) enum Event {
    /// To the server.
    Server { life: u32, what: ServerEvent },
    /// A message arrives.
    Arrives(Box<Message>),
    /// A transaction that was under way reaches the store.
    Commits(Box<crate::store::Pending>),
    /// To a node's agent.
    Agent { node: usize, life: u32, what: AgentEvent },
    /// To a node's edge.
    Edge { node: usize, life: u32, what: EdgeEvent },
    /// To a process.
    Process { pid: u32, what: ProcessEvent },
    /// To a piece of work, unless it was placed anew since.
    Work { id: WorkId, placing: u32, what: WorkEvent },
    /// From outside.
    Outside(OutsideEvent),
}

/// To the server.
pub(crate) enum ServerEvent {
    /// It comes up.
    Starts,
    /// It looks at the world.
    Round,
    /// The time that the last decision named.
    Wake(Time),
    /// The store answers.
    Answered(Answer),
    /// What was sent and not acknowledged is sent again.
    SendAgain,
}

/// To an agent.
pub(crate) enum AgentEvent {
    /// It comes up.
    Starts,
    /// An instance's machine asked to be called.
    Tick(InstanceId),
    /// What was asked of an instance is answered.
    Input(InstanceId, Box<Input>),
    /// It tells what it sees.
    Reports,
    /// Its connection to the server was lost, and there is another.
    Reconnects,
    /// A ledger's lease may have expired.
    Expires(InstanceId),
}

/// To an edge.
pub(crate) enum EdgeEvent {
    /// It comes up.
    Starts,
    /// A worker takes the newest table.
    Adopts(usize),
    /// It tells what it sees.
    Reports,
    /// Its connection to the server was lost, and there is another.
    Reconnects,
}

/// To a process.
pub(crate) enum ProcessEvent {
    /// It can serve.
    Serves,
    /// It ends, or is killed by a fault.
    Ends(crate::host::Death),
    /// It fails its health check from now on.
    Sickens,
    /// It is well again.
    Recovers,
    /// It takes a job by itself.
    TakesJob,
    /// It has learnt that it is to take no new work.
    Hushes,
}

/// To a piece of work.
pub(crate) enum WorkEvent {
    /// It is done.
    Done,
    /// It makes its call to another service.
    Calls,
    /// It was held for too long.
    HeldTooLong,
    /// Its lease's heartbeat.
    Beats,
}

/// From outside.
pub(crate) enum OutsideEvent {
    /// A client of a stack has a request.
    Request(usize),
    /// A client of a stack opens a stream.
    Stream(usize),
    /// The next order of a stack's people.
    Order(usize),
    /// Somebody orders something of a stack's jobs.
    JobOrder(usize),
    /// A fault.
    Blow(Blow),
    /// The people see to it that nothing waits for them.
    Settle(usize),
    /// Everything has to be as wanted.
    Judgement,
}
