//! Digests of what is sent, equal for documents that mean the same: the order of attributes and of the
//! values of a multi-valued attribute does not count (R21, R23).

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::scim::Document;

/// Bytes of a digest that are kept: a collision within one link's history is out of reach at 128 bits.
const DIGEST_BYTES: usize = 16;

/// The digest of a document as lower-case hexadecimal.
pub fn digest(document: &Document) -> String {
    let canonical = canonical_object(document);
    let hash = Sha256::digest(canonical.as_bytes());
    hash.iter().take(DIGEST_BYTES).fold(String::with_capacity(2 * DIGEST_BYTES), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether two values mean the same.
pub fn same(one: &Value, other: &Value) -> bool {
    one == other || canonical(one) == canonical(other)
}

fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => canonical_object(object),
        Value::Array(items) => {
            let mut items: Vec<String> = items.iter().map(canonical).collect();
            items.sort_unstable();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}

fn canonical_object(object: &Document) -> String {
    let sorted: BTreeMap<&String, &Value> = object.iter().filter(|(_, value)| !value.is_null()).collect();
    let members: Vec<String> =
        sorted.into_iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value))).collect();
    format!("{{{}}}", members.join(","))
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
