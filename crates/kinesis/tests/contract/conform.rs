//! Answers that depart from the model are told.

use proptest::test_runner::{Config, TestRunner};
use thalweg_kinesis::{Operation, Struct, Value};

use crate::values::valid_struct;

#[test]
fn what_keeps_the_model_departs_nowhere() {
    for operation in Operation::ALL {
        let Some(shape) = operation.output() else { continue };
        let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&valid_struct(shape), |answer| {
            assert_eq!(shape.departure(&answer), None);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{operation}: {error}"));
    }
}

#[test]
fn a_missing_an_unknown_and_a_mistyped_member_are_told() {
    let departure = |answer: Struct| Operation::GetRecords.output().unwrap().departure(&answer);
    let records = |record: Struct| Struct::new().with("Records", Value::List(vec![record.into()]));
    assert_eq!(departure(Struct::new()).as_deref(), Some("GetRecordsOutput lacks Records"));
    let empty = records(Struct::new());
    assert_eq!(departure(empty).as_deref(), Some("Record lacks SequenceNumber"));
    let unknown = records(Struct::new()).with("NextShardIterators", "x");
    assert_eq!(departure(unknown).as_deref(), Some("Record lacks SequenceNumber"), "in the order of members");
    let unknown = Struct::new().with("Records", Value::List(Vec::new())).with("NextShardIterators", "x");
    assert_eq!(departure(unknown).as_deref(), Some("GetRecordsOutput has no NextShardIterators"));
    let mistyped = Struct::new().with("Records", Value::List(Vec::new())).with("MillisBehindLatest", "0");
    let told = departure(mistyped).unwrap();
    assert!(told.starts_with("GetRecordsOutput.MillisBehindLatest is of another type"), "{told}");
}

#[test]
fn a_subscription_may_end_without_a_continuation() {
    let event = Struct::new().with("Records", Value::List(Vec::new())).with("MillisBehindLatest", 0i64);
    let stream = Struct::new().with("EventStream", Struct::new().with("SubscribeToShardEvent", event));
    assert_eq!(Operation::SubscribeToShard.output().unwrap().departure(&stream), None);
}
