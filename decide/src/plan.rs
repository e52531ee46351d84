//! What a deploy would change, and why.

use crate::World;
use naru_model::{Plan, Refusal, ServiceName, Stack};

/// What deploying `stack` (only the services of `only`, and what they depend on, unless it is empty) would
/// change.
pub fn plan(_world: &World, stack: &Stack, _only: &[ServiceName]) -> Result<Plan, Refusal> {
    Ok(Plan { stack: stack.name.clone(), release: Default::default(), services: vec![], notes: vec![] })
}
