//! Whether somebody changed an account at the provider after our last write (R22). What a provider shows
//! is never compared with what we sent, because providers normalise: the first listing after our write is
//! the baseline. Whatever others keep in attributes that we do not send is theirs.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::plan::digest;
use crate::scim::Document;
use crate::scim::path::member;

/// The provider's own, and what has a digest of its own.
const NOT_COMPARED: [&str; 5] = ["id", "meta", "groups", "members", "schemas"];
const NO_MEMBERS: &str = "-";

/// Digests of an account as a listing showed it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Of everything but members: equal means that nothing happened, and costs no look at what was sent.
    pub whole: String,
    /// Of the paths that we send.
    pub paths: String,
    /// Of the members, where the listing shows them.
    pub members: Option<String>,
}

impl fmt::Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.whole, self.paths, self.members.as_deref().unwrap_or(NO_MEMBERS))
    }
}

impl FromStr for Shown {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let mut part = || parts.next().filter(|part| !part.is_empty()).ok_or(());
        let (whole, paths, members) = (part()?.to_owned(), part()?.to_owned(), part()?);
        Ok(Self { whole, paths, members: (members != NO_MEMBERS).then(|| members.to_owned()) })
    }
}

/// What happened since the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drifted {
    /// To attributes that we send.
    pub attributes: bool,
    /// To members.
    pub members: bool,
}

impl Shown {
    /// The digests of what `document` shows of an account that `sent` was sent to.
    pub fn of(document: &Document, sent: &Document) -> Self {
        let paths = digest(&restricted(document, sent));
        Self { whole: whole(document), paths, members: members(document) }
    }

    /// Whether the document shows exactly what the baseline did, without a look at what was sent.
    pub fn is_still(&self, document: &Document) -> bool {
        self.whole == whole(document) && self.members == members(document)
    }

    /// What moved from this baseline to `now`. Members that are suddenly not shown at all say nothing.
    pub fn moved_to(&self, now: &Self) -> Drifted {
        let members = self.members.is_some() && now.members.is_some() && self.members != now.members;
        Drifted { attributes: self.paths != now.paths, members }
    }
}

impl Drifted {
    /// Whether anything did.
    pub const fn is_any(self) -> bool {
        self.attributes || self.members
    }
}

fn whole(document: &Document) -> String {
    let compared = document.iter().filter(|(name, _)| !NOT_COMPARED.iter().any(|one| name.eq_ignore_ascii_case(one)));
    digest(&compared.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The accounts that a document shows as members; `None` when it shows none of the attribute.
pub fn shown_members(document: &Document) -> Option<Vec<&str>> {
    let list = member(document, "members")?.as_array()?;
    Some(list.iter().filter_map(|member| member.get("value")?.as_str()).collect())
}

fn members(document: &Document) -> Option<String> {
    let mut members = shown_members(document)?;
    members.sort_unstable();
    let list = Value::from(members);
    Some(digest(&Document::from_iter([("members".to_owned(), list)])))
}

/// The part of `shown` that lies on the paths of `sent`.
fn restricted(shown: &Document, sent: &Document) -> Document {
    let mut part = Document::new();
    for (name, value) in sent.iter().filter(|(name, _)| !NOT_COMPARED.iter().any(|one| name.eq_ignore_ascii_case(one)))
    {
        let Some(there) = member(shown, name) else { continue };
        let there = match (value, there) {
            (Value::Object(value), Value::Object(there)) => Value::Object(restricted(there, value)),
            (Value::Array(values), Value::Array(there)) => Value::Array(ours_of(there, values)),
            (_, there) => there.clone(),
        };
        part.insert(name.clone(), there);
    }
    part
}

/// The shown values that are ours: values that others added are left alone (R23). When none can be told
/// (the provider rewrites them), all count.
fn ours_of(shown: &[Value], sent: &[Value]) -> Vec<Value> {
    let key = |value: &Value| match value {
        Value::Object(object) => object.get("value").map(ToString::to_string),
        plain => Some(plain.to_string()),
    };
    let sent: Vec<Option<String>> = sent.iter().map(key).collect();
    let ours: Vec<Value> = shown.iter().filter(|value| sent.contains(&key(value))).cloned().collect();
    if ours.is_empty() { shown.to_vec() } else { ours }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Document {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_what_we_send_can_drift() {
        let sent = object(json!({ "userName": "A", "title": "x", "name": { "givenName": "G" },
            "emails": [{ "value": "a@x", "type": "work" }] }));
        // The provider lower-cases names and adds things of its own.
        let first = json!({ "id": "1", "userName": "a", "title": "x", "name": { "givenName": "G", "formatted": "G A" },
            "emails": [{ "value": "a@x", "type": "work" }], "meta": { "version": "1" } });
        let baseline = Shown::of(&object(first.clone()), &sent);
        let changed = |pointer: &str, value: Value| {
            let mut document = first.clone();
            *document.pointer_mut(pointer).unwrap() = value;
            let document = object(document);
            (baseline.is_still(&document), baseline.moved_to(&Shown::of(&document, &sent)).attributes)
        };
        assert_eq!(changed("/meta/version", json!("2")), (true, false));
        assert_eq!(changed("/name/formatted", json!("else")), (false, false));
        assert_eq!(changed("/title", json!("y")), (false, true));
        assert_eq!(changed("/name/givenName", json!(null)), (false, true));
        let added = json!([{ "value": "b@x" }, { "value": "a@x", "type": "work" }]);
        assert_eq!(changed("/emails", added), (false, false));
        assert_eq!(changed("/emails", json!([])), (false, true));
    }

    #[test]
    fn members_count_where_they_are_shown() {
        let sent = object(json!({ "displayName": "G" }));
        let shown = |members: Value| {
            let mut document = object(json!({ "displayName": "G" }));
            if !members.is_null() {
                document.insert("members".to_owned(), members);
            }
            Shown::of(&document, &sent)
        };
        let two = shown(json!([{ "value": "1" }, { "value": "2", "display": "x" }]));
        assert!(!two.moved_to(&shown(json!([{ "value": "2" }, { "value": "1" }]))).is_any());
        assert!(two.moved_to(&shown(json!([{ "value": "2" }]))).members);
        assert!(!two.moved_to(&shown(json!(null))).is_any());
        assert_eq!(two.to_string().parse(), Ok(two.clone()));
        assert_eq!(shown(json!(null)).to_string().parse(), Ok(shown(json!(null))));
    }
}
