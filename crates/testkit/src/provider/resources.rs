//! Create, read, replace, modify and delete (RFC 7644 §3.3 to §3.6), for single requests and for bulk.

use std::time::Duration;

use scim_v2::filter::PatchPath;
use scimfleet_core::ResourceKind;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::answer::{Answer, Payload, Refusal};
use super::behaviour::{CreateMembers, DeleteUsers, IdSource, OpCase, PatchBody, PatchPaths};
use super::document::take_apart;
use super::members::{self, Edit};
use super::patch::{self, Operation};
use super::render::{Projection, Scene, etag, location, render, truth};
use super::storage::{Storage, Stored};

/// One request about one resource.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) kind: ResourceKind,
    /// None for a create.
    pub(crate) id: Option<String>,
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) body: Option<Map<String, Value>>,
    pub(crate) projection: Projection,
}

impl Call {
    fn body(&self) -> Result<&Map<String, Value>, Refusal> {
        self.body.as_ref().ok_or_else(no_body)
    }

    fn take_body(&mut self) -> Result<Map<String, Value>, Refusal> {
        self.body.take().ok_or_else(no_body)
    }
}

fn no_body() -> Refusal {
    Refusal::bad("invalidSyntax", "the body is a JSON object")
}

/// Carries out one request. Its body is used up.
pub(crate) fn operate(scene: Scene<'_>, storage: &mut Storage, call: &mut Call) -> Result<Answer, Refusal> {
    let behaviour = scene.behaviour;
    if call.kind == ResourceKind::Group && !behaviour.groups {
        return Err(Refusal::not_found("endpoint `/Groups`"));
    }
    let Some(id) = call.id.take() else {
        return match call.method.as_str() {
            "POST" => create(scene, storage, call),
            _ => Err(Refusal::new(405, None, "method not allowed here")),
        };
    };
    match call.method.as_str() {
        "PUT" if !behaviour.put => {
            return Err(Refusal::new(behaviour.put_refused_status, None, "PUT is not supported"));
        }
        "PATCH" if !behaviour.patch => return Err(Refusal::new(501, None, "PATCH is not supported")),
        _ => {}
    }
    let stored = storage
        .table(call.kind)
        .get(&id)
        .ok_or_else(|| Refusal::not_found(&format!("{} `{id}`", call.kind.resource_type())))?;
    let id = id.as_str();
    check_version(scene, stored, call)?;
    let mut answer = match call.method.as_str() {
        "GET" => read(scene, storage, call, id)?,
        "PUT" => replace(scene, storage, call, id)?,
        "PATCH" => modify(scene, storage, call, id)?,
        "DELETE" => delete(scene, storage, call.kind, id)?,
        _ => return Err(Refusal::new(405, None, "method not allowed here")),
    };
    answer.object.get_or_insert_with(|| id.to_owned());
    if behaviour.deactivating_deletes && call.kind == ResourceKind::User && is_turned_off(storage, id) {
        storage.remove(call.kind, id);
    }
    Ok(answer)
}

fn is_turned_off(storage: &Storage, id: &str) -> bool {
    let stored = storage.table(ResourceKind::User).get(id);
    stored.is_some_and(|stored| stored.document.get("active") == Some(&Value::Bool(false)))
}

fn check_version(scene: Scene<'_>, stored: &Stored, call: &Call) -> Result<(), Refusal> {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    match call.if_match.as_deref() {
        Some(wanted) if scene.behaviour.etag && wanted.trim() != "*" => {
            let current = strong(&etag(stored));
            if wanted.split(',').any(|tag| strong(tag) == current) {
                return Ok(());
            }
            Err(Refusal::new(412, None, "the resource has changed since that version"))
        }
        _ => Ok(()),
    }
}

/// The resource as an answer with its version.
fn show(scene: Scene<'_>, storage: &Storage, call: &Call, id: &str, status: u16) -> Answer {
    let Some(stored) = storage.table(call.kind).get(id) else { return Answer::new(status, Payload::Nothing) };
    let shown = render(scene, storage, call.kind, stored, &call.projection);
    let mut answer = Answer::new(status, Payload::Resource(shown));
    answer.etag = scene.behaviour.etag.then(|| etag(stored));
    answer.object = Some(id.to_owned());
    answer
}

