//! What a provider should hold: evaluate the mappings, merge, translate references, validate (mission
//! points 9 to 11). Sends nothing.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use scimfleet_core::mapping::{Combined, MappingName, combine, complete_schemas};
use scimfleet_core::outcome::InvalidData;
use scimfleet_core::plan::digest;
use scimfleet_core::profile::shape;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::path::member;
use scimfleet_core::scim::resource::ENTERPRISE_URN;
use scimfleet_core::scim::validate::{Violation, validate};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_expression::{
    Batch, Evaluator, EvaluatorError, Expression, ExpressionError, GroupView, MappingResult, ObjectEvaluation,
    ObjectView,
};
use scimfleet_store::{Referee, ResourceRow, Store, StoreError};
use serde_json::Value;

use crate::provider::Provider;
use crate::referring::{Referring, manager_of, refer_to};

/// What should be sent of one object.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The payload.
    pub document: Document,
    /// Its digest.
    pub digest: String,
    /// Values that the schema does not suggest.
    pub warnings: Vec<Violation>,
    /// Users that it refers to and who have no account there yet.
    pub waits_for: Vec<ResourceId>,
    /// Users that it refers to and who shall have no account there: should one of them get one, it is named.
    pub left_out: Vec<ResourceId>,
    /// The same with whoever has no account there yet.
    pub(crate) referring: Option<Referring>,
}

impl Desired {
    /// An account keeps the externalId that it was last sent: it changes only when somebody says so (R25).
    pub(crate) fn pin(&mut self, sent: Option<&Document>) {
        let Some(pinned) = sent.and_then(|sent| sent.get("externalId")).filter(|value| value.is_string()) else {
            return;
        };
        if self.document.get("externalId").is_some_and(|wanted| wanted != pinned) {
            self.document.insert("externalId".to_owned(), pinned.clone());
            self.digest = digest(&self.document);
        }
    }
}

/// The verdict of the mappings on one object.
#[derive(Debug, Clone)]
pub enum Desire {
    /// This should be there.
    Wanted(Box<Desired>),
    /// `SkipObject`: its account is left as it is (R11).
    Skip,
    /// Its data may not be sent.
    Invalid(InvalidData),
}

/// Why nothing could be evaluated. It is nobody's data that is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DesireError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The evaluator.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
}

/// Evaluates objects of one kind in one round trip; the answers come in their order.
pub(crate) async fn desires(
    store: &Store,
    evaluator: &Evaluator,
    provider: &Provider,
    kind: ResourceKind,
    objects: &[&ResourceRow],
) -> Result<Vec<Desire>, DesireError> {
    let evaluations = evaluate(store, evaluator, provider, kind, objects).await?;
    let mut merged: Vec<Merged> =
        evaluations.into_iter().map(|evaluation| merge_results(provider, kind, evaluation)).collect();
    let referees = referees(store, provider, &merged).await?;
    let judged = merged.drain(..).zip(objects).map(|(merged, row)| judge(provider, row, merged, &referees));
    Ok(judged.collect())
}

/// The raw results, one per expression and object: also for previews.
pub(crate) async fn evaluate(
    store: &Store,
    evaluator: &Evaluator,
    provider: &Provider,
    kind: ResourceKind,
    objects: &[&ResourceRow],
) -> Result<Vec<ObjectEvaluation>, DesireError> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let expressions = provider.expressions(kind).to_vec();
    let reads_groups = kind == ResourceKind::User && expressions.iter().any(Expression::reads_groups);
    let mut groups = if reads_groups { groups_by_user(store, objects).await? } else { HashMap::new() };
    let views = objects
        .iter()
        .map(|row| ObjectView {
            kind,
            id: row.id.to_string(),
            external_id: row.external_id.clone(),
            document: Cow::Borrowed(&row.document),
            service_account: row.service_account,
            groups: groups.remove(&row.id).unwrap_or_default(),
        })
        .collect();
    Ok(evaluator.evaluate(Batch { expressions, provider: provider.view(), objects: views }).await?)
}

async fn groups_by_user(
    store: &Store,
    users: &[&ResourceRow],
) -> Result<HashMap<ResourceId, Vec<GroupView>>, StoreError> {
    let ids: Vec<ResourceId> = users.iter().map(|row| row.id.clone()).collect();
    let mut by_user = HashMap::<ResourceId, Vec<GroupView>>::new();
    for row in store.groups_of(&ids).await? {
        let attributes = row.group.document.get("attributes").and_then(Value::as_object).cloned();
        let view = GroupView {
            id: row.group.id.to_string(),
            external_id: row.group.external_id.clone(),
            display_name: row.group.name().to_owned(),
            attributes: attributes.unwrap_or_default(),
        };
        by_user.entry(row.user_id).or_default().push(view);
    }
    Ok(by_user)
}

/// What an object's account is recognised by, where its mappings give nothing (R25).
pub(crate) fn identity_of(row: &ResourceRow) -> Document {
    let external_id = row.external_id.clone().unwrap_or_else(|| row.id.to_string());
    Document::from_iter([("externalId".to_owned(), Value::from(external_id))])
}

enum Merged {
    Document(Box<Combined>),
    Skip,
    Invalid(InvalidData),
}

