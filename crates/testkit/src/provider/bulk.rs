//! `/Bulk` (RFC 7644 §3.7): operations in one request, with references by `bulkId`.

use std::collections::HashMap;

use scimfleet_core::ResourceKind;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Payload, Refusal, error_body};
use super::attributes::get;
use super::render::{Projection, Scene};
use super::resources::{Call, operate};
use super::storage::Storage;

const REFERENCE: &str = "bulkId:";

/// Carries out all operations; those that refer to a later one wait for it.
pub(crate) fn bulk(
    scene: Scene<'_>,
    storage: &mut Storage,
    body: &Map<String, Value>,
    bytes: usize,
) -> Result<Answer, Refusal> {
    let behaviour = scene.behaviour;
    if bytes > behaviour.bulk_payload_bytes_max {
        return Err(Refusal::new(413, None, format!("more than {} bytes", behaviour.bulk_payload_bytes_max)));
    }
    let operations = get(body, "Operations")
        .and_then(Value::as_array)
        .ok_or_else(|| Refusal::bad("invalidSyntax", "a bulk request needs `Operations`"))?;
    if operations.len() > behaviour.bulk_operations_max {
        return Err(Refusal::new(413, None, format!("more than {} operations", behaviour.bulk_operations_max)));
    }
    let errors_max = get(body, "failOnErrors").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let results = Batch { scene, made: HashMap::new(), errors: 0, errors_max }.run(storage, operations);
    let mut answer = Answer::scim(
        200,
        json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"], "Operations": results }),
    );
    answer.operations = operations.len();
    Ok(answer)
}

struct Batch<'a> {
    scene: Scene<'a>,
    made: HashMap<String, String>,
    errors: u64,
    errors_max: u64,
}

impl Batch<'_> {
    fn run(&mut self, storage: &mut Storage, operations: &[Value]) -> Vec<Value> {
        let mut results: Vec<Option<Value>> = vec![None; operations.len()];
        let mut waiting: Vec<usize> = (0..operations.len()).collect();
        loop {
            let before = waiting.len();
            waiting.retain(|index| {
                if self.errors >= self.errors_max {
                    return true;
                }
                let Some(resolved) = self.resolve(&operations[*index]) else { return true };
                results[*index] = Some(self.perform(storage, &resolved));
                false
            });
            if waiting.is_empty() || waiting.len() == before || self.errors >= self.errors_max {
                break;
            }
        }
        // Past the allowed errors nothing more is done or told; before, what still waits never can.
        if self.errors < self.errors_max {
            for index in waiting {
                let refusal = Refusal::new(409, Some("invalidValue"), "a `bulkId` cannot be resolved");
                results[index] = Some(self.failed(&operations[index], &refusal));
            }
        }
        results.into_iter().flatten().collect()
    }

    /// The operation with references filled in; `None` while one of them is not made yet.
    fn resolve(&self, value: &Value) -> Option<Value> {
        if !self.scene.behaviour.bulk_ids_resolved {
            return Some(value.clone());
        }
        Some(match value {
            Value::String(text) => match text.split_once(REFERENCE) {
                Some((before, reference)) => format!("{before}{}", self.made.get(reference)?).into(),
                None => value.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.resolve(item)).collect::<Option<Vec<_>>>()?.into(),
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, value)| self.resolve(value).map(|value| (name.clone(), value)))
                    .collect::<Option<_>>()?,
            ),
            other => other.clone(),
        })
    }

    fn perform(&mut self, storage: &mut Storage, operation: &Value) -> Value {
        let outcome = call_of(operation).and_then(|mut call| operate(self.scene, storage, &mut call));
        let answer = match outcome {
            Ok(answer) => answer,
            Err(refusal) => return self.failed(operation, &refusal),
        };
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        if let (Some(bulk_id), Some(id)) = (text("bulkId"), &answer.object) {
            self.made.insert(bulk_id.to_owned(), id.clone());
        }
        let mut result = head(operation);
        result["status"] = answer.status.to_string().into();
        let path = text("path").unwrap_or_default();
        let location =
            answer.location.or_else(|| (text("method") != Some("POST")).then(|| format!("{}{path}", self.scene.base)));
        for (name, value) in [("location", location), ("version", answer.etag)] {
            if let Some(value) = value {
                result[name] = value.into();
            }
        }
        if let (Payload::Resource(body), true) = (answer.payload, text("method") == Some("GET")) {
            result["response"] = serde_json::from_str(&body).unwrap_or_default();
        }
        result
    }

    fn failed(&mut self, operation: &Value, refusal: &Refusal) -> Value {
        self.errors += 1;
        let mut result = head(operation);
        result["status"] = refusal.status.to_string().into();
        result["response"] = error_body(refusal, self.scene.behaviour);
        result
    }
}

/// What a result repeats of its operation.
fn head(operation: &Value) -> Value {
    let repeated = ["method", "bulkId"]
        .into_iter()
        .filter_map(|name| operation.get(name).map(|value| (name.to_owned(), value.clone())));
    Value::Object(repeated.collect())
}

fn call_of(operation: &Value) -> Result<Call, Refusal> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let path = text("path").unwrap_or_default();
    let mut segments = path.trim_start_matches('/').splitn(2, '/');
    let kind = match segments.next() {
        Some("Users") => ResourceKind::User,
        Some("Groups") => ResourceKind::Group,
        _ => return Err(Refusal::bad("invalidPath", format!("path `{path}` is not known"))),
    };
    Ok(Call {
        method: text("method").unwrap_or_default().to_ascii_uppercase(),
        kind,
        id: segments.next().map(super::uri::decode),
        if_match: text("version").map(str::to_owned),
        if_none_match: None,
        body: operation.get("data").and_then(Value::as_object).cloned(),
        projection: Projection::default(),
    })
}
