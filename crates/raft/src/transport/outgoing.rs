//! Frames as the body of a gRPC call: `0u8 │ length u32 BE │ bytes` for each.
//!
//! Large parts go to the connection as they are, one HTTP/2 frame each, and from there to the
//! socket without a copy. What is small is gathered, over as many frames as are ready.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use http_body::Body;

use super::Frame;
use super::frame::SHARED_BYTES_MIN;

/// Bytes that are gathered before they leave.
const GATHERED_BYTES_MAX: usize = 64 * 1024;
/// Room that is made for gathering at once.
const BUFFER_BYTES: usize = 8 * 1024;

/// The frames of a stream, as a body.
pub(super) struct Outgoing<S> {
    frames: S,
    ended: bool,
    gathered: BytesMut,
    ready: VecDeque<Bytes>,
}

impl<S: Stream<Item = Frame> + Unpin> Outgoing<S> {
    pub(super) fn new(frames: S) -> Outgoing<S> {
        Outgoing { frames, ended: false, gathered: BytesMut::new(), ready: VecDeque::new() }
    }

    fn put(&mut self, frame: Frame) {
        self.gathered.reserve(BUFFER_BYTES);
        self.gathered.put_u8(0);
        self.gathered.put_u32(frame.byte_count() as u32);
        for part in frame.parts {
            if part.len() < SHARED_BYTES_MIN {
                self.gathered.put(part);
            } else {
                self.release();
                self.ready.push_back(part);
            }
        }
        if self.gathered.len() >= GATHERED_BYTES_MAX {
            self.release();
        }
    }

    fn release(&mut self) {
        if !self.gathered.is_empty() {
            self.ready.push_back(self.gathered.split().freeze());
        }
    }
}

impl<S: Stream<Item = Frame> + Unpin> Body for Outgoing<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(http_body::Frame::data(bytes))));
            }
            let next = if self.ended { Poll::Ready(None) } else { Pin::new(&mut self.frames).poll_next(context) };
            match next {
                Poll::Ready(Some(frame)) => self.put(frame),
                // Nothing more is ready: what is gathered must not wait.
                Poll::Pending if !self.gathered.is_empty() => self.release(),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    self.ended = true;
                    if self.gathered.is_empty() {
                        return Poll::Ready(None);
                    }
                    self.release();
                }
            }
        }
    }
}
