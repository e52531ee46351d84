//! A command that runs and that one is attached to, in the form that both runtimes give it.

use crate::Size;
use futures_util::future::BoxFuture;
use naru_model::Exit;
use std::io;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output; all of it, where the command has a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The command's standard input.
pub trait Input: Send {
    /// Hands over all of it, as soon as the command takes it.
    ///
    /// # Errors
    /// The command takes no more.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;
    /// There is no more.
    fn end(&mut self) -> BoxFuture<'_, ()>;
}

/// What the command writes.
pub trait Output: Send {
    /// The next piece; `None` at the end of both. Safe to cancel.
    fn next(&mut self) -> BoxFuture<'_, Option<(Source, Vec<u8>)>>;
}

/// A hold on the command itself.
pub trait Hold: Send + Sync {
    /// Its terminal has another size.
    fn resize(&self, size: Size) -> BoxFuture<'_, ()>;
    /// Sends it, and what it runs in the foreground, a signal by name.
    fn signal<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()>;
    /// How it ended, once it has. Safe to cancel and to ask again.
    fn ended(&self) -> BoxFuture<'_, Exit>;
    /// Nobody is there any more: it is told so as a terminal would, and ended if that does not end it.
    fn hang_up(&self) -> BoxFuture<'_, ()>;
}

/// A command that runs.
pub struct Attached {
    /// Where its input goes.
    pub input: Box<dyn Input>,
    /// Where its output comes from.
    pub output: Box<dyn Output>,
    /// The command.
    pub hold: Box<dyn Hold>,
}
