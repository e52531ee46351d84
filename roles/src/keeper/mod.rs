//! The keeper: starts the three roles, starts each again when it dies, and ends them in order.
//!
//! It holds nothing and decides nothing else. Roles outlive it: one that is killed leaves them running, and
//! the next keeper's children wait for the roles' locks, so that each role is there once, and is started
//! again when it ends, whoever started it. What is background and what is foreground differs only in who
//! waits for it: [`ensure`] is the way of the commands, `naru serve` that of a person or an init system.

mod child;
mod finish;
mod kept;
mod renew;
mod start;

pub use finish::{Ended, end, shutdown};
pub use kept::{Mode, serve};
pub use renew::{EdgeRenewed, Renewed, Scope, is_renewed, upgrade};
pub use start::{StartError, client, ensure};
