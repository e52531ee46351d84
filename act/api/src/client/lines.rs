//! An answer that comes line by line.

use super::connection::Connection;
use super::path::Target;
use crate::ClientError;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::{Bytes, Incoming};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;

/// The longest line: an event with all instances or operations in it.
const LINE_MAX: usize = 256 << 20;

/// JSON values, one a line.
pub struct Lines<T> {
    lines: RawLines,
    _value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(super) async fn open(connection: &Arc<Connection>, target: &Target) -> Result<Lines<T>, ClientError> {
        Ok(Lines { lines: RawLines::open(connection, target).await?, _value: PhantomData })
    }

    /// The answer to an order.
    pub(super) async fn order(
        connection: &Arc<Connection>,
        target: &Target,
        body: Bytes,
    ) -> Result<Lines<T>, ClientError> {
        let lines = RawLines::request(connection, Method::POST, target, body).await?;
        Ok(Lines { lines, _value: PhantomData })
    }

    /// The next value; `None` when the server has sent all. Safe to cancel.
    ///
    /// # Errors
    /// The answer broke off, or a line is no such value.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        let Some(line) = self.lines.next().await? else { return Ok(None) };
        serde_json::from_slice(&line).map(Some).map_err(ClientError::protocol)
    }
}

/// Lines as bytes, without their line feeds.
pub(super) struct RawLines {
    body: Incoming,
    chunk: Bytes,
    line: Vec<u8>,
}

impl RawLines {
    pub(super) async fn open(connection: &Arc<Connection>, target: &Target) -> Result<RawLines, ClientError> {
        RawLines::request(connection, Method::GET, target, Bytes::new()).await
    }

    async fn request(
        connection: &Arc<Connection>,
        method: Method,
        target: &Target,
        body: Bytes,
    ) -> Result<RawLines, ClientError> {
        // A connection of its own: the shared one would be busy for as long as the stream lasts.
        let own = Connection::new(connection.place().clone());
        let answer = own.request(method, target, body).await?;
        Ok(RawLines { body: answer.into_body(), chunk: Bytes::new(), line: Vec::new() })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(end) = self.chunk.iter().position(|&byte| byte == b'\n') {
                self.line.extend_from_slice(&self.chunk.split_to(end));
                self.chunk = self.chunk.slice(1..);
                return Ok(Some(std::mem::take(&mut self.line)));
            }
            self.line.extend_from_slice(&std::mem::take(&mut self.chunk));
            if self.line.len() > LINE_MAX {
                return Err(ClientError::Protocol(format!("a line of over {} MiB", LINE_MAX >> 20)));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame.map_err(ClientError::protocol)?.into_data() {
                self.chunk = data;
            }
        }
    }
}
