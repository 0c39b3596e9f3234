//! No body makes a reader panic, recurse without end, or take many times its bytes.

use bytes::Bytes;
use proptest::prelude::*;
use thalweg_kinesis::codec::check_well_formed;
use thalweg_kinesis::{Format, Operation, Struct, decode, encode, validate};

use crate::values::any_struct;

/// Reads, and where that works checks and writes; only a panic fails.
fn survive(operation: Operation, body: &Bytes) {
    for format in Format::ALL {
        let _ = check_well_formed(format, body);
        match decode(format, operation.input(), body) {
            Ok(request) => {
                assert_eq!(check_well_formed(format, body), Ok(()), "read, so it can be parsed");
                let _ = validate(operation, &request);
                let written = Bytes::from(encode(format, &request));
                let again = decode(format, operation.input(), &written).expect("what is written can be read");
                // A time that JSON has in a double may lose its last digits far from today.
                assert!(format == Format::Json || again == request, "{request:?} {again:?}");
            }
            Err(error) => drop(error.body(format)),
        }
    }
}

fn operations() -> impl Strategy<Value = Operation> {
    proptest::sample::select(Operation::ALL)
}

fn broken_bodies() -> impl Strategy<Value = (Operation, Format, Vec<u8>)> {
    let request = operations().prop_flat_map(|operation| (Just(operation), any_struct(operation.input())));
    let cuts = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let formats = proptest::sample::select(&Format::ALL[..]);
    (request, formats, cuts).prop_map(|((operation, request), format, cuts)| {
        let mut body = encode(format, &request);
        for (at, byte) in cuts {
            let at = at.index(body.len());
            body[at] = byte;
        }
        (operation, format, body)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_read_or_refused(operation in operations(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        survive(operation, &Bytes::from(body));
    }

    #[test]
    fn bodies_with_broken_bytes_are_read_or_refused((operation, _, body) in broken_bodies()) {
        survive(operation, &Bytes::from(body));
    }

    #[test]
    fn values_of_wrong_shapes_are_checked_without_panic(checked in operations(), made in operations().prop_flat_map(|made| any_struct(made.input()))) {
        let _ = validate(checked, &made);
    }
}

#[test]
fn nesting_without_end_is_read_or_refused_on_a_small_stack() {
    const DEPTH: usize = 1 << 20;
    let repeated = |before: &[u8], unit: &[u8]| Bytes::from([before, &unit.repeat(DEPTH)].concat());
    let bodies = [
        repeated(b"", b"["),
        repeated(b"", br#"{"Records":"#),
        repeated(br#"{"Unknown":"#, b"["),
        repeated(br#"{"Unknown":"#, br#"{"a":"#),
        repeated(br#"{"Records":"#, b"["),
        repeated(b"", b"\x9f"),
        repeated(b"", b"\x81"),
        repeated(b"", b"\xc1"),
        repeated(b"\xa1\x67Unknown", b"\x9f"),
        repeated(b"\xa1\x67Unknown", b"\xbf\x60"),
        repeated(b"\xa1\x67Unknown", b"\xd9\xd9\xf7"),
        repeated(b"\xa1\x67Records", b"\x82"),
    ];
    let read = move || bodies.iter().for_each(|body| survive(Operation::PutRecords, body));
    std::thread::Builder::new().stack_size(1 << 20).spawn(read).unwrap().join().unwrap();
}

#[test]
fn a_declared_length_reserves_nothing() {
    // Lists, maps, strings and blobs of 2^63 elements, in members of their types.
    let huge = b"\x7f\xff\xff\xff\xff\xff\xff\xff";
    let with = |operation: Operation, head: &[u8], kind: u8| {
        let body = Bytes::from([head, &[kind], &huge[..]].concat());
        let error = decode(Format::Cbor, operation.input(), &body).unwrap_err();
        assert_eq!(error.message, None, "{operation} {kind:x}");
    };
    with(Operation::PutRecords, b"\xa1\x67Records", 0x9b);
    with(Operation::PutRecords, b"\xa1\x6aStreamName", 0x7b);
    with(Operation::PutRecord, b"\xa1\x64Data", 0x5b);
    with(Operation::AddTagsToStream, b"\xa1\x64Tags", 0xbb);
    with(Operation::PutRecord, b"", 0xbb);
    with(Operation::PutRecord, b"\xa1\x67Unknown", 0x9b);
}

#[test]
fn elements_beyond_the_greatest_size_are_dropped_not_kept() {
    let json = format!(r#"{{"Records":[{}]}}"#, vec!["{}"; 1_000_000].join(","));
    let cbor = [&b"\xa1\x67Records\x9f"[..], &[0xa0; 1_000_000], b"\xff"].concat();
    for (format, body) in [(Format::Json, Bytes::from(json)), (Format::Cbor, Bytes::from(cbor))] {
        let request = decode(format, Operation::PutRecords.input(), &body).unwrap();
        assert_eq!(request.list("Records").len(), 501);
        let error = validate(Operation::PutRecords, &request).unwrap_err().message.unwrap();
        assert!(error.contains("Member must have length less than or equal to 500"), "{}", error.len());
        assert!(error.len() < 40_000, "{}", error.len());
    }
    let tags: Vec<_> = (0..100_000).map(|at| format!(r#""{at}":"""#)).collect();
    let body = Bytes::from(format!(r#"{{"Tags":{{{}}}}}"#, tags.join(",")));
    let request: Struct = decode(Format::Json, Operation::AddTagsToStream.input(), &body).unwrap();
    assert_eq!(request.map("Tags").len(), 201);
    assert_eq!(request.map("Tags")[200].0, "200", "the first are kept");
}
