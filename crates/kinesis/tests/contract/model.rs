//! The tables say what AWS's published model says.
//!
//! `model.txt` has one line an operation, made by `model.py` from botocore's copy of the model.
//! The tables are compared with it always; it is compared with botocore where that is installed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use thalweg_kinesis::Operation;
use thalweg_kinesis::model::{Bounds, Shape, StructShape, TextShape};

const FIXTURE: &str = include_str!("model.txt");

#[test]
fn the_tables_say_what_the_published_model_says() {
    let mut lines: Vec<_> = Operation::ALL.iter().map(|operation| line(*operation)).collect();
    lines.sort_unstable();
    let expected: Vec<_> = FIXTURE.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 57);
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines.len(), expected.len());
}

#[test]
fn the_fixture_is_what_botocore_has() {
    let script = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this"))
        .join("tests/contract/model.py");
    let python = std::env::var("THALWEG_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = match Command::new(&python).arg(script).output() {
        Ok(output) => output,
        Err(error) => return skipped(&format!("{python}: {error}")),
    };
    let told = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => {}
        Some(77) => skipped(told.trim()),
        _ => panic!("{told}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Says so even where the output of tests is captured.
#[allow(clippy::explicit_write, reason = "what eprintln prints is captured")]
fn skipped(reason: &str) {
    writeln!(std::io::stderr(), "SKIPPED the_fixture_is_what_botocore_has: {reason}").unwrap();
}

#[test]
fn operations_are_found_by_their_exact_name_only() {
    for operation in Operation::ALL {
        assert_eq!(Operation::by_name(operation.name()), Some(*operation));
    }
    for unknown in ["", "ListStream", "liststreams", "ListStreams "] {
        assert_eq!(Operation::by_name(unknown), None);
    }
}

#[test]
fn every_pattern_compiles() {
    let mut count = 0;
    for operation in Operation::ALL {
        for shape in [Some(operation.input()), operation.output()].into_iter().flatten() {
            patterns(&Shape::Struct(shape), &mut |text| {
                let pattern = text.pattern.unwrap();
                assert!(!pattern.matches("\n"), "{}", pattern.text());
                count += 1;
            });
        }
    }
    assert!(count > 100, "{count}");
}

fn patterns(shape: &Shape, found: &mut dyn FnMut(&TextShape)) {
    match shape {
        Shape::Text(text) if text.pattern.is_some_and(|pattern| pattern.text() != "[^:*]*") => found(text),
        Shape::List(list) => patterns(list.member, found),
        Shape::Struct(shape) => shape.members.iter().for_each(|member| patterns(&member.shape, found)),
        _ => {}
    }
}

fn line(operation: Operation) -> String {
    let output = operation.output().map_or_else(|| "none".to_owned(), structure);
    format!("{operation} {} -> {output}", structure(operation.input()))
}

fn structure(shape: &StructShape) -> String {
    let mut members: Vec<_> = shape.members.iter().collect();
    members.sort_unstable_by_key(|member| member.name);
    let members: Vec<_> = members
        .iter()
        .map(|member| format!("{}{}:{}", member.name, if member.required { "!" } else { "" }, written(&member.shape)))
        .collect();
    format!("{}{{{}}}", shape.name, members.join(","))
}

fn written(shape: &Shape) -> String {
    match shape {
        Shape::Bool => "boolean".to_owned(),
        Shape::Int(int) => format!("{}{}", if int.long { "long" } else { "integer" }, range(int.bounds)),
        Shape::Text(text) => written_text(text),
        Shape::Blob(bounds) => format!("blob{}", range(*bounds)),
        Shape::Time => "timestamp".to_owned(),
        Shape::List(list) => format!("list<{}>{}", written(list.member), range(list.size)),
        Shape::Map(map) => format!("map<string{},string{}>{}", range(map.key), range(map.value), range(map.size)),
        Shape::Struct(shape) => structure(shape),
    }
}

fn written_text(text: &TextShape) -> String {
    let mut written = format!("string{}", range(text.length));
    if let Some(pattern) = text.pattern {
        write!(written, "~{}~", pattern.text()).unwrap();
    }
    if !text.values.is_empty() {
        let mut values = text.values.to_vec();
        values.sort_unstable();
        write!(written, "({})", values.join("|")).unwrap();
    }
    written
}

fn range(bounds: Bounds) -> String {
    let side = |side: Option<i64>| side.map_or_else(String::new, |limit| limit.to_string());
    if bounds == Bounds::NONE { String::new() } else { format!("[{}..{}]", side(bounds.min), side(bounds.max)) }
}
