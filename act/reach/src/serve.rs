//! The agent's end.

use crate::{Attached, End, Frame, FrameReader, FrameWriter, Hold, Input, Output, PAYLOAD_MAX, WINDOW};
use naru_model::Exit;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, WriteHalf, split};
use tokio::sync::{Mutex, mpsc};

/// A command that has ended may have left its output open to something of its own: it is read on for as long as something
/// comes within this time.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A command that was hung up on is gone within this time, or stuck in the kernel.
const GONE: Duration = Duration::from_secs(20);

type Writer<S> = Mutex<FrameWriter<WriteHalf<S>>>;

/// Input on its way.
enum Piece {
    Bytes(Vec<u8>),
    End,
}

/// Passes everything between a command and whoever is at the other end of the stream. Returns when the command has ended, with
/// how: also when the other end went away, and it was ended for that (`None`, where even that did not end it).
pub async fn serve<S: AsyncRead + AsyncWrite + Send>(stream: S, attached: Attached) -> Option<Exit> {
    let (read, write) = split(stream);
    let writer: Writer<S> = Mutex::new(FrameWriter::new(write));
    let Attached { input, mut output, hold } = attached;
    let waiting = AtomicUsize::new(0);
    // As many pieces as the window has bytes, at most: each has one or more.
    let (pieces, queue) = mpsc::unbounded_channel();
    let told = async {
        writer.lock().await.send(&Frame::Begun).await?;
        let exit = tell(output.as_mut(), hold.as_ref(), &writer).await?;
        let mut writer = writer.lock().await;
        writer.send(&Frame::Ended(End { exit: exit.clone() })).await?;
        writer.close().await?;
        Ok::<_, io::Error>(exit)
    };
    let ended = tokio::select! {
        told = told => told.ok(),
        () = listen(FrameReader::new(read), &pieces, &waiting, hold.as_ref()) => None,
        () = feed(input, queue, &waiting, &writer) => None,
    };
    if ended.is_some() {
        return ended;
    }
    hold.hang_up().await;
    let rest = async {
        tokio::select! {
            exit = hold.ended() => exit,
            () = drain(output.as_mut()) => hold.ended().await,
        }
    };
    tokio::time::timeout(GONE, rest).await.ok()
}

async fn drain(output: &mut dyn Output) {
    while output.next().await.is_some() {}
}

/// Tells all that the command writes, until it has ended.
async fn tell<S: AsyncRead + AsyncWrite>(
    output: &mut dyn Output,
    hold: &dyn Hold,
    writer: &Writer<S>,
) -> io::Result<Exit> {
    let mut ended = None;
    loop {
        let piece = tokio::select! {
            piece = output.next() => piece,
            exit = hold.ended(), if ended.is_none() => {
                ended = Some(exit);
                continue;
            }
            () = tokio::time::sleep(LAST_WORDS), if ended.is_some() => None,
        };
        let Some((source, bytes)) = piece else { break };
        for part in bytes.chunks(PAYLOAD_MAX) {
            writer.lock().await.send(&Frame::Output(source, part.to_vec())).await?;
        }
    }
    Ok(match ended {
        Some(exit) => exit,
        None => hold.ended().await,
    })
}

/// Hears the other end, until it is gone or makes no sense.
async fn listen<R: AsyncRead + Unpin>(
    mut reader: FrameReader<R>,
    pieces: &mpsc::UnboundedSender<Piece>,
    waiting: &AtomicUsize,
    hold: &dyn Hold,
) {
    while let Ok(Some(frame)) = reader.next().await {
        match frame {
            Frame::Input(bytes) => {
                let before = waiting.fetch_add(bytes.len(), Ordering::Relaxed);
                if bytes.is_empty() || before + bytes.len() > WINDOW {
                    return tracing::warn!("more input than was asked for: the session is ended");
                }
                let _ = pieces.send(Piece::Bytes(bytes));
            }
            Frame::InputEnd => drop(pieces.send(Piece::End)),
            Frame::Resize(size) => hold.resize(size).await,
            Frame::Signal(name) => hold.signal(&name).await,
            _ => return tracing::warn!("a frame that only an agent sends: the session is ended"),
        }
    }
}

/// Feeds the command. Never returns while the other end is there: a command that takes no more input goes on.
async fn feed<S: AsyncRead + AsyncWrite>(
    mut input: Box<dyn Input>,
    mut queue: mpsc::UnboundedReceiver<Piece>,
    waiting: &AtomicUsize,
    writer: &Writer<S>,
) {
    let mut takes = true;
    while let Some(piece) = queue.recv().await {
        let count = match piece {
            Piece::End => {
                if takes {
                    input.end().await;
                }
                takes = false;
                continue;
            }
            Piece::Bytes(bytes) => {
                takes = takes && input.write(&bytes).await.is_ok();
                bytes.len()
            }
        };
        waiting.fetch_sub(count, Ordering::Relaxed);
        if writer.lock().await.send(&Frame::Taken(count as u32)).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}
