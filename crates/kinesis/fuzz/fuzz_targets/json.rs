//! No body makes the JSON reader panic; what it reads is checked and written without panic.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use thalweg_kinesis::codec::check_well_formed;
use thalweg_kinesis::{Format, Operation, decode, encode, validate};

fuzz_target!(|input: (u8, &[u8])| {
    let (at, body) = input;
    let operation = Operation::ALL[usize::from(at) % Operation::ALL.len()];
    let body = Bytes::copy_from_slice(body);
    let Ok(request) = decode(Format::Json, operation.input(), &body) else { return };
    assert_eq!(check_well_formed(Format::Json, &body), Ok(()));
    let _ = validate(operation, &request);
    let written = Bytes::from(encode(Format::Json, &request));
    assert!(decode(Format::Json, operation.input(), &written).is_ok());
});
