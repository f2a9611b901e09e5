//! Listings: filter, pages and their habits (RFC 7644 §3.4.2, RFC 9865).

use scim_v2::filter::Filter;
use scimfleet_core::ResourceKind;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::answer::{Answer, Payload, Refusal};
use super::behaviour::{Behaviour, Filtering, Paging, Total};
use super::filter::{equalities, inspect, matches};
use super::render::{Projection, Scene, render, truth};
use super::storage::{Storage, Stored};

/// The query of a listing; also the body of `/.search` (RFC 7644 §3.4.3).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Query {
    pub(crate) filter: Option<String>,
    pub(crate) start_index: Option<String>,
    pub(crate) count: Option<String>,
    pub(crate) cursor: Option<String>,
    pub(crate) attributes: Option<String>,
    pub(crate) excluded_attributes: Option<String>,
}

impl Query {
    pub(crate) fn projection(&self) -> Projection {
        Projection::new(self.attributes.as_deref(), self.excluded_attributes.as_deref())
    }

    /// From a search request's body, where numbers are numbers and lists are lists.
    pub(crate) fn from_body(body: &Map<String, Value>) -> Self {
        let text = |name: &str| match super::attributes::get(body, name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::Array(names)) => Some(names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
            _ => None,
        };
        Self {
            filter: text("filter"),
            start_index: text("startIndex"),
            count: text("count"),
            cursor: text("cursor"),
            attributes: text("attributes"),
            excluded_attributes: text("excludedAttributes"),
        }
    }
}

/// One page.
pub(crate) fn list(scene: Scene<'_>, storage: &Storage, kind: ResourceKind, query: &Query) -> Result<Answer, Refusal> {
    if kind == ResourceKind::Group && !scene.behaviour.groups {
        return Err(Refusal::not_found("endpoint `/Groups`"));
    }
    let page = Page::read(query, scene.behaviour)?;
    let (hits, total) = match filter_of(query, scene.behaviour)? {
        Filtered::All => unfiltered(storage, kind, page),
        Filtered::Nothing => (Vec::new(), 0),
        Filtered::By(filter) => {
            let found = search(storage, kind, &filter);
            let total = found.len();
            (found.into_iter().skip(page.skip).take(page.count).collect(), total)
        }
    };
    if scene.behaviour.listing_is_made_up && query.filter.is_none() && kind == ResourceKind::User {
        let nobody = json!({ "schemas": [kind.schema_urn()], "id": "made-up", "userName": "made.up" });
        let body = envelope(scene.behaviour, page, 1, &[nobody.to_string()]);
        return Ok(Answer::new(200, Payload::Resource(body)));
    }
    let projection = query.projection();
    let shown: Vec<String> = hits.iter().map(|stored| render(scene, storage, kind, stored, &projection)).collect();
    Ok(Answer::new(200, Payload::Resource(envelope(scene.behaviour, page, total, &shown))))
}

#[derive(Debug, Clone, Copy)]
struct Page {
    skip: usize,
    count: usize,
}

impl Page {
    fn read(query: &Query, behaviour: &Behaviour) -> Result<Self, Refusal> {
        let number = |name: &str, text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(None),
            // A negative number is read as the least (RFC 7644 §3.4.2.4).
            Some(text) => text
                .parse::<i64>()
                .map(|number| Some(usize::try_from(number).unwrap_or(0)))
                .map_err(|_| Refusal::bad("invalidValue", format!("`{name}` is a number"))),
        };
        let count = number("count", &query.count)?.unwrap_or(100).min(behaviour.page_size_max);
        let skip = match behaviour.paging {
            Paging::Index => number("startIndex", &query.start_index)?.unwrap_or(1).saturating_sub(1),
            Paging::Cursor => number("cursor", &query.cursor)?.unwrap_or(0),
            Paging::FirstPageForEver | Paging::FirstPageOnly => 0,
        };
        Ok(Self { skip, count })
    }
}

enum Filtered {
    All,
    Nothing,
    By(Filter),
}

