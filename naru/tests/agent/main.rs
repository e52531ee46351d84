//! The agent role against real processes: orders go in by the channel, reports are waited for.

mod bench;
mod kills;
mod lives;
mod works;
