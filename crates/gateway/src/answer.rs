//! What a handler answers.

use bytes::Bytes;
use futures::stream::BoxStream;
use thalweg_kinesis::Struct;

use crate::http::Room;

/// The answer to a request that was carried out.
pub(crate) enum Answer {
    /// The operation has no output: status 200 and no body.
    Empty,
    /// The output's members.
    Output(Struct),
    /// The output's members, with the room that they take: they may be large.
    Page(Struct, Room),
    /// Frames of an event stream. Its end is the answer's end.
    Events(BoxStream<'static, Bytes>),
}

impl From<Struct> for Answer {
    fn from(output: Struct) -> Answer {
        Answer::Output(output)
    }
}
