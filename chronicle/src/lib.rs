//! What happened, and what instances wrote, for whoever asks later: the API's answers from the logs on disk; and who is told
//! of it.

pub mod events;
pub mod logs;
mod notices;
pub mod notifier;
mod outbox;
pub mod requests;

pub use events::Chronicle;
pub use outbox::{Outbox, Post};
