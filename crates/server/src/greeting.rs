//! Connections that never finish saying what they speak.
//!
//! HTTP/1.1 and HTTP/2 are told apart by the 24 bytes with which HTTP/2 begins, and the library that
//! does it waits for them for ever: one byte, or a TLS handshake and none, would hold a connection's
//! place until the peer lets go. From the 24th byte on, the limits of either protocol apply.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What HTTP/2 begins with. No request of HTTP/1.1 that we answer is shorter.
const PREFACE_BYTES: usize = 24;

/// A connection of which it is known how much has been heard.
pub(crate) struct Heard<I> {
    io: I,
    bytes: Arc<AtomicUsize>,
}

/// The connection, and what returns when too little was heard of it within `patience`, else never.
pub(crate) fn heard<I>(io: I, patience: Duration) -> (Heard<I>, impl Future<Output = ()> + Send) {
    let bytes = Arc::new(AtomicUsize::new(0));
    let so_far = bytes.clone();
    let silent = async move {
        tokio::time::sleep(patience).await;
        if so_far.load(Ordering::Relaxed) >= PREFACE_BYTES {
            std::future::pending::<()>().await;
        }
    };
    (Heard { io, bytes }, silent)
}

impl<I: AsyncRead + Unpin> AsyncRead for Heard<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.bytes.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Heard<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
