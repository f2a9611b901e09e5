//! Filters, as clients of the directory send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::scim::{Document, ResourceKind, filter};
use serde_json::json;

fuzz_target!(|text: &str| {
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
});
