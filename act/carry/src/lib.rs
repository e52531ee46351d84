//! Bytes between sockets: memory on loan while they move (`buffer`), reading and writing that give up on a peer that
//! stopped (`transfer`), bulk that is moved without being seen (`splice`), a client's connection with or without TLS (`stream`),
//! datagrams and where they came (`datagram`), who is on this machine (`neighbours`), connections inside the process (`pipe`), what is needed only while a request is answered (`loan`), and connections that
//! wait for their next request: those of clients (`waits`) and those to instances (`pool`).
//!
//! Nothing here knows what the bytes mean, who counts them, or why they are carried.

mod buffer;
mod datagram;
mod loan;
mod neighbours;
mod pipe;
mod pool;
mod splice;
mod stream;
mod transfer;
mod waits;

pub use buffer::{Buffer, HeadText, SIZE, give_back};
pub use datagram::{Datagram, Local, Room, ask_where, receive, send};
pub use loan::{Lent, lend};
pub use neighbours::is_on_this_machine;
pub use pipe::{End, Next, pipe};
pub use pool::{Origin, Pool, Shared, Upstream};
pub use splice::{BULK, Moved, move_bulk};
pub use stream::{Reader, Stream, Writer};
pub use transfer::{Inbox, finish, linger, write_all};
pub use waits::{Over, Waiting, Waits};
