//! The agent role against real processes: orders go in by the channel, reports are waited for.

#[path = "../../src/agent/mod.rs"]
mod agent;
mod bench;
mod kills;
mod lives;
mod works;
