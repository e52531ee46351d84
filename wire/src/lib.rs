//! What is said on the wire, as bytes in and meaning out: no socket, no clock, no choices.
//!
//! Pure, so that each format can be tried with any bytes, cut anywhere. A message is taken only if every recipient
//! must read it the same way; what could be read in two ways is refused with a [`Reject`], never repaired.

mod body;
mod boundary;
mod coding;
mod fields;
mod file;
mod head;
mod preface;
mod reject;
mod request;
mod response;

pub use body::{Body, Run, What, is_text, is_token};
pub use boundary::{CLOSE_RESTART, Events, Frames};
pub use coding::{Coding, is_compressible};
pub use file::{FileAnswer, FileAsk, Stored};
pub use head::{Framing, Method, Persistence, Repeat, Upgrade, Version, content_length, extend, find_end};
pub use preface::{
    HELLO, Hello, PROXY_HEADER, Peers, ProxyHeader, Unreadable, hello, proxy_header, write_proxy_header,
};
pub use reject::{Reject, phrase};
pub use request::{Onward, REQUEST_HEAD, Request, RequestHead, Room, Sender, Trust};
pub use response::{Answering, Keep, Nature, ResponseHead, response};
