//! No text opens that the cluster did not seal, and none makes the readers panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_kinesis::token::{Listing, PageToken, ShardIteratorToken, TokenKey};

fuzz_target!(|text: &str| {
    let key = TokenKey::new("nobody knows this");
    assert!(ShardIteratorToken::open(&key, text).is_err());
    assert!(PageToken::open(&key, Listing::Shards, text).is_err());
});
