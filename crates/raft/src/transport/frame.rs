//! The codec of the peer stream: a gRPC message is one frame of raw bytes, no protobuf.

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// One message. Made of parts on the way out, so that bodies need no copy into a whole; one part
/// on the way in.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The bytes, in order.
    pub parts: Vec<Bytes>,
}

impl Frame {
    /// A frame of one part.
    pub(crate) fn whole(bytes: Bytes) -> Frame {
        Frame { parts: vec![bytes] }
    }

    /// Bytes of all parts.
    pub(crate) fn byte_count(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// The bytes of a frame that was received.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        match self.parts.len() {
            1 => self.parts.pop().expect("there is one part"),
            _ => self.parts.concat().into(),
        }
    }
}

/// Encodes and decodes [`Frame`]s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameCodec;

fn buffers() -> BufferSettings {
    BufferSettings::new(256 * 1024, 1024 * 1024)
}

impl Codec for FrameCodec {
    type Encode = Frame;
    type Decode = Frame;
    type Encoder = FrameCodec;
    type Decoder = FrameCodec;

    fn encoder(&mut self) -> FrameCodec {
        FrameCodec
    }

    fn decoder(&mut self) -> FrameCodec {
        FrameCodec
    }
}

impl Encoder for FrameCodec {
    type Item = Frame;
    type Error = Status;

    fn encode(&mut self, frame: Frame, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(frame.byte_count());
        frame.parts.into_iter().for_each(|part| to.put(part));
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Frame>, Status> {
        let length = from.remaining();
        Ok(Some(Frame::whole(from.copy_to_bytes(length))))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}
