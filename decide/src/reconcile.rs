//! Given records and observations: what is to be written next?

use crate::{World, Write};
use naru_model::{NodeId, Time};

/// What is to be written, all in one transaction, and when to look again at the latest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Records to change.
    pub writes: Vec<Write>,
    /// When time alone may change the decision.
    pub wake: Option<Time>,
}

/// One round over all stacks. New instances are placed on `node`.
pub fn reconcile(_world: &World, _node: &NodeId, _now: Time) -> Decision {
    Decision::default()
}