/// The version without the resource.
fn hide(scene: Scene<'_>, storage: &Storage, call: &Call, id: &str) -> Answer {
    let mut answer = Answer::new(204, Payload::Nothing);
    answer.etag = storage.table(call.kind).get(id).filter(|_| scene.behaviour.etag).map(etag);
    answer.object = Some(id.to_owned());
    answer
}

fn read(scene: Scene<'_>, storage: &Storage, call: &Call, id: &str) -> Result<Answer, Refusal> {
    let answer = show(scene, storage, call, id, 200);
    if answer.etag.is_some() && answer.etag == call.if_none_match {
        return Ok(Answer { status: 304, payload: Payload::Nothing, ..answer });
    }
    Ok(answer)
}

fn create(scene: Scene<'_>, storage: &mut Storage, call: &mut Call) -> Result<Answer, Refusal> {
    let behaviour = scene.behaviour;
    let incoming = take_apart(call.take_body()?, call.kind, behaviour)?;
    check_unique(scene, storage, call.kind, &incoming.document, None)?;
    let members = match (behaviour.members_in_create, incoming.members.unwrap_or_default()) {
        (CreateMembers::Refused, list) if !list.is_empty() => {
            return Err(Refusal::bad("invalidValue", "a new group takes no members"));
        }
        (CreateMembers::Ignored | CreateMembers::Refused, _) => Vec::new(),
        (CreateMembers::Accepted, list) => list,
    };
    let max = behaviour.members_per_create_max;
    if max > 0 && members.len() > max {
        return Err(Refusal::bad("invalidValue", format!("{} members in a create, at most {max}", members.len())));
    }
    let edits = members::admit(vec![Edit::Add(members)], None, storage, behaviour)?;
    let id = named_id(scene, call.kind, &incoming.document).unwrap_or_else(|| storage.fresh_id());
    let visible = Instant::now() + Duration::from_millis(behaviour.visible_after_ms);
    storage.insert(call.kind, id.clone(), incoming.document, visible);
    members::perform(edits, &id, storage);
    if let Some(password) = incoming.password {
        storage.set_password(&id, password);
    }
    let mut answer = match behaviour.created_status {
        204 => hide(scene, storage, call, &id),
        status => show(scene, storage, call, &id, status),
    };
    answer.location = behaviour.location.then(|| location(scene, call.kind, &id));
    Ok(answer)
}

/// The id that follows from the document, where ids do.
fn named_id(scene: Scene<'_>, kind: ResourceKind, document: &Map<String, Value>) -> Option<String> {
    let from = match scene.behaviour.id {
        IdSource::Random => None,
        IdSource::ExternalId => document.get("externalId"),
        IdSource::Name => document.get(kind.naming_attribute()),
    };
    from.and_then(Value::as_str).map(str::to_owned)
}

fn check_unique(
    scene: Scene<'_>,
    storage: &Storage,
    kind: ResourceKind,
    document: &Map<String, Value>,
    own: Option<&str>,
) -> Result<(), Refusal> {
    let naming = kind.naming_attribute();
    let table = storage.table(kind);
    let taken = |name: &str| table.ids_named(name).any(|other| Some(other) != own);
    let unique = kind == ResourceKind::User || scene.behaviour.unique_group_names;
    if unique && document.get(naming).and_then(Value::as_str).is_some_and(taken) {
        return Err(Refusal::new(409, Some("uniqueness"), format!("`{naming}` is taken")));
    }
    let Some(id) = named_id(scene, kind, document) else { return Ok(()) };
    if Some(id.as_str()) != own && table.contains(&id) {
        return Err(Refusal::new(409, Some("uniqueness"), "`id` is taken"));
    }
    Ok(())
}

