//! NARU_HOME, and what every process of Naru has in it: a lock that only one life of it can hold, a log, small files
//! that are there whole or not at all, the contents of secrets and configs.
//!
//! Each role is a process of its own, so that each can be killed and replaced alone. The locks make the
//! replacement safe: a new life of a role waits, before it does anything else, until the one before it is
//! gone. They are flocks, so that the kernel gives them up with the process, however that ended.

pub mod contents;
mod home;
mod lock;
pub mod log;
mod role;
mod seal;

pub use home::{Home, HomeError};
pub use lock::{Lock, Post};
pub use role::{EndSignals, Failure, Rest, Role, wall, zone};
pub use seal::{put_file, take_file};
