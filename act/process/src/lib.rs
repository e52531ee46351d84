//! Instances as host processes: each under a shim of its own, so that the agent may come and go.
//!
//! A **shim** is one small process per running instance. It holds the instance's stdout and stderr,
//! writes its log, waits for it, ends what it left behind and puts its exit status on disk. The agent's
//! [`Runtime`] starts shims, signals instances and watches for their end; it holds nothing that it could
//! not read again from the instance's folder, so it can be killed at any moment and a new one adopts what
//! runs ([`Runtime::open`]).
//!
//! What keeps this honest, one mechanism each:
//! - *Never two.* The folder's `lock` is an flock taken by the agent before anything else and inherited by the
//!   shim: it is held exactly as long as a start is under way or a shim lives, with no gap between.
//! - *Never a stranger.* A process is named by pid, start time and boot id, and is signalled only through a
//!   pidfd that was checked against them.
//! - *Never half.* Each file of the folder is written whole under another name, then renamed. Space for the
//!   exit status is set aside at the start, so a full disk cannot lose it.
//! - *None left behind.* The shim is the subreaper of all that the instance forks. When the main process
//!   has ended, the rest is killed, daemons of their own session included, as in a container.

mod adopt;
mod attach;
mod cgroup;
mod error;
mod exec;
mod expand;
mod folder;
mod launch;
mod pid;
mod pty;
mod runtime;
mod session;
mod shim;
mod start;
mod streams;
mod sweep;
mod usage;
mod user;
mod watch;

pub mod signal;

pub use attach::AttachOrder;
pub use error::{AttachError, Error, StartError};
pub use expand::{ExpandError, expand};
pub use launch::Launch;
pub use naru_logs::KeepLogs;
pub use runtime::{Adopted, AdoptedState, Ended, Events, ExecEnd, ExecOutput, RunNo, Runtime, Started};
pub use shim::shim_main;
pub use signal::Signal;
pub use user::UserError;