fn replace(scene: Scene<'_>, storage: &mut Storage, call: &mut Call, id: &str) -> Result<Answer, Refusal> {
    let body = call.take_body()?;
    match body.get("id").and_then(Value::as_str) {
        None if scene.behaviour.put_needs_id => return Err(Refusal::bad("invalidValue", "`id` is required")),
        Some(other) if other != id => return Err(Refusal::bad("mutability", "`id` does not match the path")),
        _ => {}
    }
    let incoming = take_apart(body, call.kind, scene.behaviour)?;
    check_unique(scene, storage, call.kind, &incoming.document, Some(id))?;
    let edits = match call.kind {
        // What a PUT leaves out is cleared (RFC 7644 §3.5.1).
        ResourceKind::Group if !scene.behaviour.put_ignores_members => {
            vec![Edit::Replace(incoming.members.unwrap_or_default())]
        }
        ResourceKind::Group => Vec::new(),
        ResourceKind::User => Vec::new(),
    };
    let edits = members::admit(edits, Some(id), storage, scene.behaviour)?;
    let id = store(scene, storage, call.kind, id, incoming.document);
    members::perform(edits, &id, storage);
    if let Some(password) = incoming.password {
        storage.set_password(&id, password);
    }
    Ok(match scene.behaviour.put_status {
        204 => hide(scene, storage, call, &id),
        status => show(scene, storage, call, &id, status),
    })
}

/// Puts a changed document in the place of the old one; returns the id, which may follow the name.
fn store(
    scene: Scene<'_>,
    storage: &mut Storage,
    kind: ResourceKind,
    id: &str,
    mut document: Map<String, Value>,
) -> String {
    let old = storage.table(kind).get(id).map(|stored| &stored.document);
    if scene.behaviour.group_renames_ignored
        && kind == ResourceKind::Group
        && let Some(name) = old.and_then(|old| old.get("displayName"))
    {
        document.insert("displayName".to_owned(), name.clone());
    }
    let follows = scene.behaviour.id == IdSource::Name;
    let new_id = named_id(scene, kind, &document).filter(|_| follows).unwrap_or_else(|| id.to_owned());
    storage.replace(kind, id, document);
    if new_id != id {
        storage.rename(kind, id, &new_id);
    }
    new_id
}

fn modify(scene: Scene<'_>, storage: &mut Storage, call: &Call, id: &str) -> Result<Answer, Refusal> {
    let body = call.body()?;
    let operations = patch::parse(body)?;
    check_writing(scene, body, &operations)?;
    let allowed = &scene.behaviour.group_patch_attributes;
    if call.kind == ResourceKind::Group && !allowed.is_empty() {
        let foreign = operations.iter().flat_map(touched).find(|name| !allowed.contains(name));
        if let Some(name) = foreign {
            return Err(Refusal::bad("mutability", format!("`{name}` of a group cannot be changed")));
        }
    }
    let stored = storage.table(call.kind).get(id).ok_or_else(|| Refusal::not_found("resource"))?;
    let (document, edits) = match call.kind {
        ResourceKind::User => (patched(stored.document.clone(), &operations)?, Vec::new()),
        ResourceKind::Group => patched_group(scene, storage, stored, &operations)?,
    };
    let incoming = take_apart(document, call.kind, scene.behaviour)?;
    check_unique(scene, storage, call.kind, &incoming.document, Some(id))?;
    let id = store(scene, storage, call.kind, id, incoming.document);
    members::perform(edits, &id, storage);
    if let Some(password) = incoming.password {
        storage.set_password(&id, password);
    }
    let body = match (scene.behaviour.patch_body, call.kind) {
        (PatchBody::Always, _) | (PatchBody::UsersOnly, ResourceKind::User) => true,
        (PatchBody::UsersOnly, ResourceKind::Group) => call.projection.asks_for_some(),
        (PatchBody::Never, _) => false,
    };
    let mut answer = if body { show(scene, storage, call, &id, 200) } else { hide(scene, storage, call, &id) };
    answer.operations = operations.len();
    Ok(answer)
}

