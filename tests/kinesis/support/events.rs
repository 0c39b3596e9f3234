//! The frames of a subscription, read with the SDKs' own decoder.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use bytes::BytesMut;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

use super::{PATIENCE, Refusal};

/// What one frame says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// The first frame of all.
    Initial,
    /// A SubscribeToShardEvent.
    Page(Value),
    /// An error, after which nothing comes.
    Exception(Refusal),
}

/// A subscription's frames as they arrive.
pub(crate) struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    pub(crate) fn of(response: Response<Incoming>) -> Events {
        let kind = response.headers()["content-type"].to_str().expect("ASCII").to_owned();
        assert_eq!(kind, "application/vnd.amazon.eventstream");
        Events { body: response.into_body(), buffer: BytesMut::new() }
    }

    /// The next frame; nothing when the stream has ended as it should.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        while !self.has_frame() {
            match timeout(PATIENCE, self.body.frame()).await.expect("a subscription is never silent for long") {
                Some(frame) => {
                    let frame = frame.expect("the stream does not break");
                    self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                None => {
                    assert!(self.buffer.is_empty(), "the stream ends within a frame");
                    return None;
                }
            }
        }
        Some(event(&read_message_from(&mut self.buffer).expect("a whole frame")))
    }

    /// The next frame, which must be a page.
    pub(crate) async fn page(&mut self) -> Value {
        match self.next().await {
            Some(Event::Page(page)) => page,
            other => panic!("a page was expected, not {other:?}"),
        }
    }

    /// Skips the first frame and reads pages until `count` records came; their data, and the last page.
    pub(crate) async fn data(&mut self, count: usize) -> (Vec<Vec<u8>>, Value) {
        let mut data = Vec::new();
        loop {
            let page = self.page().await;
            data.extend(super::api::data_of(&page));
            if data.len() >= count {
                return (data, page);
            }
        }
    }

    fn has_frame(&self) -> bool {
        let Some(length) = self.buffer.first_chunk::<4>() else { return false };
        self.buffer.len() >= u32::from_be_bytes(*length) as usize
    }
}

fn event(message: &Message) -> Event {
    let header = |name: &str| {
        let found = message.headers().iter().find(|header| header.name().as_str() == name);
        found.map(|header| header.value().as_string().expect("a string").as_str().to_owned())
    };
    let payload: Value = serde_json::from_slice(message.payload()).expect("payloads are JSON");
    assert_eq!(header(":content-type").as_deref(), Some("application/json"));
    match (header(":message-type").as_deref(), header(":event-type").as_deref()) {
        (Some("event"), Some("initial-response")) => {
            assert_eq!(payload, serde_json::json!({}));
            Event::Initial
        }
        (Some("event"), Some("SubscribeToShardEvent")) => Event::Page(payload),
        (Some("exception"), _) => {
            let kind = header(":exception-type").expect("an exception has a type");
            Event::Exception(Refusal { kind, text: payload["message"].as_str().unwrap_or_default().to_owned() })
        }
        other => panic!("unknown frame {other:?}"),
    }
}
