//! Request smuggling: every published class of it, as raw bytes to a real edge with a real instance behind it.
//!
//! The corpora name their classes. What the edge does with each case stands below it there, and in
//! docs/edge-conformance.md; both are what was found, and `UPDATE=1` writes them anew. What holds for every case is
//! asserted apart from that: what reaches the instance is what [`strict`], a reader of our own that shares nothing
//! with the edge's, reads in the client's bytes; a request that it cannot read is refused and its connection closed;
//! and the next client, whose request goes over the same connections to the instance, gets its own answer.

#[path = "../edge/lab.rs"]
#[allow(dead_code, reason = "the other tests of the edge need more of it")]
mod lab;

mod answers;
mod corpus;
mod recorder;
mod requests;
mod strict;

use lab::{Instance, Lab};
use std::time::Duration;

/// An edge of one thread, so that all clients share its connections to instances, and that soon gives up on what
/// does not arrive.
async fn edge(instance: &Instance) -> Lab {
    let mut lab = Lab::with(|config| {
        config.workers = 1;
        config.head_time = Duration::from_millis(300);
        config.stall_time = Duration::from_millis(300);
        config.linger_time = Duration::from_millis(300);
    });
    lab.serve(&[instance]).await;
    lab
}
