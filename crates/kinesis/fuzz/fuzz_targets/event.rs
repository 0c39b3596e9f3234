//! Every payload is read back as it was, by another reader of frames.
#![no_main]

use aws_smithy_eventstream::frame::read_message_from;
use libfuzzer_sys::fuzz_target;
use thalweg_kinesis::event;

fuzz_target!(|payload: &[u8]| {
    let frame = event::event("SubscribeToShardEvent", payload);
    let message = read_message_from(&mut &frame[..]).expect("a frame is whole");
    assert_eq!(message.payload().as_ref(), payload);
});