fn merge_results(provider: &Provider, kind: ResourceKind, evaluation: ObjectEvaluation) -> Merged {
    let mut parts = Vec::with_capacity(evaluation.results.len());
    for (expression, result) in provider.expressions(kind).iter().zip(evaluation.results) {
        match result {
            MappingResult::Skip => return Merged::Skip,
            MappingResult::Failed(error) => return Merged::Invalid(failed(error)),
            MappingResult::Nothing => {}
            MappingResult::Payload(document) => match MappingName::parse(expression.name.clone()) {
                Ok(name) => parts.push((name, document)),
                Err(error) => return Merged::Invalid(unnamed(&error.to_string())),
            },
        }
    }
    Merged::Document(Box::new(combine(parts)))
}

fn failed(error: ExpressionError) -> InvalidData {
    InvalidData { mapping: Some(error.mapping.clone()), message: error.to_string(), violations: Vec::new() }
}

fn unnamed(message: &str) -> InvalidData {
    InvalidData { mapping: None, message: message.to_owned(), violations: Vec::new() }
}

async fn referees(
    store: &Store,
    provider: &Provider,
    merged: &[Merged],
) -> Result<HashMap<String, Referee>, StoreError> {
    let references: HashSet<String> = merged
        .iter()
        .filter_map(|one| match one {
            Merged::Document(combined) => manager_of(&combined.document).map(str::to_owned),
            _ => None,
        })
        .collect();
    store.referees(provider.row.id, &references.into_iter().collect::<Vec<_>>()).await
}

fn judge(provider: &Provider, row: &ResourceRow, merged: Merged, referees: &HashMap<String, Referee>) -> Desire {
    let kind = row.kind;
    let mut combined = match merged {
        Merged::Document(combined) => combined,
        Merged::Skip => return Desire::Skip,
        Merged::Invalid(data) => return Desire::Invalid(data),
    };
    let mut document = std::mem::take(&mut combined.document);
    // Members are the sync's own (R1): a mapping cannot set them.
    document.shift_remove("members");
    // Passwords travel apart from everything that is kept or shown; no mapping can set one.
    document.retain(|name, _| !name.eq_ignore_ascii_case("password"));
    // What the account is recognised by, unless a mapping says otherwise (R25).
    if member(&document, "externalId").is_none() {
        let external_id = row.external_id.clone().unwrap_or_else(|| row.id.to_string());
        document.insert("externalId".to_owned(), Value::from(external_id));
    }
    let with_manager = may_refer(provider, &document, referees).then(|| document.clone());
    let (waits_for, left_out) = translate_manager(&mut document, referees);
    let violations = complete(provider, kind, &mut document);
    let mut report = validate(kind, &document, &provider.schemas);
    report.violations.extend(violations);
    if !report.is_valid() {
        return Desire::Invalid(invalid(&combined, report.violations));
    }
    let referring =
        waits_for.first().zip(with_manager).and_then(|(to, document)| referring(provider, row, to, document));
    let digest = digest(&document);
    Desire::Wanted(Box::new(Desired { document, digest, warnings: report.warnings, waits_for, left_out, referring }))
}

/// Puts the document into the shape that the provider asks for; gives back what it demands and lacks.
fn complete(provider: &Provider, kind: ResourceKind, document: &mut Document) -> Vec<Violation> {
    let demands = shape(kind, document, &provider.profile, &provider.schemas);
    complete_schemas(kind, document);
    demands
}

/// Whether somebody without an account may be referred to: in a bulk request, where the two may travel together.
fn may_refer(provider: &Provider, document: &Document, referees: &HashMap<String, Referee>) -> bool {
    let referee = manager_of(document).and_then(|reference| referees.get(reference));
    provider.profile.bulk_operations > 1
        && referee.is_some_and(|referee| referee.remote_id.is_none() && referee.expected)
}

fn referring(provider: &Provider, row: &ResourceRow, to: &ResourceId, mut document: Document) -> Option<Referring> {
    // Whoever is their own manager cannot be named before they are there.
    if *to == row.id {
        return None;
    }
    let fits = complete(provider, row.kind, &mut document).is_empty()
        && validate(row.kind, &document, &provider.schemas).is_valid()
        && manager_of(&document).is_some();
    fits.then(|| Referring::to_manager(to.clone(), document))
}

fn invalid(combined: &Combined, violations: Vec<Violation>) -> InvalidData {
    let mapping = violations.iter().find_map(|violation| combined.blame(&violation.path)).map(str::to_owned);
    let listed: Vec<String> =
        violations.iter().take(3).map(|violation| format!("`{}` {}", violation.path, violation.rule)).collect();
    let more = violations.len().saturating_sub(listed.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("the result breaks the SCIM schema: {}{rest}", listed.join(", "));
    InvalidData { mapping, message, violations }
}

/// Puts the manager's account in place of the directory's reference; takes it out while there is none. Returns whom
/// to wait for, and who is left out.
fn translate_manager(
    document: &mut Document,
    referees: &HashMap<String, Referee>,
) -> (Vec<ResourceId>, Vec<ResourceId>) {
    let nobody = || (Vec::new(), Vec::new());
    let Some(referee) = manager_of(document).and_then(|reference| referees.get(reference)) else { return nobody() };
    if let Some(account) = &referee.remote_id {
        refer_to(document, account.as_str());
        return nobody();
    }
    let Some(Value::Object(extension)) = document.get_mut(ENTERPRISE_URN) else { return nobody() };
    extension.shift_remove("manager");
    if extension.is_empty() {
        document.shift_remove(ENTERPRISE_URN);
    }
    let manager = vec![referee.resource_id.clone()];
    if referee.expected { (manager, Vec::new()) } else { (Vec::new(), manager) }
}