fn filter_of(query: &Query, behaviour: &Behaviour) -> Result<Filtered, Refusal> {
    let Some(text) = query.filter.as_deref() else { return Ok(Filtered::All) };
    match behaviour.filter {
        Filtering::Ignored => return Ok(Filtered::All),
        Filtering::Empty => return Ok(Filtered::Nothing),
        Filtering::Refused => return Err(Refusal::bad("invalidFilter", "filters are not supported")),
        Filtering::Works => {}
    }
    let filter: Filter = text.parse().map_err(|_| Refusal::bad("invalidFilter", "the filter cannot be read"))?;
    let (names, plain) = inspect(&filter);
    if behaviour.filter_eq_and_only && !plain {
        return Err(Refusal::bad("invalidFilter", "only `eq` joined by `and` is supported"));
    }
    let allowed = &behaviour.filter_attributes;
    let foreign = names.iter().find(|name| !allowed.iter().any(|one| one.eq_ignore_ascii_case(name)));
    match foreign {
        Some(_) if !allowed.is_empty() && behaviour.foreign_filter_is_empty => Ok(Filtered::Nothing),
        Some(name) if !allowed.is_empty() => {
            Err(Refusal::bad("invalidFilter", format!("`{name}` cannot be filtered by")))
        }
        _ => Ok(Filtered::By(filter)),
    }
}

fn unfiltered(storage: &Storage, kind: ResourceKind, page: Page) -> (Vec<&Stored>, usize) {
    let table = storage.table(kind);
    let now = Instant::now();
    let hits = table.iter(page.skip).take(page.count).filter(|stored| stored.visible_from <= now).collect();
    (hits, table.len())
}

fn search<'a>(storage: &'a Storage, kind: ResourceKind, filter: &Filter) -> Vec<&'a Stored> {
    let now = Instant::now();
    let candidates = match narrowed(storage, kind, filter) {
        Some(few) => few,
        None => storage.table(kind).iter(0).collect(),
    };
    let about_members = inspect(filter).0.iter().any(|name| name.to_ascii_lowercase().starts_with("members"));
    let hit = |stored: &&Stored| {
        if stored.visible_from > now {
            return false;
        }
        let mut document = match truth_of(kind, stored, about_members) {
            Value::Object(document) => document,
            _ => return false,
        };
        document.insert("meta".to_owned(), json!({ "lastModified": super::render::rfc3339(stored.modified) }));
        matches(filter, &document)
    };
    candidates.into_iter().filter(hit).collect()
}

fn truth_of(kind: ResourceKind, stored: &Stored, with_members: bool) -> Value {
    if with_members {
        return truth(kind, stored);
    }
    let mut document = stored.document.clone();
    document.insert("id".to_owned(), stored.id.clone().into());
    Value::Object(document)
}

/// The few that an index leaves, if one fits.
fn narrowed<'a>(storage: &'a Storage, kind: ResourceKind, filter: &Filter) -> Option<Vec<&'a Stored>> {
    let table = storage.table(kind);
    let naming = kind.naming_attribute().to_ascii_lowercase();
    equalities(filter).into_iter().find_map(|equality| match equality.attribute.as_str() {
        "id" => Some(table.get(equality.value).into_iter().collect()),
        "externalid" => Some(table.with_external_id(equality.value)),
        "members" | "members.value" if kind == ResourceKind::Group => Some(storage.groups_of(equality.value).collect()),
        name if name == naming => Some(table.named(equality.value)),
        _ => None,
    })
}

fn envelope(behaviour: &Behaviour, page: Page, total: usize, shown: &[String]) -> String {
    let on_page = shown.len();
    let mut body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"] });
    let total = match (behaviour.total, behaviour.paging) {
        (Total::Absent, _) => None,
        (Total::PageSize, _) | (_, Paging::FirstPageOnly) => Some(on_page),
        (Total::Inflated, _) => Some(total + 10),
        (Total::Right, _) => Some(total),
    };
    if let Some(total) = total {
        body["totalResults"] = total.into();
    }
    if behaviour.paging == Paging::Cursor {
        if on_page > 0 && total.is_none_or(|total| page.skip + on_page < total) {
            body["nextCursor"] = (page.skip + on_page).to_string().into();
        }
    } else {
        body["startIndex"] = (page.skip + 1).into();
    }
    body["itemsPerPage"] = on_page.into();
    // The resources are text already; they go in last.
    let mut text = body.to_string();
    text.truncate(text.len() - 1);
    text.extend([",", &Value::from(behaviour.list_key.as_str()).to_string(), ":["]);
    text.push_str(&shown.join(","));
    text.push_str("]}");
    text
}
