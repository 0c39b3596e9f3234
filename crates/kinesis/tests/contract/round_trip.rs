//! Values survive both formats, for the shapes of every operation.

use bytes::Bytes;
use proptest::test_runner::{Config, TestRunner};
use thalweg_kinesis::model::StructShape;
use thalweg_kinesis::{Format, Operation, Struct, Value, decode, encode, validate};

use crate::values::{any_struct, valid_struct};

fn all_shapes() -> impl Iterator<Item = &'static StructShape> {
    Operation::ALL.iter().flat_map(|operation| [Some(operation.input()), operation.output()]).flatten()
}

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() })
}

#[test]
fn values_of_every_shape_survive_both_formats() {
    for shape in all_shapes() {
        let outcome = runner().run(&any_struct(shape), |structure| {
            for format in Format::ALL {
                let body = Bytes::from(encode(format, &structure));
                assert_eq!(decode(format, shape, &body).as_ref(), Ok(&structure), "{} {format:?} {body:?}", shape.name);
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", shape.name));
    }
}

#[test]
fn other_libraries_read_what_is_written() {
    for shape in all_shapes() {
        let outcome = runner().run(&any_struct(shape), |structure| {
            let json: serde_json::Value = serde_json::from_slice(&encode(Format::Json, &structure)).unwrap();
            assert!(same_as_json(&Value::Struct(structure.clone()), &json), "{structure:?} {json}");
            let cbor: ciborium::Value = ciborium::from_reader(&encode(Format::Cbor, &structure)[..]).unwrap();
            assert!(same_as_cbor(&Value::Struct(structure.clone()), &cbor), "{structure:?} {cbor:?}");
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", shape.name));
    }
}

#[test]
fn a_request_that_keeps_every_constraint_passes() {
    for operation in Operation::ALL {
        let outcome = runner().run(&valid_struct(operation.input()), |request| {
            assert_eq!(validate(*operation, &request), Ok(()), "{request:?}");
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{operation}: {error}"));
    }
}

fn same_as_json(value: &Value, json: &serde_json::Value) -> bool {
    use base64_simd::STANDARD;
    match value {
        Value::Bool(flag) => json.as_bool() == Some(*flag),
        Value::Int(number) => json.as_i64() == Some(*number),
        Value::Text(text) => json.as_str() == Some(text),
        Value::Blob(bytes) => {
            json.as_str().and_then(|text| STANDARD.decode_to_vec(text).ok()).as_deref() == Some(bytes)
        }
        Value::Time(time) => json.as_f64().map(|seconds| (seconds * 1000.0).round() as u64) == Some(time.0),
        Value::List(items) => json.as_array().is_some_and(|list| {
            list.len() == items.len() && items.iter().zip(list).all(|(item, json)| same_as_json(item, json))
        }),
        Value::Map(pairs) => json.as_object().is_some_and(|map| {
            map.len() == pairs.len()
                && pairs.iter().all(|(key, text)| map.get(key).and_then(|json| json.as_str()) == Some(text))
        }),
        Value::Struct(inner) => json.as_object().is_some_and(|map| {
            let members = inner.members();
            map.len() == members.len() && inner.members().all(|(name, value)| same_as_json(value, &map[name]))
        }),
    }
}

fn same_as_cbor(value: &Value, cbor: &ciborium::Value) -> bool {
    match value {
        Value::Bool(flag) => cbor.as_bool() == Some(*flag),
        Value::Int(number) => cbor.as_integer() == Some((*number).into()),
        Value::Text(text) => cbor.as_text() == Some(text),
        Value::Blob(bytes) => cbor.as_bytes().is_some_and(|found| found[..] == bytes[..]),
        Value::Time(time) => cbor.as_integer() == Some(time.0.into()),
        Value::List(items) => cbor.as_array().is_some_and(|list| {
            list.len() == items.len() && items.iter().zip(list).all(|(item, cbor)| same_as_cbor(item, cbor))
        }),
        Value::Map(pairs) => cbor.as_map().is_some_and(|map| {
            let same = |((key, text), (found_key, found)): (&(String, String), &(ciborium::Value, ciborium::Value))| {
                found_key.as_text() == Some(key) && found.as_text() == Some(text)
            };
            map.len() == pairs.len() && pairs.iter().zip(map).all(same)
        }),
        Value::Struct(inner) => cbor.as_map().is_some_and(|map| same_members(inner, map)),
    }
}

fn same_members(inner: &Struct, map: &[(ciborium::Value, ciborium::Value)]) -> bool {
    let same = |((name, value), (key, cbor)): ((&str, &Value), &(ciborium::Value, ciborium::Value))| {
        key.as_text() == Some(name) && same_as_cbor(value, cbor)
    };
    map.len() == inner.members().len() && inner.members().zip(map).all(same)
}
