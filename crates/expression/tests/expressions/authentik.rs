//! Mappings as people write them for authentik, run unchanged: `tests/authentik/*.py`, each beside the JSON that it
//! must give. `"nothing"` and `"skip"` stand for None and SkipObject, `{"error": …}` for a failure.

use std::path::Path;

use scimfleet_core::ResourceKind;
use scimfleet_expression::{Evaluator, Limits, MappingResult};
use serde_json::{Value, json};

use crate::support::{barbara, evaluator, mapping, one, staff};

#[tokio::test]
async fn authentik_mappings_run_unchanged() {
    let evaluator = evaluator(Limits::default());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authentik");
    let mut count = 0;
    for entry in folder.read_dir().expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "py") {
            run(&evaluator, &path).await;
            count += 1;
        }
    }
    assert!(count >= 30, "only {count} mappings in the corpus");
}

async fn run(evaluator: &Evaluator, path: &Path) {
    let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
    let expected: Value = serde_json::from_str(&read(&path.with_extension("json"))).expect("JSON");
    let (kind, object) = match name.starts_with("group-") {
        true => (ResourceKind::Group, staff()),
        false => (ResourceKind::User, barbara()),
    };
    let expression = mapping(name, kind, &read(path));
    evaluator.check(&expression).await.unwrap_or_else(|error| panic!("{error}"));
    let given = match one(evaluator, expression, object).await {
        MappingResult::Payload(document) => Value::Object(document),
        MappingResult::Nothing => json!("nothing"),
        MappingResult::Skip => json!("skip"),
        MappingResult::Failed(error) if expected.get("error").is_some() => {
            json!({"error": error.kind, "line": error.line, "column": error.column})
        }
        MappingResult::Failed(error) => panic!("{name}: {error}"),
    };
    assert_eq!(given, expected, "{name}");
}
