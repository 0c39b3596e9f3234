//! Tokens: what a cluster seals it opens, and nothing else opens.

use proptest::prelude::*;
use thalweg_kinesis::ErrorKind;
use thalweg_kinesis::token::{
    BadToken, Listing, PageToken, ShardIteratorToken, TOKEN_LIFE_MS, TokenKey, TokenPosition,
};
use thalweg_types::{ShardId, StreamId, UnixMillis};

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn key() -> TokenKey {
    TokenKey::new("the secret of the cluster")
}

fn position() -> impl Strategy<Value = TokenPosition> {
    prop_oneof![
        Just(TokenPosition::TrimHorizon),
        any::<(u64, u32)>().prop_map(|(index, record)| TokenPosition::AtCounter { index, record }),
        any::<u64>().prop_map(|time| TokenPosition::AtTime(UnixMillis(time))),
    ]
}

fn iterator() -> impl Strategy<Value = ShardIteratorToken> {
    (any::<u64>(), any::<u32>(), position(), any::<u64>()).prop_map(|(stream, shard, position, issued)| {
        ShardIteratorToken { stream: StreamId(stream), shard: ShardId(shard), position, issued: UnixMillis(issued) }
    })
}

fn page() -> impl Strategy<Value = PageToken> {
    let listing = prop_oneof![Just(Listing::Streams), Just(Listing::Shards), Just(Listing::StreamConsumers)];
    let detail = proptest::collection::vec(any::<u8>(), 0..40);
    (listing, any::<Option<u64>>(), ".{0,40}", detail, any::<u64>()).prop_map(
        |(listing, stream, after, detail, issued)| PageToken {
            listing,
            stream: stream.map(StreamId),
            after,
            detail,
            issued: UnixMillis(issued),
        },
    )
}

fn iterator_issued_at(issued: u64) -> ShardIteratorToken {
    ShardIteratorToken {
        stream: StreamId(7),
        shard: ShardId(3),
        position: TokenPosition::TrimHorizon,
        issued: UnixMillis(issued),
    }
}

#[test]
fn an_iterator_lives_five_minutes_and_then_says_so_in_the_services_words() {
    let token = iterator_issued_at(1_421_889_722_000);
    let at = |ms: u64| UnixMillis(1_421_889_722_000 + ms);
    assert_eq!(token.check_age(at(TOKEN_LIFE_MS)), Ok(()));
    let refused = token.check_age(at(TOKEN_LIFE_MS + 1)).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::ExpiredIterator);
    assert_eq!(
        refused.message.unwrap(),
        "Iterator expired. The iterator was created at time Thu Jan 22 01:22:02 UTC 2015 while right now it is \
         Thu Jan 22 01:27:02 UTC 2015 which is further in the future than the tolerated delay of 300000 milliseconds."
    );
}

#[test]
fn a_token_from_a_node_whose_clock_is_ahead_is_accepted() {
    assert!(!iterator_issued_at(1_000_000).is_expired(UnixMillis(1_000)));
}

#[test]
fn a_page_token_lives_five_minutes_and_belongs_to_one_operation() {
    let token = PageToken {
        listing: Listing::Shards,
        stream: Some(StreamId(9)),
        after: "shardId-000000000004".to_owned(),
        detail: vec![1, 2],
        issued: UnixMillis(5_000),
    };
    let text = token.seal(&key());
    assert_eq!(PageToken::open(&key(), Listing::Shards, &text), Ok(token.clone()));
    assert_eq!(PageToken::open(&key(), Listing::StreamConsumers, &text), Err(BadToken));
    assert_eq!(token.check_age(UnixMillis(305_000)), Ok(()));
    assert_eq!(token.check_age(UnixMillis(305_001)).unwrap_err().kind, ErrorKind::ExpiredNextToken);
}

#[test]
fn a_token_of_another_cluster_or_another_kind_is_refused() {
    let iterator = iterator_issued_at(1).seal(&key());
    assert_eq!(ShardIteratorToken::open(&TokenKey::new("another secret"), &iterator), Err(BadToken));
    assert_eq!(PageToken::open(&key(), Listing::Streams, &iterator), Err(BadToken));
    assert_eq!(BadToken.as_iterator().message.unwrap(), "Invalid ShardIterator.");
}

#[test]
fn a_key_does_not_print_itself() {
    assert_eq!(format!("{:?}", key()), "TokenKey(..)");
}

#[test]
fn every_character_of_a_token_matters() {
    let token = iterator_issued_at(1_421_889_722_000);
    let text = token.seal(&key());
    for at in 0..text.len() {
        for other in BASE64.iter().filter(|other| **other != text.as_bytes()[at]) {
            let mut changed = text.clone().into_bytes();
            changed[at] = *other;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(ShardIteratorToken::open(&key(), &changed), Err(BadToken), "{changed}");
        }
        assert_eq!(ShardIteratorToken::open(&key(), &text[..at]), Err(BadToken));
    }
    for padded in [format!("{text}="), format!("{text}A"), format!(" {text}"), format!("{text}\n")] {
        assert_eq!(ShardIteratorToken::open(&key(), &padded), Err(BadToken), "{padded:?}");
    }
}

proptest! {
    #[test]
    fn iterators_open_as_they_were_sealed(token in iterator()) {
        let text = token.seal(&key());
        prop_assert!(text.len() < 100, "{}", text.len());
        prop_assert_eq!(ShardIteratorToken::open(&key(), &text), Ok(token));
    }

    #[test]
    fn page_tokens_open_as_they_were_sealed(token in page()) {
        let text = token.seal(&key());
        prop_assert_eq!(PageToken::open(&key(), token.listing, &text), Ok(token));
    }

    #[test]
    fn a_flipped_bit_is_refused(token in iterator(), page in page(), at: prop::sample::Index, bit in 0..8u8) {
        let flip = |text: String| {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            String::from_utf8_lossy(&bytes).into_owned()
        };
        prop_assert_eq!(ShardIteratorToken::open(&key(), &flip(token.seal(&key()))), Err(BadToken));
        prop_assert_eq!(PageToken::open(&key(), page.listing, &flip(page.seal(&key()))), Err(BadToken));
    }

    #[test]
    fn no_text_opens_by_chance(text in "[-_a-zA-Z0-9+/=]{0,200}|.{0,80}") {
        prop_assert_eq!(ShardIteratorToken::open(&key(), &text), Err(BadToken));
        prop_assert_eq!(PageToken::open(&key(), Listing::Streams, &text), Err(BadToken));
    }
}
