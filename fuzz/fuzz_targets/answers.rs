//! What a provider answers, read as everything that it may be read as, and planned against.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scimfleet_core::plan::{Operation, Standing, digest, lists, plan_wanted, spoken};
use scimfleet_core::profile::Profile;
use scimfleet_core::provider::Leavers;
use scimfleet_core::scim::message::{BulkResponse, ErrorMessage, ListResponse, ResourceType, ServiceProviderConfig};
use scimfleet_core::scim::schema::{Schema, SchemaSet};
use scimfleet_core::scim::{Document, ResourceKind};
use scimfleet_core::state::Ownership;
use scimfleet_core::RemoteId;
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
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
});

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
        let operations = scimfleet_core::plan::operations(&plan.changes, &profile, Some(shown));
        let _ = spoken(&operations, &profile);
    }
    let _ = lists::with_others(&desired, shown, shown, &profile);
}
