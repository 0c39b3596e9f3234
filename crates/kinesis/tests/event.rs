//! Event-stream frames: other people's readers read them, and a damaged one is noticed.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::{Header, Message};
use bytes::Bytes;
use proptest::prelude::*;
use thalweg_kinesis::{ApiError, ErrorKind, event};

/// Reads one frame that must fill the bytes exactly.
fn read(frame: &[u8]) -> Option<Message> {
    let mut rest = frame;
    // The reader takes what it needs; a reader of a stream would wait for the rest of a short one.
    read_message_from(&mut rest).ok().filter(|_| rest.is_empty())
}

fn headers(message: &Message) -> Vec<(String, String)> {
    let text = |header: &Header| header.value().as_string().expect("all headers are strings").as_str().to_owned();
    message.headers().iter().map(|header| (header.name().as_str().to_owned(), text(header))).collect()
}

fn owned(pairs: [(&str, &str); 3]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

#[test]
fn a_stream_opens_with_an_initial_response() {
    let message = read(&event::initial_response()).unwrap();
    let expected =
        [(":message-type", "event"), (":event-type", "initial-response"), (":content-type", "application/json")];
    assert_eq!(headers(&message), owned(expected));
    assert_eq!(message.payload().as_ref(), b"{}");
}

#[test]
fn an_exception_names_its_class_and_says_what_was_wrong() {
    let error = ApiError::new(ErrorKind::ResourceInUse, "Another \"active\" subscription\nexists: ü");
    let message = read(&event::exception(&error)).unwrap();
    let expected = [
        (":message-type", "exception"),
        (":exception-type", "ResourceInUseException"),
        (":content-type", "application/json"),
    ];
    assert_eq!(headers(&message), owned(expected));
    let said: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
    assert_eq!(said, serde_json::json!({ "message": error.message.unwrap() }));

    let silent = event::exception(&ApiError::bare(ErrorKind::InternalFailure));
    assert_eq!(read(&silent).unwrap().payload().as_ref(), b"{}");
}

#[test]
fn any_flipped_bit_and_any_missing_or_added_byte_is_noticed() {
    let frame = event::event("SubscribeToShardEvent", br#"{"Records":[]}"#);
    assert!(read(&frame).is_some());
    for at in 0..frame.len() {
        for bit in 0..8 {
            let mut flipped = frame.to_vec();
            flipped[at] ^= 1 << bit;
            assert!(read(&flipped).is_none(), "bit {bit} of byte {at}");
        }
        assert!(read(&frame[..at]).is_none(), "the first {at} bytes");
        assert!(at == 0 || read(&frame[at..]).is_none(), "without the first {at} bytes");
    }
    assert!(read(&[&frame[..], b"x"].concat()).is_none());
}

proptest! {
    #[test]
    fn every_payload_arrives_as_it_was(payload in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        let message = read(&event::event("SubscribeToShardEvent", &payload)).unwrap();
        prop_assert_eq!(message.payload(), &Bytes::from(payload));
    }

    #[test]
    fn frames_in_a_row_are_read_one_by_one(payloads in proptest::collection::vec(".{0,50}", 1..6)) {
        let frames: Vec<Bytes> = payloads.iter().map(|payload| event::event("E", payload.as_bytes())).collect();
        let joined = frames.concat();
        let mut rest = &joined[..];
        for payload in &payloads {
            let message = read_message_from(&mut rest).unwrap();
            prop_assert_eq!(message.payload().as_ref(), payload.as_bytes());
        }
        prop_assert!(rest.is_empty());
    }
}
