//! What people are shown of the world.

use crate::World;
use naru_model::{InstanceView, StackName, StackView, Time, WorkView};

/// All stacks that have a target or an instance.
pub fn stacks(_world: &World) -> Vec<StackView> {
    vec![]
}

/// The instances of a stack, or of all.
pub fn instances(_world: &World, _stack: Option<&StackName>, _now: Time) -> Vec<InstanceView> {
    vec![]
}

/// The work in progress on a stack, or on all.
pub fn work(_world: &World, _stack: Option<&StackName>, _now: Time) -> Vec<WorkView> {
    vec![]
}
