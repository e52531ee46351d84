//! A stream both ways that ends with the right it rests on.

use crate::Duplex;
use futures_util::future::BoxFuture;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, until something happens.
pub(super) struct Until {
    stream: Box<dyn Duplex>,
    end: Option<BoxFuture<'static, ()>>,
}

impl Until {
    pub(super) fn new(stream: Box<dyn Duplex>, end: impl Future<Output = ()> + Send + 'static) -> Until {
        Until { stream, end: Some(Box::pin(end)) }
    }

    /// Whoever reads is woken by the end, too.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            self.end = None;
        }
        self.end.is_none()
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the right to this was taken back, or has ended")
}

impl AsyncRead for Until {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(over()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Until {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.end.is_none() {
            return Poll::Ready(Err(over()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::Until;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_stream_ends_in_the_middle_of_a_read() {
        let (near, mut far) = duplex(100);
        let (end, ended) = oneshot::channel::<()>();
        let mut stream = Until::new(Box::new(near), async { drop(ended.await) });
        far.write_all(b"word").await.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        let (read, ()) = tokio::join!(stream.read(&mut word), async { end.send(()).unwrap() });
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        assert!(stream.write_all(b"more").await.is_err());
    }
}
