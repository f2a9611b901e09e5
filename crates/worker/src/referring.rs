//! Payloads that refer to others who are perhaps created in the same moment: to a manager, or to groups inside of
//! a group (RFC 7644 §3.7.2).

use scimfleet_core::ResourceId;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::resource::ENTERPRISE_URN;
use serde_json::Value;

/// Where the members of a group stand.
const MEMBERS: &str = "members";

/// A payload that refers to somebody who has no account yet.
#[derive(Debug, Clone)]
pub(crate) struct Referring {
    /// Whom it refers to.
    pub(crate) to: Vec<ResourceId>,
    document: Document,
    place: Place,
}

/// Where its references stand.
#[derive(Debug, Clone)]
enum Place {
    /// The value of `manager`: one, without which the document is not sent.
    Manager,
    /// Further values of `members`; each like this one.
    Members(Value),
}

impl Referring {
    /// To a manager, whose place in the document is taken by whatever stands there.
    pub(crate) fn to_manager(manager: ResourceId, document: Document) -> Self {
        Self { to: vec![manager], document, place: Place::Manager }
    }

    /// To groups inside of this one, as members beside those in the document; `like`: what a member looks like.
    pub(crate) const fn to_members(groups: Vec<ResourceId>, document: Document, like: Value) -> Self {
        Self { to: groups, document, place: Place::Members(like) }
    }

    /// The attribute that holds its references.
    pub(crate) const fn attribute(&self) -> &'static str {
        match self.place {
            Place::Manager => ENTERPRISE_URN,
            Place::Members(_) => MEMBERS,
        }
    }

    /// The payload, with these references and no others.
    pub(crate) fn document<'a>(&self, references: impl IntoIterator<Item = &'a str>) -> Document {
        let mut document = self.document.clone();
        for reference in references {
            match &self.place {
                Place::Manager => refer_to(&mut document, reference),
                Place::Members(like) => add_member(&mut document, like.clone(), reference),
            }
        }
        document
    }

    /// Whether another document, as somebody else shows it, refers to this account in the same place.
    pub(crate) fn is_shown(&self, document: &Document, account: &str) -> bool {
        match self.place {
            Place::Manager => manager_of(document) == Some(account),
            Place::Members(_) => {
                let members = document.get(MEMBERS).and_then(Value::as_array);
                members.into_iter().flatten().any(|member| member.get("value").and_then(Value::as_str) == Some(account))
            }
        }
    }
}

/// The reference in `manager.value`, if the document has one.
pub(crate) fn manager_of(document: &Document) -> Option<&str> {
    document.get(ENTERPRISE_URN)?.get("manager")?.get("value")?.as_str()
}

/// Puts a reference into `manager.value`, if the document has a manager.
pub(crate) fn refer_to(document: &mut Document, reference: &str) {
    let manager = document.get_mut(ENTERPRISE_URN).and_then(|extension| extension.get_mut("manager"));
    if let Some(manager) = manager.and_then(Value::as_object_mut) {
        manager.insert("value".to_owned(), Value::from(reference));
    }
}

fn add_member(document: &mut Document, mut member: Value, reference: &str) {
    member["value"] = Value::from(reference);
    let members = document.entry(MEMBERS).or_insert_with(|| Value::Array(Vec::new()));
    if let Some(members) = members.as_array_mut() {
        members.push(member);
    }
}
