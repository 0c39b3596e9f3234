//! Every command line of the README is understood, and mistakes are not.

use clap::CommandFactory;

use super::*;

fn parses(line: &str) -> bool {
    Cli::try_parse_from(line.split_whitespace()).is_ok()
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_line_of_the_tour_is_understood() {
    let readme = include_str!("../../../README.md");
    let mut seen = 0;
    for line in readme.lines().map(|line| line.split(" #").next().unwrap_or(line)) {
        let Some(at) = line.find("thalweg ").filter(|at| *at == 0 || line[..*at].ends_with("| ")) else { continue };
        let line = &line[at..];
        assert!(parses(line), "the README says `{line}`");
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} command lines were found");
}

#[test]
fn times_sizes_and_places_are_read_as_people_write_them() {
    for line in [
        "thalweg tail orders --from -1h --no-follow",
        "thalweg tail orders --from trim-horizon -n 5 -o raw",
        "thalweg stream create orders --shards 4 --retention 7d --max-record-size 10MiB --durability os",
        "thalweg stream ls --endpoint a:1,b:2 -o json",
        "thalweg put orders @file --key k",
        "thalweg stream set orders --mode on-demand --tag env=prod --untag old --limits kinesis",
        "thalweg stream set orders --limits write-bytes=2MiB,read-calls=10 --max-record-size 10MiB",
        "thalweg stream create orders --mode on-demand --tag env=prod --tag team=river",
        "thalweg stream consumers orders -o json",
        "thalweg stream delete orders --with-consumers --yes",
        "thalweg admin access-key create --description ci",
        "thalweg admin access-key create --id AKIAEXAMPLE",
        "thalweg admin access-key create --restricted",
        "thalweg admin access-key create --allow ListStreams,kinesis:Describe*",
        "thalweg admin access-key rm AKIAEXAMPLE",
        "thalweg admin access-key ls",
        "thalweg admin events --stream orders -n 200 -f",
    ] {
        assert!(parses(line), "{line}");
    }
}

#[test]
fn wrong_arguments_are_refused() {
    for line in [
        "thalweg",
        "thalweg stream create",
        "thalweg stream create no/slash",
        "thalweg stream create orders --shards 0",
        "thalweg stream split orders shard-1",
        "thalweg stream set orders",
        "thalweg stream set orders --tag env",
        "thalweg stream set orders --limits tight",
        "thalweg admin access-key create --secret hush",
        "thalweg admin access-key create --allow s3:GetObject",
        "thalweg put orders a --file b",
        "thalweg tail orders --from yesterday",
    ] {
        assert!(!parses(line), "{line}");
    }
}
