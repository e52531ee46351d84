//! May this be done, and what does the store then say?

use crate::{World, Write};
use naru_model::{Admitted, Demand, NodeId, Refusal, Time};

/// What admission needs beside the world.
#[derive(Clone, Debug)]
pub struct Context {
    /// Now.
    pub now: Time,
    /// Ports of this machine's loopback that nothing listens on, for stable addresses; at least as many as
    /// the demand's stack has target ports, twice.
    pub free_ports: Vec<u16>,
    /// Where instances are placed.
    pub node: NodeId,
}

/// Takes a demand: the writes that make it so, or a refusal that changes nothing.
pub fn admit(
    _world: &World,
    _demand: &Demand,
    _context: &Context,
) -> Result<(Admitted, Vec<Write>), Refusal> {
    Ok((Admitted { operation: None, notes: vec![] }, vec![]))
}
