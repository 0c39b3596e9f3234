//! No text makes the parser panic, and what parses prints as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_kinesis::arn::ResourceArn;

fuzz_target!(|text: &str| {
    if let Ok(arn) = text.parse::<ResourceArn>() {
        assert_eq!(arn.to_string(), text);
    }
});
