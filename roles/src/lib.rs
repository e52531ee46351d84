//! The roles: server, agent and edge, each a process of its own, and the keeper that starts them and starts
//! them again. Here decide's judgements and act's parts are wired; nothing is decided.

pub mod agent;
mod door;
pub mod keeper;
pub mod role;
pub mod server;
