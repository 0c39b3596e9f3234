//! The frames of a gRPC call's body, made of the very buffers that the connection delivers.
//!
//! Holds: a frame is whole or is not handed out; a length beyond the limit ends the stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Body;

use super::Frame;

/// Bytes of one message at most.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
const PREFIX_BYTES: usize = 5;

/// Takes frames out of a body.
pub(super) struct Incoming<B> {
    body: B,
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// Length of the frame whose prefix has been read.
    awaited: Option<usize>,
}

impl<B: Body<Data = Bytes> + Unpin> Incoming<B> {
    pub(super) fn new(body: B) -> Incoming<B> {
        Incoming { body, chunks: VecDeque::new(), bytes: 0, awaited: None }
    }

    /// The next frame; nothing once the stream has ended, was broken or cannot be understood.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        loop {
            match self.split() {
                Ok(Some(frame)) => return Poll::Ready(Some(frame)),
                Ok(None) => {}
                Err(TooLong) => return Poll::Ready(None),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        self.bytes += chunk.len();
                        self.chunks.push_back(chunk);
                    }
                }
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
    }

    /// The next frame, once the connection is at hand.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// A frame that is here as a whole.
    fn split(&mut self) -> Result<Option<Frame>, TooLong> {
        if self.awaited.is_none() && self.bytes >= PREFIX_BYTES {
            let mut prefix = [0; PREFIX_BYTES];
            self.take(PREFIX_BYTES).into_iter().fold(0, |at, part| {
                prefix[at..at + part.len()].copy_from_slice(&part);
                at + part.len()
            });
            let (compressed, length) = (prefix[0], (&prefix[1..]).get_u32() as usize);
            if compressed != 0 || length > MESSAGE_BYTES_MAX {
                return Err(TooLong);
            }
            self.awaited = Some(length);
        }
        match self.awaited {
            Some(length) if self.bytes >= length => {
                self.awaited = None;
                Ok(Some(Frame { parts: self.take(length) }))
            }
            _ => Ok(None),
        }
    }

    /// Takes bytes that are here, in as many parts as they came.
    fn take(&mut self, bytes: usize) -> Vec<Bytes> {
        let (mut parts, mut missing) = (Vec::new(), bytes);
        while missing > 0
            && let Some(front) = self.chunks.front_mut()
        {
            let part = front.split_to(missing.min(front.len()));
            missing -= part.len();
            parts.push(part);
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.bytes -= bytes;
        parts
    }
}

/// A frame is longer than any may be, or is not written as agreed.
struct TooLong;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::super::outgoing::Outgoing;
    use super::*;

    /// A body that arrives in the given chunks.
    struct Chunks(VecDeque<Bytes>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|chunk| Ok(http_body::Frame::data(chunk))))
        }
    }

    fn sent(frames: Vec<Frame>) -> Vec<Bytes> {
        let mut body = Outgoing::new(futures::stream::iter(frames));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut chunks = Vec::new();
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
            chunks.push(frame.into_data().expect("only data is sent"));
        }
        chunks
    }

    fn received(chunks: impl IntoIterator<Item = Bytes>) -> Vec<Bytes> {
        let mut incoming = Incoming::new(Chunks(chunks.into_iter().collect()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut frames = Vec::new();
        while let Poll::Ready(Some(frame)) = incoming.poll_next(&mut context) {
            frames.push(frame.into_bytes());
        }
        frames
    }

    proptest! {
        #[test]
        fn frames_arrive_as_they_were_sent_however_they_are_cut(
            frames in proptest::collection::vec(proptest::collection::vec(prop_oneof![0usize..9, 4090usize..4100], 0..4), 0..6),
            cut in 1usize..5000,
        ) {
            let fill = |(at, parts): (usize, Vec<usize>)| Frame {
                parts: parts.into_iter().map(|length| Bytes::from(vec![at as u8; length])).collect(),
            };
            let frames: Vec<Frame> = frames.into_iter().enumerate().map(fill).collect();
            let whole: Vec<Bytes> = frames.iter().cloned().map(Frame::into_bytes).collect();
            let chunks = sent(frames);
            prop_assert_eq!(&received(chunks.clone()), &whole);
            let recut = chunks.concat();
            prop_assert_eq!(&received(recut.chunks(cut).map(Bytes::copy_from_slice)), &whole);
        }
    }

    #[test]
    fn a_large_part_is_sent_and_received_without_a_copy() {
        let large = Bytes::from(vec![7; 64 * 1024]);
        let frame = Frame { parts: vec![Bytes::from_static(b"head"), large.clone()] };
        let chunks = sent(vec![frame]);
        let mut incoming = Incoming::new(Chunks(chunks.into()));
        let Poll::Ready(Some(mut frame)) = incoming.poll_next(&mut Context::from_waker(std::task::Waker::noop()))
        else {
            panic!("the frame is there")
        };
        assert_eq!(frame.take(4).unwrap(), "head");
        assert_eq!(frame.take(large.len()).unwrap().as_ptr(), large.as_ptr());
    }

    #[test]
    fn a_length_beyond_the_limit_ends_the_stream() {
        let mut bytes = vec![0; 64];
        bytes[1..5].copy_from_slice(&(MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes());
        assert!(received([Bytes::from(bytes)]).is_empty());
    }
}
