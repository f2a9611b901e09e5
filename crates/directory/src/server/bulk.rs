//! Bulk requests (RFC 7644 §3.7): many requests in one, each of its own transaction. An operation that names
//! another by its `bulkId` comes after it, wherever it stands; when they name one another in a circle, one
//! is created without the names first.

use std::collections::{BTreeSet, HashMap};

use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::{BulkMethod, BulkOperation, BulkRequest, BulkResponse, BulkResult, ScimType};
use scimfleet_core::{ResourceId, ResourceKind};
use serde_json::Value;

use super::answer::{Answer, ScimError};
use super::operate::{Call, Preconditions};
use super::projection::Projection;

const PREFIX: &str = "bulkId:";

/// A bulk request on its way.
struct Bulk<'c> {
    call: &'c Call,
    operations: Vec<BulkOperation>,
    results: Vec<Option<BulkResult>>,
    /// What each `bulkId` has become; `None`: it could not be created.
    ids: HashMap<String, Option<String>>,
    /// Created without the names in its data, which is written once they are known.
    unfinished: Vec<(usize, String)>,
    errors: u64,
}

impl Call {
    pub(super) async fn bulk(&self, body: Document) -> Result<Answer, ScimError> {
        let request = BulkRequest::try_from(Value::Object(body))?;
        let max = self.state.limits.bulk_operations_max;
        if request.operations.len() > max {
            return Err(ScimError::new(413, ScimType::TooMany, format!("more than {max} operations in one request")));
        }
        let errors_max = request.fail_on_errors.filter(|count| *count > 0).unwrap_or(u64::MAX);
        let count = request.operations.len();
        let mut bulk = Bulk {
            call: self,
            operations: request.operations,
            results: vec![None; count],
            ids: HashMap::new(),
            unfinished: Vec::new(),
            errors: 0,
        };
        bulk.check_names()?;
        bulk.run(errors_max).await;
        let operations = bulk.results.into_iter().flatten().collect();
        Ok(Answer::new(200, serde_json::to_value(BulkResponse { operations }).unwrap_or(Value::Null)))
    }
}

