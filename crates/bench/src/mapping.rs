//! What a user costs before anything is sent: evaluation of the built-in mapping, merge and validation,
//! plan and digest, each for itself.

use std::time::Instant;

use scimfleet_core::ResourceKind;
use scimfleet_core::mapping::{MappingName, combine, complete_schemas};
use scimfleet_core::plan::{Standing, digest, plan_wanted};
use scimfleet_core::profile::Profile;
use scimfleet_core::provider::Leavers;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::scim::validate::validate;
use scimfleet_expression::{
    Batch, Evaluator, EvaluatorConfig, MappingResult, ObjectView, ProviderView, default_mappings,
};

use crate::ceiling::sample;
use crate::figure::{BenchError, Figure, number};

const RUNS: usize = 5;

pub(crate) async fn measure(users: usize) -> Result<Vec<Figure>, BenchError> {
    let views: Vec<ObjectView> = sample(users).users().enumerate().map(|(index, user)| view(index, user)).collect();
    let [default, _] = default_mappings();
    let evaluator = Evaluator::new(EvaluatorConfig::own_program(1)?);
    let (mut evaluation, mut merging, mut planning) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let began = Instant::now();
        let mut payloads: Vec<Document> = Vec::with_capacity(users);
        for chunk in views.chunks(100) {
            let batch = Batch {
                expressions: vec![default.clone()],
                provider: ProviderView::default(),
                objects: chunk.to_vec(),
            };
            for one in evaluator.evaluate(batch).await? {
                match one.results.into_iter().next() {
                    Some(MappingResult::Payload(payload)) => payloads.push(payload),
                    other => return Err(BenchError(format!("a user gave no payload: {other:?}"))),
                }
            }
        }
        let evaluated = began.elapsed();
        let began = Instant::now();
        let desired = payloads.into_iter().map(merge).collect::<Result<Vec<_>, _>>()?;
        let merged = began.elapsed();
        let began = Instant::now();
        let creates = desired.iter().filter(|document| plan(document) == "create").count();
        let planned = began.elapsed();
        if creates != users {
            return Err(BenchError(format!("{creates} of {users} users were planned as creates")));
        }
        // The first round compiles and warms up.
        if round > 0 {
            let per_user = |took: std::time::Duration| took.as_secs_f64() * 1e6 / number(users);
            evaluation.push(per_user(evaluated));
            merging.push(per_user(merged));
            planning.push(per_user(planned));
        }
    }
    Ok(vec![
        Figure::of("evaluate the built-in mapping", "µs/user", evaluation),
        Figure::of("merge and validate", "µs/user", merging),
        Figure::of("plan and digest", "µs/user", planning),
    ])
}

fn view(index: usize, user: serde_json::Value) -> ObjectView {
    let document = user.as_object().cloned().unwrap_or_default();
    ObjectView {
        kind: ResourceKind::User,
        id: index.to_string(),
        external_id: document.get("externalId").and_then(|id| id.as_str()).map(str::to_owned),
        document,
        service_account: false,
        groups: Vec::new(),
    }
}

fn merge(payload: Document) -> Result<Document, BenchError> {
    let mut document = combine(vec![(MappingName::parse("10-user-default")?, payload)]).document;
    complete_schemas(ResourceKind::User, &mut document);
    let report = validate(ResourceKind::User, &document, SchemaSet::builtin());
    if report.is_valid() { Ok(document) } else { Err(BenchError(format!("invalid: {:?}", report.violations))) }
}

fn plan(document: &Document) -> &'static str {
    let nobody = Standing { remote_id: None, ownership: None, baseline: None, sent_digest: None };
    let plan = plan_wanted(ResourceKind::User, document, nobody, Leavers::default(), &Profile::default());
    if digest(document).is_empty() { "" } else { plan.operation.word() }
}
