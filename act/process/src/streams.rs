//! The streams of a command that somebody is attached to: our ends, and the command's.

use crate::pty::{self, Pty};
use crate::shim::STREAMS;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use naru_reach::{Input, Output, Size, Source};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};

/// Bytes that are read at once.
const READ: usize = 16 << 10;
/// Descriptors of the agent that become the command's stand above those that they become.
const ABOVE: i32 = 16;
/// The key that ends the input of a terminal, by custom: Ctrl-D.
const END_OF_INPUT: &[u8] = &[4];

/// The command's ends: its input, its output, its errors.
pub(crate) type Theirs = [OwnedFd; 3];

/// Our ends of a command's streams.
pub(crate) enum Ours {
    Terminal(Arc<Pty>),
    Pipes {
        stdin: Sender,
        stdout: Receiver,
        stderr: Receiver,
    },
    /// A terminal whose output somebody else reads, and passes on.
    Screened(Arc<Pty>, Receiver),
}

type Parts = (Box<dyn Input>, Box<dyn Output>, Option<Arc<Pty>>);

impl Ours {
    /// What goes in, what comes out, and the terminal, if it is one.
    pub(crate) fn parts(self) -> Parts {
        match self {
            Ours::Terminal(pty) => (Box::new(Keys(pty.clone())), Box::new(Screen(pty.clone())), Some(pty)),
            Ours::Pipes { stdin, stdout, stderr } => {
                let output = Pipes { stdout: Some(stdout), stderr: Some(stderr) };
                (Box::new(Pipe(Some(stdin))), Box::new(output), None)
            }
            Ours::Screened(pty, output) => {
                let output = Pipes { stdout: Some(output), stderr: None };
                (Box::new(Keys(pty.clone())), Box::new(output), Some(pty))
            }
        }
    }
}

/// Both ends of the streams of a command: on a terminal of that size, or three pipes.
pub(crate) fn ends(terminal: Option<Size>) -> io::Result<(Ours, Theirs)> {
    if let Some(size) = terminal {
        let (pty, slave) = pty::open(size)?;
        let theirs = [slave.try_clone()?, slave.try_clone()?, slave];
        return Ok((Ours::Terminal(Arc::new(pty)), theirs));
    }
    let (stdin, to_stdin) = pipe_with(PipeFlags::CLOEXEC)?;
    let (from_stdout, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (from_stderr, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    for end in [&to_stdin, &from_stdout, &from_stderr] {
        rustix::io::ioctl_fionbio(end, true)?;
    }
    let ours = Ours::Pipes {
        stdin: Sender::from_owned_fd(to_stdin)?,
        stdout: Receiver::from_owned_fd(from_stdout)?,
        stderr: Receiver::from_owned_fd(from_stderr)?,
    };
    Ok((ours, [stdin, stdout, stderr]))
}

/// The same for a command whose shim writes its log: what comes out of a terminal goes through the shim, too. The second and
/// third of a terminal's are where the shim passes it on, and where it reads it.
pub(crate) fn ends_past_shim(terminal: Option<Size>) -> io::Result<(Ours, Theirs)> {
    let Some(size) = terminal else { return ends(None) };
    let (pty, slave) = pty::open(size)?;
    let (from_shim, passed_on) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&from_shim, true)?;
    let master = pty.another()?;
    Ok((Ours::Screened(Arc::new(pty), Receiver::from_owned_fd(from_shim)?), [slave, passed_on, master]))
}

/// Has a shim find the streams as its descriptors [`STREAMS`]. What is returned is to be kept until it is started.
pub(crate) fn hand_over(command: &mut Command, theirs: &Theirs) -> io::Result<Vec<OwnedFd>> {
    let mut above = Vec::new();
    for fd in theirs {
        above.push(rustix::io::fcntl_dupfd_cloexec(fd, ABOVE)?);
    }
    let numbers: Vec<i32> = above.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: dup2 is async-signal-safe, and the descriptors are open until the command is spawned.
    unsafe {
        command.pre_exec(move || {
            for (number, target) in numbers.iter().zip(STREAMS) {
                if libc::dup2(*number, target) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    Ok(above)
}

struct Keys(Arc<Pty>);

impl Input for Keys {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        self.0.write_all(bytes).boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, ()> {
        self.0.write_all(END_OF_INPUT).map(|_| ()).boxed()
    }
}

struct Screen(Arc<Pty>);

impl Output for Screen {
    fn next(&mut self) -> BoxFuture<'_, Option<(Source, Vec<u8>)>> {
        async {
            let mut buffer = vec![0; READ];
            let count = self.0.read(&mut buffer).await;
            buffer.truncate(count);
            (count > 0).then_some((Source::Stdout, buffer))
        }
        .boxed()
    }
}

struct Pipe(Option<Sender>);

impl Input for Pipe {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        async {
            match &mut self.0 {
                Some(pipe) => pipe.write_all(bytes).await,
                None => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        .boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, ()> {
        self.0 = None;
        std::future::ready(()).boxed()
    }
}

struct Pipes {
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
}

impl Output for Pipes {
    fn next(&mut self) -> BoxFuture<'_, Option<(Source, Vec<u8>)>> {
        async {
            loop {
                let (source, piece) = tokio::select! {
                    piece = read(&mut self.stdout), if self.stdout.is_some() => (Source::Stdout, piece),
                    piece = read(&mut self.stderr), if self.stderr.is_some() => (Source::Stderr, piece),
                    else => return None,
                };
                match (source, piece.is_empty()) {
                    (_, false) => return Some((source, piece)),
                    (Source::Stdout, true) => self.stdout = None,
                    (Source::Stderr, true) => self.stderr = None,
                }
            }
        }
        .boxed()
    }
}

async fn read(pipe: &mut Option<Receiver>) -> Vec<u8> {
    let mut piece = Vec::with_capacity(READ);
    if let Some(pipe) = pipe {
        // An error is an end: there is nothing more to be had.
        let _ = pipe.read_buf(&mut piece).await;
    }
    piece
}