impl Bulk<'_> {
    /// "REQUIRED when method is POST", and no two alike.
    fn check_names(&self) -> Result<(), ScimError> {
        let mut seen = BTreeSet::new();
        for operation in self.operations.iter().filter(|operation| operation.method == BulkMethod::Post) {
            match &operation.bulk_id {
                None => return Err(ScimError::bad(ScimType::InvalidSyntax, "a POST has no `bulkId`")),
                Some(name) if !seen.insert(name) => {
                    return Err(ScimError::bad(ScimType::InvalidSyntax, "two operations have the same `bulkId`"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn run(&mut self, errors_max: u64) {
        let mut waiting: Vec<usize> = (0..self.operations.len()).collect();
        while !waiting.is_empty() && self.errors < errors_max {
            let mut still = Vec::new();
            for index in std::mem::take(&mut waiting) {
                if self.errors >= errors_max {
                    return;
                }
                if self.is_ready(index) {
                    self.perform(index).await;
                } else {
                    still.push(index);
                }
            }
            // Nobody can go first: a circle. One is created without what it waits for.
            if let Some(first) = still.iter().position(|index| self.operations[*index].method == BulkMethod::Post)
                && self.is_stuck(&still)
            {
                self.create_bare(still.remove(first)).await;
            }
            waiting = still;
        }
        self.finish(errors_max).await;
    }

    /// Whether everybody that it names is known, or never will be.
    fn is_ready(&self, index: usize) -> bool {
        self.names(index).iter().all(|name| self.ids.contains_key(name) || !self.is_named(name))
    }

    fn is_stuck(&self, waiting: &[usize]) -> bool {
        waiting.iter().all(|index| !self.is_ready(*index))
    }

    fn is_named(&self, name: &str) -> bool {
        self.operations
            .iter()
            .any(|operation| operation.method == BulkMethod::Post && operation.bulk_id.as_deref() == Some(name))
    }

    /// The `bulkId`s that an operation refers to.
    fn names(&self, index: usize) -> BTreeSet<String> {
        let operation = &self.operations[index];
        let mut names = BTreeSet::new();
        collect(&Value::String(operation.path.clone()), &mut names);
        if let Some(data) = &operation.data {
            collect(data, &mut names);
        }
        names
    }

    async fn perform(&mut self, index: usize) {
        let operation = self.operations[index].clone();
        let outcome = match self.resolved(&operation) {
            Ok((path, data)) => self.request(&operation, &path, data).await,
            Err(error) => Err(error),
        };
        self.record(index, outcome);
    }

    /// Path and data with ids in the place of `bulkId`s.
    fn resolved(&self, operation: &BulkOperation) -> Result<(String, Value), ScimError> {
        let mut data = operation.data.clone().unwrap_or(Value::Null);
        let mut path = Value::String(operation.path.clone());
        for value in [&mut data, &mut path] {
            replace(value, &|name| self.ids.get(name).cloned().flatten()).map_err(|name| {
                let detail = format!("no resource was created as `bulkId:{name}`");
                ScimError::new(409, ScimType::InvalidValue, detail)
            })?;
        }
        Ok((path.as_str().unwrap_or_default().to_owned(), data))
    }

    async fn request(&self, operation: &BulkOperation, path: &str, data: Value) -> Result<Answer, ScimError> {
        let (kind, id) = target(path)?;
        let conditions = Preconditions { if_match: operation.version.clone(), if_none_match: None };
        let least = Projection::least();
        match (operation.method, id) {
            (BulkMethod::Post, None) => self.call.create(kind, data, &least).await,
            (BulkMethod::Put, Some(id)) => self.call.replace(kind, &id, data, &conditions, &least).await,
            (BulkMethod::Patch, Some(id)) => self.call.patch(kind, &id, data, &conditions, &least).await,
            (BulkMethod::Delete, Some(id)) => self.call.delete(kind, &id, &conditions).await,
            (BulkMethod::Post, Some(_)) => Err(ScimError::bad(ScimType::InvalidValue, "a POST is for an endpoint")),
            (_, None) => Err(ScimError::bad(ScimType::InvalidValue, "this method is for one resource")),
        }
    }

    fn record(&mut self, index: usize, outcome: Result<Answer, ScimError>) {
        let operation = &self.operations[index];
        let mut result = BulkResult {
            method: Some(operation.method),
            bulk_id: operation.bulk_id.clone(),
            version: None,
            location: None,
            status: None,
            response: None,
        };
        let mut created = None;
        match outcome {
            Ok(answer) => {
                created =
                    answer.body.as_ref().and_then(|body| body.get("id")).and_then(Value::as_str).map(str::to_owned);
                result.status = Some(answer.status);
                result.version = answer.version;
                result.location = answer.location.or_else(|| self.location(operation));
            }
            Err(error) => {
                self.errors += 1;
                result.status = Some(error.status);
                result.location = self.location(operation);
                result.response = Some(error.message());
            }
        }
        if let (BulkMethod::Post, Some(name)) = (operation.method, &operation.bulk_id) {
            self.ids.insert(name.clone(), created);
        }
        self.results[index] = Some(result);
    }

    /// "REQUIRED except in the case of a POST failure".
    fn location(&self, operation: &BulkOperation) -> Option<String> {
        let (path, _) = self.resolved(operation).ok()?;
        (operation.method != BulkMethod::Post).then(|| format!("{}{path}", self.call.base_url))
    }

    async fn create_bare(&mut self, index: usize) {
        let operation = self.operations[index].clone();
        let mut bare = operation.data.clone().unwrap_or(Value::Null);
        strip(&mut bare, &|name| !self.ids.contains_key(name));
        let bare_operation = BulkOperation { data: Some(bare), ..operation.clone() };
        let outcome = match self.resolved(&bare_operation) {
            Ok((path, data)) => self.request(&bare_operation, &path, data).await,
            Err(error) => Err(error),
        };
        self.record(index, outcome);
        if let Some(id) = operation.bulk_id.as_ref().and_then(|name| self.ids.get(name).cloned().flatten()) {
            self.unfinished.push((index, id));
        }
    }

    /// Writes the data of those that were created without the names in it.
    async fn finish(&mut self, errors_max: u64) {
        for (index, id) in std::mem::take(&mut self.unfinished) {
            if self.errors >= errors_max {
                return;
            }
            let operation = self.operations[index].clone();
            let outcome = match self.resolved(&operation).and_then(|(path, data)| Ok((target(&path)?.0, data))) {
                Ok((kind, data)) => match ResourceId::parse(id) {
                    Ok(id) => {
                        let conditions = Preconditions::default();
                        self.call.replace(kind, &id, data, &conditions, &Projection::least()).await
                    }
                    Err(_) => continue,
                },
                Err(error) => Err(error),
            };
            self.record(index, outcome.map(|answer| Answer { status: 201, ..answer }));
        }
    }
}

/// `/Users`, `/Users/42`; with or without the base URL before it.
fn target(path: &str) -> Result<(ResourceKind, Option<ResourceId>), ScimError> {
    let unknown = || ScimError::not_found("the endpoint of a bulk operation");
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let at = segments.iter().rposition(|part| ["Users", "Groups"].contains(part)).ok_or_else(unknown)?;
    let kind = if segments[at] == "Users" { ResourceKind::User } else { ResourceKind::Group };
    match &segments[at + 1..] {
        [] => Ok((kind, None)),
        [id] => {
            let id = super::uri::decode(id).and_then(|id| ResourceId::parse(id).ok());
            Ok((kind, Some(id.ok_or_else(|| ScimError::not_found("the resource"))?)))
        }
        _ => Err(unknown()),
    }
}

/// The name in `bulkId:name`, or in `…/bulkId:name`, and what stands before it.
fn name_in(text: &str) -> Option<(&str, &str)> {
    let at = text.rfind(PREFIX)?;
    let (before, name) = (text.get(..at)?, text.get(at + PREFIX.len()..)?);
    (!name.is_empty() && (before.is_empty() || before.ends_with('/'))).then_some((before, name))
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => names.extend(name_in(text).map(|(_, name)| name.to_owned())),
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(object) => object.values().for_each(|value| collect(value, names)),
        _ => {}
    }
}

/// Puts ids in the place of names; the error is the first name without an id.
fn replace(value: &mut Value, id_of: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
    match value {
        Value::String(text) => {
            if let Some((before, name)) = name_in(text) {
                let id = id_of(name).ok_or_else(|| name.to_owned())?;
                *text = format!("{before}{id}");
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| replace(item, id_of)),
        Value::Object(object) => object.values_mut().try_for_each(|value| replace(value, id_of)),
        _ => Ok(()),
    }
}

/// Takes out every element and attribute that holds a name which is not known yet.
fn strip(value: &mut Value, unknown: &impl Fn(&str) -> bool) {
    let holds = |value: &Value| {
        let mut names = BTreeSet::new();
        collect(value, &mut names);
        names.iter().any(|name| unknown(name))
    };
    match value {
        Value::Array(items) => items.retain(|item| !holds(item)),
        Value::Object(object) => {
            for value in object.values_mut().filter(|value| value.is_array()) {
                strip(value, unknown);
            }
            object.retain(|_, value| !holds(value));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_found_replaced_and_stripped() {
        let data = json!({
            "displayName": "bulkId is a word", "members": [{"value": "bulkId:a"}, {"value": "7"}],
            "manager": {"value": "bulkId:b", "$ref": "../Users/bulkId:b"},
        });
        let mut names = BTreeSet::new();
        collect(&data, &mut names);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        let mut resolved = data.clone();
        replace(&mut resolved, &|name| Some(format!("id-{name}"))).unwrap();
        assert_eq!(resolved["members"][0]["value"], "id-a");
        assert_eq!(resolved["manager"], json!({"value": "id-b", "$ref": "../Users/id-b"}));
        assert_eq!(replace(&mut data.clone(), &|_| None), Err("a".to_owned()));
        let mut bare = data;
        strip(&mut bare, &|name| name == "b");
        let members = json!([{"value": "bulkId:a"}, {"value": "7"}]);
        assert_eq!(bare, json!({"displayName": "bulkId is a word", "members": members}));
    }

    #[test]
    fn targets_are_endpoints_or_resources() {
        let check = |path: &str| target(path).map(|(kind, id)| (kind, id.map(String::from)));
        assert_eq!(check("/Users"), Ok((ResourceKind::User, None)));
        assert_eq!(check("Groups/7"), Ok((ResourceKind::Group, Some("7".to_owned()))));
        assert_eq!(check("https://x/scim/v2/Users/7"), Ok((ResourceKind::User, Some("7".to_owned()))));
        assert!(check("/Schemas").is_err() && check("/Users/7/x").is_err());
    }
}
