//! The list response (RFC 7644 §3.4.2), with the cursor of RFC 9865.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::lenient::{number, text};
use super::{Document, LIST_RESPONSE_URN, UnreadableMessage, object_of, take};

/// One page of resources.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct ListResponse {
    /// The resources of this page.
    pub resources: Vec<Document>,
    /// Elements of `Resources` that are no objects. A page that has any is not whole, and nothing may
    /// be concluded from what it lacks.
    pub unreadable: usize,
    /// How many resources there are in all, as far as the service provider says.
    pub total_results: Option<u64>,
    /// How many of them are on this page, as far as the service provider says.
    pub items_per_page: Option<u64>,
    /// The position of the first, counted from 1.
    pub start_index: Option<u64>,
    /// Where the next page begins (RFC 9865 §2); absent on the last.
    pub next_cursor: Option<String>,
    /// Where the page before began.
    pub previous_cursor: Option<String>,
}

impl TryFrom<Value> for ListResponse {
    type Error = UnreadableMessage;

    /// Needs `Resources` as a list, or at least `totalResults`: §3.4.2 lets an empty page leave
    /// `Resources` out, but a JSON object with neither is some other answer.
    fn try_from(value: Value) -> Result<Self, UnreadableMessage> {
        let unreadable = |reason| UnreadableMessage { what: "list response", reason };
        let mut object = object_of(value, "list response")?;
        let total_results = number(&object, "totalResults");
        let (resources, unreadable_items) = match take(&mut object, "Resources") {
            Some(Value::Array(items)) => split(items),
            Some(_) => return Err(unreadable("`Resources` is not a list")),
            None if total_results.is_none() => return Err(unreadable("neither `Resources` nor `totalResults`")),
            None => (Vec::new(), 0),
        };
        Ok(Self {
            resources,
            unreadable: unreadable_items,
            total_results,
            items_per_page: number(&object, "itemsPerPage"),
            start_index: number(&object, "startIndex"),
            next_cursor: text(&object, "nextCursor"),
            previous_cursor: text(&object, "previousCursor"),
        })
    }
}

fn split(items: Vec<Value>) -> (Vec<Document>, usize) {
    let count = items.len();
    let object = |item| match item {
        Value::Object(object) => Some(object),
        _ => None,
    };
    let resources: Vec<Document> = items.into_iter().filter_map(object).collect();
    let unreadable = count - resources.len();
    (resources, unreadable)
}

impl Serialize for ListResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ListResponse", 7)?;
        out.serialize_field("schemas", &[LIST_RESPONSE_URN])?;
        // "REQUIRED" (§3.4.2).
        out.serialize_field("totalResults", &self.total_results.unwrap_or(self.resources.len() as u64))?;
        for (name, value) in [("itemsPerPage", self.items_per_page), ("startIndex", self.start_index)] {
            if let Some(value) = value {
                out.serialize_field(name, &value)?;
            }
        }
        for (name, value) in [("nextCursor", &self.next_cursor), ("previousCursor", &self.previous_cursor)] {
            if let Some(value) = value {
                out.serialize_field(name, value)?;
            }
        }
        out.serialize_field("Resources", &self.resources)?;
        out.end()
    }
}
