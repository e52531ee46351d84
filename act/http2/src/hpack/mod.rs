//! Header compression (RFC 7541), as a server has it: what clients send is decoded in full, and answers are written
//! without a table of their own, so that nothing has to be kept or guessed for them.
//!
//! What a name is and whether a value may be one is found out once, when it enters the table: a client says the same
//! with every request.

mod decode;
mod encode;
mod huffman;
mod name;
mod table;

pub(crate) use decode::{Decoder, Field};
pub(crate) use encode::{Answered, NO_TABLE, SHORT, Short, field, long_field, lowered, status};
#[cfg(test)]
pub(crate) use name::is_value;
pub(crate) use name::{Name, is_token};
