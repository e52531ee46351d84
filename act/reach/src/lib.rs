//! A live session: a person at one end, a command beside an instance at the other, and all that passes between them.
//!
//! The agent's end is [`serve`]: it has the command ([`Attached`], whatever runtime it is of) and a stream. The person's end is
//! [`attach`]: it has a terminal, or two pipes, and a stream. Between them go [`Frame`]s; who carries the stream, and through
//! how many processes, is nobody's concern here.
//!
//! Files go the same way: [`copy_here`] and [`copy_there`] are the person's end, [`transfer`] is the agent's.
//!
//! What keeps this honest, one mechanism each:
//! - *Nothing piles up.* Output goes no faster than the person's end takes it. Input goes on credit ([`WINDOW`]): so the
//!   agent's end always reads, and a signal, a new size or the loss of the person is heard even by the side of a command that
//!   reads nothing.
//! - *Nothing is lost at the end.* How the command ended is the last frame, sent when its output has ended too.
//! - *Nothing is left.* When the person is gone, the command is hung up on, and then ended.
//! - *The terminal is given back*, on every way out that a process has a say in.

mod archive;
mod attached;
mod frame;
mod lobby;
mod local;
mod serve;
mod terminal;
mod transfer;
mod usage;

pub use archive::{pack, unpack};
pub use attached::{Attached, Hold, Input, Output, Source};
pub use frame::{End, Failure, Frame, FrameReader, FrameWriter, PAYLOAD_MAX, Size, WINDOW};
pub use lobby::{Lobby, Person};
pub use local::{Local, Lost, attach};
pub use serve::serve;
pub use terminal::{is_terminal, size};
pub use transfer::{copy_here, copy_there, transfer};
pub use usage::{Usage, Usages, serve_usage};
