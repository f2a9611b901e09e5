//! Digests of what is sent, equal for documents that mean the same: the order of attributes and of the
//! values of a multi-valued attribute does not count (R21, R23).

use std::ops::Range;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::scim::Document;

/// Bytes of a digest that are kept: a collision within one link's history is out of reach at 128 bits.
const DIGEST_BYTES: usize = 16;
/// A user's payload has about so many bytes.
const USUAL_BYTES: usize = 1024;

/// The digest of a document as lower-case hexadecimal.
pub fn digest(document: &Document) -> String {
    let mut canonical = Vec::with_capacity(USUAL_BYTES);
    write_object(&mut canonical, document);
    let hash = Sha256::digest(&canonical);
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = hash
        .iter()
        .take(DIGEST_BYTES)
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

/// Whether two values mean the same.
pub fn same(one: &Value, other: &Value) -> bool {
    let canonical = |value: &Value| {
        let mut text = Vec::with_capacity(USUAL_BYTES);
        write_value(&mut text, value);
        text
    };
    one == other || !is_scalar(one) && !is_scalar(other) && canonical(one) == canonical(other)
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(object) => write_object(out, object),
        Value::Array(items) => write_items(out, items),
        scalar => write_scalar(out, scalar),
    }
}

fn write_scalar(out: &mut Vec<u8>, scalar: &Value) {
    // Writing into memory does not fail, and neither does a scalar.
    let _ = serde_json::to_writer(out, scalar);
}

fn write_object(out: &mut Vec<u8>, object: &Document) {
    let mut members: Vec<(&String, &Value)> = object.iter().filter(|(_, value)| !value.is_null()).collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    out.push(b'{');
    for (key, value) in members {
        let _ = serde_json::to_writer(&mut *out, key);
        out.push(b':');
        write_value(out, value);
        out.push(b',');
    }
    out.push(b'}');
}

/// Items are written one after the other and then put into the order of their bytes.
fn write_items(out: &mut Vec<u8>, items: &[Value]) {
    out.push(b'[');
    let begin = out.len();
    let mut places: Vec<Range<usize>> = Vec::with_capacity(items.len());
    for item in items {
        let from = out.len();
        write_value(out, item);
        out.push(b',');
        places.push(from..out.len());
    }
    if places.len() > 1 && !places.is_sorted_by(|one, other| out[one.clone()] <= out[other.clone()]) {
        places.sort_by(|one, other| out[one.clone()].cmp(&out[other.clone()]));
        let sorted: Vec<u8> = places.iter().flat_map(|place| &out[place.clone()]).copied().collect();
        out.truncate(begin);
        out.extend_from_slice(&sorted);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Document {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn order_and_nulls_do_not_count_values_do() {
        let one = object(r#"{"a":1,"b":[{"x":1,"y":2},{"x":3}],"n":null}"#);
        let same = object(r#"{"b":[{"x":3},{"y":2,"x":1}],"a":1}"#);
        let other = object(r#"{"b":[{"x":3},{"y":2,"x":1}],"a":"1"}"#);
        assert_eq!(digest(&one), digest(&same));
        assert_ne!(digest(&one), digest(&other));
        assert_eq!(digest(&one).len(), 32);
    }
}
