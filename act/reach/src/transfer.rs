//! Copying as a session: the agent's end is an [`Attached`] whose streams are an archive, the person's end packs or unpacks it.

use crate::archive::{PIECES, pack, unpack_as};
use crate::{
    Attached, End, Frame, FrameReader, FrameWriter, Hold, Input, Lost, Output, Size, Source, WINDOW,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use naru_model::Exit;
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

/// What carries a copy on the agent's side: reads pieces that come, writes pieces that go, and says how it went.
pub fn transfer<F>(carry: impl FnOnce(Receiver<Vec<u8>>, Sender<Vec<u8>>) -> F) -> Attached
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let (input, from) = channel(PIECES);
    let (to, output) = channel(PIECES);
    let (tell, done) = watch::channel(None);
    let carried = carry(from, to);
    let task = tokio::spawn(async move {
        let exit = match carried.await {
            Ok(()) => Exit::Status(0),
            Err(why) => Exit::NotStarted(why),
        };
        tell.send_replace(Some(exit));
    });
    Attached {
        input: Box::new(Pieces(Some(input))),
        output: Box::new(output),
        hold: Box::new(Task { done, task: task.abort_handle() }),
    }
}

struct Pieces(Option<Sender<Vec<u8>>>);

impl Input for Pieces {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        async {
            let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
            let to = self.0.as_ref().ok_or_else(broken)?;
            to.send(bytes.to_vec()).await.map_err(|_| broken())
        }
        .boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, ()> {
        self.0 = None;
        std::future::ready(()).boxed()
    }
}

impl Output for Receiver<Vec<u8>> {
    fn next(&mut self) -> BoxFuture<'_, Option<(Source, Vec<u8>)>> {
        self.recv().map(|piece| piece.map(|piece| (Source::Stdout, piece))).boxed()
    }
}

struct Task {
    done: watch::Receiver<Option<Exit>>,
    task: AbortHandle,
}

impl Hold for Task {
    fn resize(&self, _: Size) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn signal<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }

    fn ended(&self) -> BoxFuture<'_, Exit> {
        let mut done = self.done.clone();
        async move {
            let exit = done.wait_for(Option::is_some).await;
            exit.ok().and_then(|exit| exit.clone()).unwrap_or(Exit::Unknown)
        }
        .boxed()
    }

    fn hang_up(&self) -> BoxFuture<'_, ()> {
        self.task.abort();
        std::future::ready(()).boxed()
    }
}

/// Has a copy of what comes from the other end here, as `target`, or in it, where that is a folder.
///
/// # Errors
/// It cannot be read there, or cannot be written here.
pub async fn copy_here<S: AsyncRead + AsyncWrite>(stream: S, target: PathBuf) -> Result<(), Lost> {
    // Held to the end: that it closes would tell the other end that nobody is here.
    let (read, _write) = split(stream);
    let mut reader = FrameReader::new(read);
    let (to, pieces) = channel(PIECES);
    let unpacking = tokio::task::spawn_blocking(move || unpack_as(pieces, &target));
    let mut to = Some(to);
    let told = loop {
        match next(&mut reader).await? {
            Frame::Output(_, bytes) => {
                if let Some(open) = &to
                    && open.send(bytes).await.is_err()
                {
                    break None;
                }
            }
            Frame::Ended(end) => break Some(end),
            _ => {}
        }
    };
    // What broke off there is no whole archive: that it is none is not worth telling beside why.
    to.take();
    let unpacked = unpacking.await.map_err(io::Error::other)?;
    match told.map(said) {
        Some(Err(lost)) => Err(lost),
        _ => Ok(unpacked?),
    }
}

/// Packs a file or folder of this end for the other, which says under which name.
///
/// # Errors
/// It cannot be read here, or cannot be written there.
pub async fn copy_there<S: AsyncRead + AsyncWrite>(stream: S, source: &Path) -> Result<(), Lost> {
    let (read, write) = split(stream);
    let (mut reader, mut writer) = (FrameReader::new(read), FrameWriter::new(write));
    let name = loop {
        match next(&mut reader).await? {
            Frame::Output(_, name) => break String::from_utf8_lossy(&name).into_owned(),
            Frame::Ended(end) => return said(end),
            _ => {}
        }
    };
    let (to, mut pieces) = channel::<Vec<u8>>(PIECES);
    let source = source.to_owned();
    let packing = tokio::task::spawn_blocking(move || pack(&source, &name, to));
    let credit = Semaphore::new(WINDOW);
    let sending = async {
        while let Some(piece) = pieces.recv().await {
            // Never closed.
            if let Ok(permits) = credit.acquire_many(piece.len() as u32).await {
                permits.forget();
            }
            writer.send(&Frame::Input(piece)).await?;
        }
        // Not told for what broke off here: half of it is nothing.
        packing.await.map_err(io::Error::other)??;
        writer.send(&Frame::InputEnd).await?;
        std::future::pending::<io::Result<()>>().await
    };
    let hearing = async {
        loop {
            match next(&mut reader).await? {
                Frame::Taken(count) => credit.add_permits((count as usize).min(WINDOW)),
                Frame::Ended(end) => return said(end),
                _ => {}
            }
        }
    };
    tokio::select! {
        heard = hearing => heard,
        sent = sending => sent.map_err(Lost::Here),
    }
}

async fn next<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> Result<Frame, Lost> {
    match reader.next().await.map_err(|error| Lost::Broken(error.to_string()))? {
        Some(Frame::Failed(failure)) => Err(Lost::Failed(failure)),
        Some(frame) => Ok(frame),
        None => Err(Lost::Broken("it closed before all was copied".into())),
    }
}

fn said(end: End) -> Result<(), Lost> {
    match end.exit {
        Exit::Status(0) => Ok(()),
        Exit::NotStarted(why) => Err(Lost::Here(io::Error::other(why))),
        other => Err(Lost::Broken(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::{copy_here, copy_there, transfer};
    use crate::archive::{pack, unpack_as};
    use crate::serve;
    use std::fs;

    #[tokio::test]
    async fn files_go_both_ways() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        fs::write(path("big"), vec![9; 5 << 20]).unwrap();
        let (near, far) = tokio::io::duplex(1 << 10);
        let (source, target) = (path("big"), path("there"));
        let attached = transfer(move |from, to| async move {
            to.send(b"there".to_vec()).await.map_err(|error| error.to_string())?;
            let unpacked = tokio::task::spawn_blocking(move || unpack_as(from, &target)).await;
            unpacked.unwrap().map_err(|error| error.to_string())
        });
        let (_, copied) = tokio::join!(serve(far, attached), copy_there(near, &source));
        copied.unwrap();
        let (near, far) = tokio::io::duplex(1 << 10);
        let source = path("there");
        let attached = transfer(move |_, to| async move {
            tokio::task::spawn_blocking(move || pack(&source, "x", to))
                .await
                .unwrap()
                .map_err(|error| error.to_string())
        });
        let (_, copied) = tokio::join!(serve(far, attached), copy_here(near, path("back")));
        copied.unwrap();
        assert_eq!(fs::read(path("back")).unwrap(), vec![9; 5 << 20]);
    }

    #[tokio::test]
    async fn why_it_did_not_succeed_is_told() {
        let (near, far) = tokio::io::duplex(1 << 10);
        let attached = transfer(|_, _| std::future::ready(Err("no such file".to_owned())));
        let home = tempfile::tempdir().unwrap();
        let (_, copied) = tokio::join!(serve(far, attached), copy_here(near, home.path().join("x")));
        assert!(copied.unwrap_err().to_string().contains("no such file"));
    }
}
