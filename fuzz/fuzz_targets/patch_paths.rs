//! PATCH requests and their paths, as clients of the directory send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scimfleet_core::scim::message::PatchRequest;
use scimfleet_core::scim::patch::Patch;
use scimfleet_core::scim::path::AttributePath;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::scim::{Document, ResourceKind};
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    let schemas = SchemaSet::builtin();
    let _ = AttributePath::parse(text, schemas);
    for kind in [ResourceKind::User, ResourceKind::Group] {
        for op in ["add", "replace", "remove"] {
            let request = json!({"Operations": [{"op": op, "path": text, "value": text}]});
            let read = PatchRequest::try_from(request).ok().and_then(|request| Patch::read(kind, request, schemas).ok());
            let mut document = Document::from_iter([("userName".to_owned(), Value::from("anna"))]);
            if let Some(patch) = read {
                let _ = patch.apply(kind, &mut document, schemas);
            }
        }
    }
});
