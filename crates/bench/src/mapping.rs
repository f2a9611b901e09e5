//! What a user costs before anything is sent: evaluation of the mappings, merge, validation, plan and digest,
//! each for itself.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use scimfleet_core::ResourceKind;
use scimfleet_core::mapping::{MappingName, combine, complete_schemas};
use scimfleet_core::plan::{Standing, digest, plan_wanted};
use scimfleet_core::profile::Profile;
use scimfleet_core::provider::Leavers;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::scim::validate::validate;
use scimfleet_expression::{
    Batch, Evaluator, EvaluatorConfig, Expression, MappingResult, ObjectView, ProviderView, default_mappings,
};

use crate::figure::{BenchError, Figure, number, wrong};
use crate::target::sample;

/// What an operator adds to the built-in mapping: an own text, so it always runs in the interpreter.
const CUSTOM: &str =
    "return {\"userType\": user.attributes.get(\"kind\"), \"nickName\": user.name.partition(\" \")[0]}";

pub(crate) async fn measure(users: usize, runs: usize) -> Result<Vec<Figure>, BenchError> {
    let views: Vec<ObjectView<'static>> =
        sample(users, 0).users().enumerate().map(|(index, user)| view(index, user)).collect();
    let [default, _] = default_mappings();
    let custom = Expression { name: "50-custom".to_owned(), kind: ResourceKind::User, source: CUSTOM.into() };
    // A blank more makes it another text.
    let interpreted = Expression { source: format!("{} \n", default.source).into(), ..default.clone() };
    let evaluator = Evaluator::new(EvaluatorConfig::own_program(1)?);
    let mut steps: [(&str, Vec<f64>); 7] = [
        ("evaluate the built-in mapping", Vec::new()),
        ("evaluate the same text in the interpreter", Vec::new()),
        ("evaluate a custom mapping", Vec::new()),
        ("merge", Vec::new()),
        ("validate", Vec::new()),
        ("plan", Vec::new()),
        ("digest", Vec::new()),
    ];
    for round in 0..=runs {
        let (built_in, payloads) = evaluate(&evaluator, &default, &views).await?;
        let (interpreter, same) = evaluate(&evaluator, &interpreted, &views).await?;
        let (own, _) = evaluate(&evaluator, &custom, &views).await?;
        if payloads != same {
            return wrong("the built-in mapping and its text give different payloads");
        }
        let began = Instant::now();
        let merged = payloads.into_iter().map(merge).collect::<Result<Vec<_>, _>>()?;
        let merge_took = began.elapsed();
        let began = Instant::now();
        let valid = merged.iter().filter(|document| is_valid(document)).count();
        let validate_took = began.elapsed();
        let began = Instant::now();
        let creates = merged.iter().filter(|document| plan(document) == "create").count();
        let plan_took = began.elapsed();
        let began = Instant::now();
        let digests = merged.iter().map(digest).filter(|digest| !digest.is_empty()).count();
        let digest_took = began.elapsed();
        if [valid, creates, digests] != [users; 3] {
            return wrong(format!("of {users} users {valid} are valid, {creates} planned as creates"));
        }
        // The first round compiles and warms up.
        if round > 0 {
            let took = [built_in, interpreter, own, merge_took, validate_took, plan_took, digest_took];
            for ((_, samples), took) in steps.iter_mut().zip(took) {
                samples.push(took.as_secs_f64() * 1e6 / number(users));
            }
        }
    }
    Ok(steps.into_iter().map(|(name, samples)| Figure::of(name, "µs/user", samples)).collect())
}

async fn evaluate(
    evaluator: &Evaluator,
    expression: &Expression,
    views: &[ObjectView<'static>],
) -> Result<(Duration, Vec<Document>), BenchError> {
    let (mut took, mut payloads) = (Duration::ZERO, Vec::with_capacity(views.len()));
    for chunk in views.chunks(100) {
        let (expressions, objects) = (vec![expression.clone()], chunk.to_vec());
        let began = Instant::now();
        let results = evaluator.evaluate(Batch { expressions, provider: ProviderView::default(), objects }).await?;
        took += began.elapsed();
        for one in results {
            match one.results.into_iter().next() {
                Some(MappingResult::Payload(payload)) => payloads.push(payload),
                other => return wrong(format!("a user gave no payload: {other:?}")),
            }
        }
    }
    Ok((took, payloads))
}

fn view(index: usize, user: serde_json::Value) -> ObjectView<'static> {
    let document = user.as_object().cloned().unwrap_or_default();
    ObjectView {
        kind: ResourceKind::User,
        id: index.to_string(),
        external_id: document.get("externalId").and_then(|id| id.as_str()).map(str::to_owned),
        document: Cow::Owned(document),
        service_account: false,
        groups: Vec::new(),
    }
}

fn merge(payload: Document) -> Result<Document, BenchError> {
    let mut document = combine(vec![(MappingName::parse("10-user-default")?, payload)]).document;
    complete_schemas(ResourceKind::User, &mut document);
    Ok(document)
}

fn is_valid(document: &Document) -> bool {
    validate(ResourceKind::User, document, SchemaSet::builtin()).is_valid()
}

fn plan(document: &Document) -> &'static str {
    let nobody = Standing { remote_id: None, ownership: None, baseline: None, sent_digest: None };
    plan_wanted(ResourceKind::User, document, nobody, Leavers::default(), &Profile::default()).operation.word()
}