fn patched(mut document: Map<String, Value>, operations: &[Operation]) -> Result<Map<String, Value>, Refusal> {
    operations.iter().try_for_each(|operation| patch::apply(&mut document, operation))?;
    Ok(document)
}

fn patched_group(
    scene: Scene<'_>,
    storage: &Storage,
    stored: &Stored,
    operations: &[Operation],
) -> Result<(Map<String, Value>, Vec<Edit>), Refusal> {
    let (document, edits) = match members::split(operations) {
        Some((edits, rest)) => {
            members::check_habits(operations, &edits, scene.behaviour)?;
            (patched(stored.document.clone(), &rest)?, edits)
        }
        None => {
            let Value::Object(whole) = truth(ResourceKind::Group, stored) else {
                return Err(Refusal::not_found("group"));
            };
            let mut document = patched(whole, operations)?;
            let members = document.shift_remove("members").and_then(|value| value.as_array().cloned());
            (document, vec![Edit::Replace(members.unwrap_or_default())])
        }
    };
    Ok((document, members::admit(edits, Some(&stored.id), storage, scene.behaviour)?))
}

/// Whether this provider understands how the operations are written.
fn check_writing(scene: Scene<'_>, body: &Map<String, Value>, operations: &[Operation]) -> Result<(), Refusal> {
    let behaviour = scene.behaviour;
    let words = super::attributes::get(body, "Operations").and_then(Value::as_array).into_iter().flatten();
    for op in words.filter_map(|operation| operation.get("op").and_then(Value::as_str)) {
        let lower = op.bytes().all(|byte| byte.is_ascii_lowercase());
        let capital = op.starts_with(|first: char| first.is_ascii_uppercase());
        if behaviour.op_case == OpCase::Lower && !lower || behaviour.op_case == OpCase::Capitalised && !capital {
            return Err(Refusal::bad("invalidSyntax", format!("`op` `{op}` is not known")));
        }
    }
    for operation in operations {
        let refused = match behaviour.patch_paths {
            PatchPaths::Any => false,
            PatchPaths::Required => operation.path.is_none(),
            PatchPaths::Pathless => operation.path.is_some(),
            PatchPaths::PathlessAttributes => operation.path.is_some() && touched(operation) != ["members"],
        };
        if refused {
            return Err(Refusal::bad("invalidPath", "operations are not understood in this form"));
        }
        if let Some(name) = refused_attribute(operation, &behaviour.attributes_refused) {
            return Err(Refusal::bad("invalidPath", format!("`{name}` cannot be changed")));
        }
        if touched(operation).iter().any(|name| ["id", "meta", "groups"].contains(&name.as_str())) {
            return Err(Refusal::bad("mutability", "a read-only attribute cannot be changed"));
        }
    }
    Ok(())
}

fn refused_attribute(operation: &Operation, refused: &[String]) -> Option<String> {
    touched(operation).into_iter().find(|name| refused.iter().any(|one| one.eq_ignore_ascii_case(name)))
}

/// Names of the attributes that an operation is about.
fn touched(operation: &Operation) -> Vec<String> {
    match &operation.path {
        Some(PatchPath::Attr(path)) => vec![path.name.clone()],
        Some(PatchPath::Value(path)) => vec![path.attr.name.clone()],
        None => operation.value.as_ref().and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect(),
    }
}

fn delete(scene: Scene<'_>, storage: &mut Storage, kind: ResourceKind, id: &str) -> Result<Answer, Refusal> {
    match (kind, scene.behaviour.delete_users) {
        (ResourceKind::User, DeleteUsers::Refused) => {
            return Err(Refusal::new(405, None, "users are deactivated, not deleted"));
        }
        (ResourceKind::User, DeleteUsers::Deactivate) => {
            if let Some(stored) = storage.table(kind).get(id) {
                let mut document = stored.document.clone();
                document.insert("active".to_owned(), false.into());
                storage.replace(kind, id, document);
            }
        }
        _ => {
            storage.remove(kind, id);
        }
    }
    Ok(Answer::new(204, Payload::Nothing))
}
