//! The server's gate: who comes in, what they may, and what is written down of it.
//!
//! [`Gate`] brings together what is kept of people (the server's [`Records`]), the judgement (`rights`), passwords and
//! tokens (`act/identity`), the directory (`act/directory`), the administrator's policies on disk, and the audit. The API asks it as its
//! [`Authority`](naru_api::Authority). [`listen`] is what it takes to be reached from the network.

mod by_directory;
mod desk;
mod gate;
pub mod listen;
pub mod network;
mod policies;
mod records;
mod sign_in;

pub use gate::Gate;
pub use naru_rights::desk::{Deed, Ruled};
pub use policies::{FOLDER as POLICIES, read_folder};
pub use records::{DeskJudge, Judge, Records};
