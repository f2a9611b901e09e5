//! What hostile input is read by, one function for each door. The fuzzer calls them without end, and
//! `crates/directory/tests/hostile_input.rs` in every run of the tests. They panic where a promise is broken.

use scimfleet_core::RemoteId;
use scimfleet_core::plan::{Operation, Standing, digest, lists, operations, plan_wanted, spoken};
use scimfleet_core::profile::Profile;
use scimfleet_core::provider::Leavers;
use scimfleet_core::scim::message::{
    BulkResponse, ErrorMessage, ListResponse, PatchRequest, ResourceType, ServiceProviderConfig,
};
use scimfleet_core::scim::patch::Patch;
use scimfleet_core::scim::path::AttributePath;
use scimfleet_core::scim::schema::{Schema, SchemaSet};
use scimfleet_core::scim::{Document, ResourceKind, filter};
use scimfleet_core::state::Ownership;
use scimfleet_core::task::{Job, Task};
use scimfleet_runtime::fleet::{Fleet, FleetContext};
use serde_json::{Value, json};

/// What a provider answers, read as everything that it may be read as, and planned against.
pub fn answers(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let _ = ListResponse::try_from(value.clone());
    let _ = ErrorMessage::try_from(value.clone());
    let _ = BulkResponse::try_from(value.clone());
    let _ = ResourceType::try_from(value.clone());
    let _ = ServiceProviderConfig::try_from(value.clone());
    if let Ok(schema) = Schema::try_from(value.clone()) {
        let _ = SchemaSet::with_announced(vec![schema], true);
    }
    if let Value::Object(shown) = value {
        adopt(&shown);
    }
}

/// An account that shows anything is never deleted or turned off by being looked at.
fn adopt(shown: &Document) {
    let Ok(id) = RemoteId::parse("r1") else { return };
    let desired: Document = [
        ("userName".to_owned(), json!("anna")),
        ("active".to_owned(), json!(true)),
        ("emails".to_owned(), json!([{"value": "a@x", "type": "work", "primary": true}])),
    ]
    .into_iter()
    .collect();
    let profile = Profile::default();
    for sent in [None, Some(digest(&desired))] {
        let standing = Standing {
            remote_id: Some(&id),
            ownership: Some(Ownership::Adopted),
            baseline: Some(shown),
            sent_digest: sent.as_deref(),
        };
        let plan = plan_wanted(ResourceKind::User, &desired, standing, Leavers::default(), &profile);
        assert!(!matches!(plan.operation, Operation::Delete | Operation::Deactivate { .. } | Operation::Create { .. }));
        let asked = operations(&plan.changes, &profile, Some(shown));
        let _ = spoken(&asked, &profile);
    }
    let _ = lists::with_others(&desired, shown, shown, &profile);
}

/// Filters, as clients of the directory send them.
pub fn filters(text: &str) {
    let schemas = SchemaSet::builtin();
    let document: Document = [
        ("userName".to_owned(), json!("anna")),
        ("emails".to_owned(), json!([{"value": "a@x", "primary": true}])),
        ("meta".to_owned(), json!({"lastModified": "2026-01-01T00:00:00Z"})),
    ]
    .into_iter()
    .collect();
    for kind in [ResourceKind::User, ResourceKind::Group] {
        if let Ok(parsed) = filter::parse(kind, text, schemas) {
            let _ = filter::matches(kind, &parsed, &document, schemas);
        }
    }
}

/// PATCH requests and their paths, as clients of the directory send them.
pub fn patch_paths(text: &str) {
    let schemas = SchemaSet::builtin();
    let _ = AttributePath::parse(text, schemas);
    for kind in [ResourceKind::User, ResourceKind::Group] {
        for op in ["add", "replace", "remove"] {
            let request = json!({"Operations": [{"op": op, "path": text, "value": text}]});
            let read = PatchRequest::try_from(request).ok();
            let patch = read.and_then(|request| Patch::read(kind, request, schemas).ok());
            let mut document = Document::from_iter([("userName".to_owned(), Value::from("anna"))]);
            if let Some(patch) = patch {
                let _ = patch.apply(kind, &mut document, schemas);
            }
        }
    }
}

/// Lines of an import file.
pub fn import_lines(bytes: &[u8]) {
    let _ = scimfleet_directory::import::check_line(bytes);
}

/// Messages from the broker: tasks and jobs, also from other programs.
pub fn messages(bytes: &[u8]) {
    if let Ok(task) = Task::decode(bytes) {
        assert_eq!(Task::decode(&task.encode()).ok(), Some(task));
    }
    if let Ok(job) = Job::decode(bytes) {
        assert_eq!(Job::decode(&job.encode()).ok(), Some(job));
    }
}

/// Fleet files.
pub fn fleet_files(text: &str) {
    let _ = Fleet::parse("fleet.toml", text, &FleetContext::default());
}
