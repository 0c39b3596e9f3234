//! Values made from shapes: any that a shape can hold, and any that keeps its constraints.

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::string::string_regex;
use thalweg_kinesis::model::{Bounds, Member, Shape, StructShape, TextShape};
use thalweg_kinesis::{Struct, Value};
use thalweg_types::UnixMillis;

/// Any value of a shape, constraints aside.
pub(crate) fn any_value(shape: &'static Shape) -> BoxedStrategy<Value> {
    match shape {
        Shape::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Shape::Int(int) if int.long => any::<i64>().prop_map(Value::Int).boxed(),
        Shape::Int(_) => any::<i32>().prop_map(|number| Value::Int(number.into())).boxed(),
        Shape::Text(_) => ".{0,12}".prop_map(Value::Text).boxed(),
        Shape::Blob(_) => vec(any::<u8>(), 0..80).prop_map(|bytes| Value::Blob(Bytes::from(bytes))).boxed(),
        Shape::Time => time(),
        Shape::List(list) => vec(any_value(list.member), 0..4).prop_map(Value::List).boxed(),
        Shape::Map(_) => map(0..=4, ".{0,6}".boxed(), ".{0,6}".boxed()),
        Shape::Struct(shape) => any_struct(shape).prop_map(Value::Struct).boxed(),
    }
}

/// Any structure of a shape, with some of its members in any order.
pub(crate) fn any_struct(shape: &'static StructShape) -> BoxedStrategy<Struct> {
    let member = |member: &'static Member| option::of(any_value(&member.shape)).boxed();
    some_members(shape, member)
}

/// Any structure that keeps every constraint of its shape.
pub(crate) fn valid_struct(shape: &'static StructShape) -> BoxedStrategy<Struct> {
    let member = |member: &'static Member| match member.required {
        true => valid_value(&member.shape).prop_map(Some).boxed(),
        false => option::of(valid_value(&member.shape)).boxed(),
    };
    some_members(shape, member)
}

fn some_members(
    shape: &'static StructShape,
    strategy: impl Fn(&'static Member) -> BoxedStrategy<Option<Value>>,
) -> BoxedStrategy<Struct> {
    let members: Vec<_> = shape.members.iter().map(|member| (Just(member.name), strategy(member))).collect();
    let present = |members: Vec<(&'static str, Option<Value>)>| {
        let present = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
        present.fold(Struct::new(), |structure, (name, value)| structure.with(name, value))
    };
    members.prop_shuffle().prop_map(present).boxed()
}

fn valid_value(shape: &'static Shape) -> BoxedStrategy<Value> {
    match shape {
        Shape::Int(int) => {
            let bounds = int.bounds;
            (bounds.min.unwrap_or(-9)..=bounds.max.unwrap_or(i32::MAX.into())).prop_map(Value::Int).boxed()
        }
        Shape::Text(text) => valid_text(text).prop_map(Value::Text).boxed(),
        Shape::List(list) => vec(valid_value(list.member), sizes(list.size)).prop_map(Value::List).boxed(),
        Shape::Map(map_shape) => map(1..=4, lengths(map_shape.key), lengths(map_shape.value)),
        Shape::Struct(shape) => valid_struct(shape).prop_map(Value::Struct).boxed(),
        Shape::Bool | Shape::Blob(_) | Shape::Time => any_value(shape),
    }
}

fn valid_text(shape: &'static TextShape) -> BoxedStrategy<String> {
    let length = shape.length;
    if !shape.values.is_empty() {
        return proptest::sample::select(shape.values).prop_map(str::to_owned).boxed();
    }
    let Some(pattern) = shape.pattern else { return lengths(length) };
    // The generator knows no anchors, takes classes to be Unicode's, and repeats without end.
    let text = pattern.text().trim_start_matches('^').trim_end_matches('$');
    let text = text.replace(r"\d", "[0-9]").replace(r"\S+", "[!-~]{1,9}");
    let text = text.replace("aws.*", "aws[ -~]{0,5}").replace(":.*", ":[ -~]{0,5}");
    let fits = move |text: &String| length.contain(text.len() as i64);
    string_regex(&text).unwrap().prop_filter("within its length", fits).boxed()
}

fn sizes(bounds: Bounds) -> std::ops::RangeInclusive<usize> {
    let min = bounds.min.unwrap_or(0) as usize;
    min..=(min + 3).min(bounds.max.unwrap_or(i64::MAX) as usize)
}

fn lengths(bounds: Bounds) -> BoxedStrategy<String> {
    let sizes = sizes(bounds);
    string_regex(&format!("[a-zA-Z0-9 _./=+@-]{{{},{}}}", sizes.start(), sizes.end())).unwrap().boxed()
}

fn map(
    size: std::ops::RangeInclusive<usize>,
    keys: BoxedStrategy<String>,
    values: BoxedStrategy<String>,
) -> BoxedStrategy<Value> {
    btree_map(keys, values, size).prop_map(|pairs| Value::Map(pairs.into_iter().collect())).boxed()
}

/// Times of which the milliseconds survive a double, as JSON has them.
fn time() -> BoxedStrategy<Value> {
    (0..=1u64 << 43).prop_map(|ms| Value::Time(UnixMillis(ms))).boxed()
}
