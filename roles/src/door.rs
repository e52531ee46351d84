//! The agent's door: a socket of the home, at which the server asks to be connected with an instance on somebody's behalf.
//!
//! First comes the order: four bytes with its length, and so many of JSON. All that follows is between the two ends.

use naru_api::ReachOrder;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The socket's name in the home.
pub const SOCKET: &str = "reach.sock";

/// The kernel takes 2 MiB of arguments at most.
const ORDER_MAX: u32 = 8 << 20;

/// Asks for it.
///
/// # Errors
/// The agent is gone.
pub async fn ask(stream: &mut UnixStream, order: &ReachOrder) -> io::Result<()> {
    let json = serde_json::to_vec(order)?;
    stream.write_u32(json.len() as u32).await?;
    stream.write_all(&json).await
}

/// What is asked for.
///
/// # Errors
/// The server is gone, or asks what makes no sense.
pub async fn hear(stream: &mut UnixStream) -> io::Result<ReachOrder> {
    let length = stream.read_u32().await?;
    if length > ORDER_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut json = vec![0; length as usize];
    stream.read_exact(&mut json).await?;
    Ok(serde_json::from_slice(&json)?)
}
