//! What must hold for any bytes. Each module has one `check`, which panics where it does not.
//!
//! libFuzzer looks for such bytes; what it has found worth keeping stands in `kept/`, and goes through the same
//! checks in the ordinary tests of the crates.

#[cfg(feature = "forwarding")]
mod answer;
pub mod chunks;
pub mod compose;
pub mod differential;
mod escape;
#[cfg(feature = "forwarding")]
pub mod forwarding;
#[cfg(feature = "frames")]
pub mod frames;
pub mod request;
pub mod response;
pub mod traffic;

pub use escape::unescape;
