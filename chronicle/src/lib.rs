//! What happened, and what instances wrote, for whoever asks later: the API's answers from the logs on disk.

pub mod events;
pub mod logs;

pub use events::Chronicle;
