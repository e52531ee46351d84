//! The person's end.

use crate::terminal::{Raw, size};
use crate::{End, Failure, Frame, FrameReader, FrameWriter, Source, WINDOW};
use naru_model::Exit;
use std::io;
use std::thread;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, split};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, Semaphore, mpsc};

/// Bytes of input that are read at once.
const READ: usize = 16 << 10;
/// What a shell shows for a command whose reader went away: 128 and SIGPIPE.
const BROKEN_PIPE: Exit = Exit::Signal(13);

/// What the command is given of this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// It has a terminal: keys go to it as they are pressed.
    pub terminal: bool,
    /// It has standard input.
    pub input: bool,
}

/// Why how it ended is not known.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// There is no command.
    #[error("{}", .0.error)]
    Failed(Failure),
    /// The stream broke off.
    #[error("the connection to the server is lost, and the command with it: {0}")]
    Broken(String),
    /// The terminal or a stream of this end is at fault.
    #[error("{0}")]
    Here(#[from] io::Error),
}

type Writer<S> = Mutex<FrameWriter<WriteHalf<S>>>;

/// Passes everything between this process's terminal, or pipes, and the command at the other end of the stream, until it has
/// ended. A signal that this process gets goes to the command; a second one, or the end of the terminal, ends the session.
///
/// # Errors
/// There is no command, or the stream or the terminal is at fault.
pub async fn attach<S: AsyncRead + AsyncWrite + Send>(stream: S, how: Local) -> Result<End, Lost> {
    let (read, write) = split(stream);
    let (mut reader, writer) = (FrameReader::new(read), Mutex::new(FrameWriter::new(write)));
    match reader.next().await.map_err(broken)? {
        Some(Frame::Begun) => {}
        Some(Frame::Failed(failure)) => return Err(Lost::Failed(failure)),
        _ => return Err(Lost::Broken("it closed before the command began".into())),
    }
    // Heard before the terminal is taken: from then on none of them may simply end this process.
    let signals = Signals::take()?;
    let raw = if how.terminal { Raw::take()? } else { None };
    let credit = Semaphore::new(WINDOW);
    let ended = tokio::select! {
        ended = show(reader, &credit) => ended,
        lost = hand_over(how, &credit, &writer) => Err(lost),
        ended = signals.pass_on(how, &writer) => ended,
    };
    drop(raw);
    ended
}

fn broken(error: io::Error) -> Lost {
    Lost::Broken(error.to_string())
}

/// Shows what comes, until the end.
async fn show<S: AsyncRead>(mut reader: FrameReader<ReadHalf<S>>, credit: &Semaphore) -> Result<End, Lost> {
    while let Some(frame) = reader.next().await.map_err(broken)? {
        let written = match frame {
            Frame::Output(Source::Stdout, bytes) => write(io::stdout(), bytes).await,
            Frame::Output(Source::Stderr, bytes) => write(io::stderr(), bytes).await,
            Frame::Taken(count) => {
                credit.add_permits((count as usize).min(WINDOW));
                Ok(())
            }
            Frame::Ended(end) => return Ok(end),
            Frame::Failed(failure) => return Err(Lost::Failed(failure)),
            _ => return Err(Lost::Broken("what it says makes no sense".into())),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(End { exit: BROKEN_PIPE }),
            other => other?,
        }
    }
    Err(Lost::Broken("it closed before the command ended".into()))
}

/// Apart from everything else: whoever reads it may take its time.
async fn write(mut to: impl io::Write + Send + 'static, bytes: Vec<u8>) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        to.write_all(&bytes)?;
        to.flush()
    });
    written.await.map_err(io::Error::other)?
}

/// Standard input, read by a thread that ends with the process: nothing else ends a wait for a key.
fn read_input() -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (to, pieces) = mpsc::channel(1);
    thread::Builder::new().name("input".into()).spawn(move || {
        let mut buffer = vec![0; READ];
        loop {
            match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                Ok(0) => return,
                Ok(count) if to.blocking_send(buffer[..count].to_vec()).is_err() => return,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    })?;
    Ok(pieces)
}

/// Hands over standard input, as far as the command takes it. Returns only if the stream is lost.
async fn hand_over<S: AsyncWrite>(how: Local, credit: &Semaphore, writer: &Writer<S>) -> Lost {
    let send = async |frame: Frame| writer.lock().await.send(&frame).await;
    if how.input {
        let mut pieces = match read_input() {
            Ok(pieces) => pieces,
            Err(error) => return Lost::Here(error),
        };
        while let Some(piece) = pieces.recv().await {
            // Never closed.
            if let Ok(permits) = credit.acquire_many(piece.len() as u32).await {
                permits.forget();
            }
            if let Err(error) = send(Frame::Input(piece)).await {
                return closing(error).await;
            }
        }
    }
    if let Err(error) = send(Frame::InputEnd).await {
        return closing(error).await;
    }
    std::future::pending().await
}

/// The other end closed. Its last words may still be on their way to the screen.
async fn closing(error: io::Error) -> Lost {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    broken(error)
}

/// Signals that this process gets.
struct Signals {
    resized: Signal,
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hang_up: Signal,
}

impl Signals {
    fn take() -> io::Result<Signals> {
        Ok(Signals {
            resized: signal(SignalKind::window_change())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Passes them on. Returns when this process is to end itself.
    async fn pass_on<S: AsyncWrite>(mut self, how: Local, writer: &Writer<S>) -> Result<End, Lost> {
        let mut asked = false;
        loop {
            let (name, number) = tokio::select! {
                _ = self.resized.recv() => {
                    if how.terminal {
                        let _ = writer.lock().await.send(&Frame::Resize(size())).await;
                    }
                    continue;
                }
                _ = self.interrupt.recv() => ("SIGINT", 2),
                _ = self.quit.recv() => ("SIGQUIT", 3),
                _ = self.terminate.recv() => ("SIGTERM", 15),
                _ = self.hang_up.recv() => ("SIGHUP", 1),
            };
            // A terminal's keys come as keys: what comes as a signal is meant for this process.
            if how.terminal || name == "SIGHUP" || asked {
                return Ok(End { exit: Exit::Signal(number) });
            }
            asked = true;
            let _ = writer.lock().await.send(&Frame::Signal(name.into())).await;
        }
    }
}
