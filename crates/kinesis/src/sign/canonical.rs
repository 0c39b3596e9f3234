//! The canonical request: what signer and verifier both hash.
//!
//! Holds: two requests have the same canonical form only if they mean the same to a server that
//! ignores repeated slashes, the order of query parameters, and space around header values.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::{BodyHash, RequestParts};

/// All but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The query parameter that cannot sign itself.
const SIGNATURE_PARAMETER: &[u8] = b"X-Amz-Signature";

/// The canonical request. `signed` is in lower case, sorted and without repeats.
pub(super) fn request(parts: &RequestParts<'_>, signed: &[String], body: BodyHash) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    push_line(&mut out, parts.method.as_bytes());
    push_line(&mut out, path(parts.path).as_bytes());
    push_line(&mut out, query(parts.query).as_bytes());
    for name in signed {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        push_values(&mut out, parts.values(name));
        out.push(b'\n');
    }
    out.push(b'\n');
    push_line(&mut out, signed.join(";").as_bytes());
    out.extend_from_slice(body.hex().as_bytes());
    out
}

fn push_line(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Repeated headers are joined by commas; each is trimmed and its inner space folded.
fn push_values<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let words = value.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        for (at, word) in words.enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
}

/// Dot segments and empty segments go, then each segment is encoded, a second time if the
/// client has encoded it already: all services but one do it so.
fn path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    for segment in &segments {
        out.push('/');
        out.extend(percent_encode(segment.as_bytes(), ENCODED));
    }
    if segments.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// Parameters are decoded, encoded in one way, and sorted by name, then by value.
fn query(query: &str) -> String {
    let mut parameters: Vec<(String, String)> = parameters(query)
        .filter(|(name, _)| name != SIGNATURE_PARAMETER)
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    parameters.sort_unstable();
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The decoded parameters of a query. A plus is a space, as in forms: SDKs send it so, and sign
/// `%20`; a plus that is meant is sent as `%2B`.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).collect();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// Encodes all but unreserved characters.
pub(super) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, ENCODED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_dots_and_doubled_slashes_and_are_encoded_twice() {
        let cases = [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/a/../..//", "/"),
            ("/a/./b//c/", "/a/b/c/"),
            ("/a/..", "/"),
            ("/a%20b/~c*", "/a%2520b/~c%2A"),
        ];
        for (given, canonical) in cases {
            assert_eq!(path(given), canonical, "{given}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_in_one_way() {
        let cases = [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&a", "a=&a=1&a=2"),
            ("a=b=c&%61=%2f", "a=%2F&a=b%3Dc"),
            ("a+b=c%20%2b", "a%20b=c%20%2B"),
            ("x=%zz&X-Amz-Signature=0", "x=%25zz"),
        ];
        for (given, canonical) in cases {
            assert_eq!(query(given), canonical, "{given}");
        }
    }

    #[test]
    fn header_values_are_trimmed_folded_and_joined() {
        let mut out = Vec::new();
        push_values(&mut out, [b"  a \t b  ".as_slice(), b"", b"c"].into_iter());
        assert_eq!(out, b"a b,,c");
    }
}
