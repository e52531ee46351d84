//! Assets, driven: the file in NARU_HOME that names clouds, the server's task that starts and stops their machines as
//! [`naru_assets`] decides, and what the command line does with them. Here the pure judgement, the clouds' clients and the store
//! are wired; nothing is decided.

mod driver;
mod file;
mod follow;
mod records;

pub use driver::{Handle, Orders, WorkHere, channel, run};
pub use file::{AllDiscovered, FILE, FileError, discover_all, iam_policy, no_file, providers};
pub use follow::{Ended, see_through};
