//! Machines of EC2, or of a cloud that speaks its Query API: shown, started, stopped. Nothing else can be asked for.
//!
//! - [`Ec2`] is one region of one account. Each answer is bounded and has a time limit. What only reads is tried again; a
//!   request to start or stop is tried again only where the cloud said that it had no effect. Otherwise its outcome is
//!   unknown, and that is what [`Fault::Lost`] says: whoever asked looks at the machine.
//! - Credentials come as for AWS's own tools, by the environment, shared files, a container's or the machine's own address
//!   for them, are had anew before they end, and are in no message and no log.
//! - [`Metadata`] is what a machine of EC2 knows of itself.

mod answer;
mod client;
mod credentials;
mod environment;
mod error;
mod metadata;
mod profiles;
mod refusal;
mod xml;

pub use client::{Ec2, Settings};
pub use environment::Environment;
pub use error::Fault;
pub use metadata::Metadata;
