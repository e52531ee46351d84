//! A workload with something to lose, and a client that keeps its own books.
//!
//! [`tier`] is a small service in two tiers: requests that go from one to the other, websockets, and jobs that
//! hold a lease. [`client`] puts load on it from outside and writes down what it saw in [`books`]: nothing of
//! that comes from Naru, so that Naru's receipts can be checked against it. [`check`] does.

pub mod books;
pub mod call;
pub mod check;
pub mod client;
pub mod rig;
pub mod talk;
pub mod tier;
pub mod transfer;
