//! The verbs, one module each: what it takes, what it does, what it shows.

pub mod change;
pub mod completions;
pub mod config;
pub mod demo;
pub mod down;
pub mod events;
pub mod exec;
pub mod explain;
pub mod history;
pub mod image;
pub mod import;
pub mod job;
pub mod logs;
pub mod ls;
pub mod metrics;
pub mod plan;
pub mod ps;
pub mod receipt;
pub mod routes;
pub mod shutdown;
pub mod stats;
pub mod top;
pub mod up;
pub mod upgrade;
pub mod version;
pub mod work;
