//! What the simulated people deploy: stacks of a few kinds of services, drawn by chance, and how the processes of each
//! behave.

mod behaviour;
mod contents;
mod dice;

pub use behaviour::{Behaviour, Calls, Fate, Jobs, Term};
pub use contents::{Draft, Kind, template};
pub use dice::Dice;
