//! Answers that no instance gives, and what is made of those that one gave: files of a folder, refusals, names and
//! passwords, smaller bodies. Whoever carries them knows nothing of their making, whatever it speaks.

mod answer;
mod basic;
mod encode;
mod files;
mod rest;

pub use answer::{Answer, Content};
pub use basic::{Basic, Claimed, Shown};
pub use encode::Encoder;
pub use files::{Folder, Wanted};
pub use rest::Rest;
