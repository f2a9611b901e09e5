//! After a write of which nobody knows whether it was applied (R20): what the account shows decides what it is
//! taken to hold, for the attributes of that write and no others.

use serde_json::Value;

use crate::scim::Document;
use crate::scim::path::{is_urn, member};

/// What was sent last, but with each of these paths (as a [`super::Change`] names them) as the account shows it.
/// Of a multi-valued attribute that is every value that is there.
pub fn as_shown(sent: &Document, shown: &Document, paths: &[String]) -> Document {
    let mut baseline = sent.clone();
    for path in paths {
        let (parent, name) = split(path);
        let value = match parent {
            None => member(shown, name),
            Some(parent) => member(shown, parent).and_then(Value::as_object).and_then(|inner| member(inner, name)),
        };
        put(&mut baseline, parent, name, value.cloned());
    }
    baseline
}

fn put(document: &mut Document, parent: Option<&str>, name: &str, value: Option<Value>) {
    let Some(parent) = parent else {
        match value {
            Some(value) => drop(document.insert(name.to_owned(), value)),
            None => drop(document.shift_remove(name)),
        }
        return;
    };
    match document.get_mut(parent) {
        Some(Value::Object(inner)) => put(inner, None, name, value),
        _ => {
            let inner = value.map(|value| Document::from_iter([(name.to_owned(), value)]));
            put(document, None, parent, inner.map(Value::Object));
        }
    }
}

/// `urn:…:User:attribute` and `attribute.sub` (RFC 7644 §3.10): what is inside what.
fn split(path: &str) -> (Option<&str>, &str) {
    let parts = if is_urn(path) { path.rsplit_once(':') } else { path.split_once('.') };
    parts.map_or((None, path), |(parent, name)| (Some(parent), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_written_is_taken_from_the_account() {
        const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let document = |value: Value| value.as_object().unwrap().clone();
        let sent = document(json!({ "title": "A", "nickName": "n", "name": { "givenName": "G", "familyName": "F" } }));
        let shown = document(json!({ "Title": "B", "nickName": "theirs", "locale": "de",
            "name": { "givenName": "H", "familyName": "theirs", "formatted": "H F" }, URN: { "department": "D" } }));
        let of = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            Value::Object(as_shown(&sent, &shown, &paths))
        };
        let name = json!({ "givenName": "G", "familyName": "F" });
        assert_eq!(of(&[]), Value::Object(sent.clone()));
        assert_eq!(of(&["title"]), json!({ "title": "B", "nickName": "n", "name": name }));
        assert_eq!(of(&["name.givenName"])["name"], json!({ "givenName": "H", "familyName": "F" }));
        assert_eq!(of(&["locale"])["locale"], "de");
        assert_eq!(of(&[&format!("{URN}:department")])[URN], json!({ "department": "D" }));
        assert_eq!(of(&[&format!("{URN}:division")]).get(URN), None);
        assert_eq!(of(&["displayName"]), Value::Object(sent.clone()), "it does not show it, and it was not sent");
    }
}
