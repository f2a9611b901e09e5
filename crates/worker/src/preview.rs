//! Previews: what would be sent, and why. Reads the directory and, for a whole dry run, the provider's
//! listing; writes nothing anywhere.

use std::collections::{HashMap, HashSet};

use scimfleet_core::adoption::{Account, Judgement, Wish, judge};
use scimfleet_core::plan::{Change, Leaving, Operation, Plan, Standing, leaver_action, plan_away, plan_wanted};
use scimfleet_core::ports::Coordination;
pub use scimfleet_core::preview::{Contribution, DryRun, Planned, Preview};
use scimfleet_core::profile::NestedGroups;
use scimfleet_core::provider::OnInvalid;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::resource::fold;
use scimfleet_core::state::Ownership;
use scimfleet_core::{RemoteId, ResourceId, ResourceKind};
use scimfleet_expression::{Evaluator, MappingResult};
use scimfleet_scim_client::{Lister, Listing, Projection};
use scimfleet_store::{LinkRow, MemberRow, ResourceRow, Store};
use serde_json::{Value, json};

use crate::desire::{Desire, DesireError, Desired, desires, evaluate};
use crate::listing::Reader;
use crate::provider::{Provider, ProviderError};
use crate::task::lookup::account_of;

/// Objects looked at in one go.
const PAGE: i64 = 100;

/// Why nothing can be previewed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PreviewError(String);

macro_rules! preview_error_from {
    ($($error:ty),+) => {
        $(impl From<$error> for PreviewError {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        })+
    };
}
preview_error_from!(DesireError, ProviderError, scimfleet_store::StoreError, scimfleet_scim_client::ScimError);

/// Previews one object that is in scope.
pub async fn preview(
    store: &Store,
    evaluator: &Evaluator,
    provider: &Provider,
    resource: &ResourceRow,
    link: Option<&LinkRow>,
) -> Result<Preview, PreviewError> {
    let kind = resource.kind;
    let rows = &[resource];
    let results = evaluate(store, evaluator, provider, kind, rows).await?;
    let results = results.into_iter().next().map(|one| one.results).unwrap_or_default();
    let mappings = provider
        .expressions(kind)
        .iter()
        .zip(&results)
        .map(|(expression, result)| contribution(&expression.name, result))
        .collect();
    let desire = desires(store, evaluator, provider, kind, rows).await?.into_iter().next();
    let mut preview = Preview {
        mappings,
        merged: None,
        invalid: None,
        warnings: json!([]),
        operation: "nothing".to_owned(),
        changes: Vec::new(),
        requests: Vec::new(),
    };
    match desire {
        Some(Desire::Wanted(mut desired)) => {
            let stands = Stands::of(link);
            desired.pin(stands.pinned());
            let settings = &provider.row.settings;
            let plan = plan_wanted(kind, &desired.document, stands.standing(), settings.leavers, &provider.profile);
            preview.requests = requests(kind, stands.remote_id.as_ref(), &plan);
            preview.operation = plan.operation.word().to_owned();
            preview.changes = plan.changes;
            preview.warnings = json!(desired.warnings);
            preview.merged = Some(desired.document);
        }
        Some(Desire::Invalid(data)) => preview.invalid = Some(data),
        Some(Desire::Skip) | None => {}
    }
    Ok(preview)
}

fn contribution(mapping: &str, result: &MappingResult) -> Contribution {
    let (payload, remark) = match result {
        MappingResult::Payload(document) => (Value::Object(document.clone()), None),
        MappingResult::Nothing => (Value::Null, None),
        MappingResult::Skip => (Value::Null, Some("skip: the account is left as it is".to_owned())),
        MappingResult::Failed(error) => (Value::Null, Some(error.to_string())),
    };
    Contribution { mapping: mapping.to_owned(), payload, remark }
}

/// The requests that a plan means.
fn requests(kind: ResourceKind, account: Option<&RemoteId>, plan: &Plan) -> Vec<Value> {
    let path = match account {
        Some(account) => format!("{}/{account}", kind.endpoint()),
        None => kind.endpoint().to_owned(),
    };
    let request = |method: &str, body: Value| vec![json!({ "method": method, "path": path, "body": body })];
    match &plan.operation {
        Operation::Create { document } => request("POST", Value::Object(document.clone())),
        Operation::Replace { document } => request("PUT", Value::Object(document.clone())),
        Operation::Patch { operations } | Operation::Deactivate { operations, .. } => {
            request("PATCH", json!({ "Operations": operations }))
        }
        Operation::Delete => request("DELETE", Value::Null),
        Operation::Nothing(_) => Vec::new(),
    }
}

/// What a link says of the account, owned.
#[derive(Default)]
struct Stands {
    remote_id: Option<RemoteId>,
    ownership: Option<Ownership>,
    baseline: Option<Document>,
    sent_digest: Option<String>,
}

impl Stands {
    fn of(link: Option<&LinkRow>) -> Self {
        let Some(link) = link else { return Self::default() };
        Self {
            remote_id: link.remote_id.clone(),
            ownership: link.ownership,
            baseline: link.sent_document.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            sent_digest: link.sent_digest.clone(),
        }
    }

    /// What was sent to an account that is there.
    fn pinned(&self) -> Option<&Document> {
        self.baseline.as_ref().filter(|_| self.remote_id.is_some())
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            remote_id: self.remote_id.as_ref(),
            ownership: self.ownership,
            baseline: self.baseline.as_ref(),
            sent_digest: self.sent_digest.as_deref(),
        }
    }
}

/// Plans a whole sync. What is read of the provider waits for its turn, which `coordination` gives. `wanted`: the
/// objects in scope, judged by the caller. `looked_at` hears of every page how
/// many objects it had.
pub async fn dry_run(
    store: &Store,
    evaluator: &Evaluator,
    provider: &Provider,
    coordination: &dyn Coordination,
    wanted: &HashSet<ResourceId>,
    planned_max: usize,
    looked_at: &(dyn Fn(u64) + Send + Sync),
) -> Result<DryRun, PreviewError> {
    let mut dry = DryRun { planned_max, ..DryRun::default() };
    let reader = Reader::new(provider, coordination);
    for kind in [ResourceKind::User, ResourceKind::Group] {
        let strangers = Strangers::list(store, &reader, kind, &mut dry.reads).await?;
        let mut after: Option<ResourceId> = None;
        loop {
            let rows = store.resources_after(kind, after.as_ref(), PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id.clone());
            looked_at(rows.len() as u64);
            let (inside, outside): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| wanted.contains(&row.id));
            plan_page(store, evaluator, provider, kind, &inside, (&strangers, wanted), &mut dry).await?;
            if dry.stopped.is_some() {
                return Ok(dry);
            }
            let outside: Vec<_> = outside.into_iter().map(|row| (row, Leaving::OutOfScope)).collect();
            plan_leavers(store, provider, &outside, &mut dry).await?;
        }
    }
    plan_deleted(store, provider, &mut dry).await?;
    Ok(dry)
}

async fn plan_page(
    store: &Store,
    evaluator: &Evaluator,
    provider: &Provider,
    kind: ResourceKind,
    rows: &[ResourceRow],
    (strangers, wanted): (&Strangers, &HashSet<ResourceId>),
    dry: &mut DryRun,
) -> Result<(), PreviewError> {
    let ids: Vec<ResourceId> = rows.iter().map(|row| row.id.clone()).collect();
    let links = links_by_id(store, provider, &ids).await?;
    let members =
        if kind == ResourceKind::Group { members(store, provider, &ids, wanted).await? } else { HashMap::new() };
    let borrowed: Vec<&ResourceRow> = rows.iter().collect();
    for (row, desire) in rows.iter().zip(desires(store, evaluator, provider, kind, &borrowed).await?) {
        let link = links.get(&row.id);
        match desire {
            Desire::Wanted(mut desired) => {
                desired.pin(Stands::of(link).pinned());
                plan_one(provider, row, link, &desired, members.get(&row.id), strangers, dry);
            }
            Desire::Skip => dry.unchanged += 1,
            Desire::Invalid(data) if provider.row.settings.on_invalid == OnInvalid::Stop => {
                dry.stopped = Some((row.name().to_owned(), data));
                return Ok(());
            }
            Desire::Invalid(data) => dry.parked.push((row.name().to_owned(), data.message)),
        }
    }
    Ok(())
}

async fn links_by_id(
    store: &Store,
    provider: &Provider,
    ids: &[ResourceId],
) -> Result<HashMap<ResourceId, LinkRow>, PreviewError> {
    let links = store.links_at(provider.row.id, ids).await?;
    Ok(links.into_iter().map(|link| (link.resource_id.clone(), link)).collect())
}

/// How many members each group lacks and has too many.
async fn members(
    store: &Store,
    provider: &Provider,
    groups: &[ResourceId],
    wanted: &HashSet<ResourceId>,
) -> Result<HashMap<ResourceId, (usize, usize)>, PreviewError> {
    let delta = match provider.profile.nested_groups {
        NestedGroups::Flatten => store.flattened_delta(provider.row.id, groups).await?,
        NestedGroups::Members | NestedGroups::Omit => store.membership_delta(provider.row.id, groups).await?,
    };
    let mut counts: HashMap<ResourceId, (usize, usize)> = HashMap::new();
    let omits = provider.profile.nested_groups == NestedGroups::Omit;
    let comes = |row: &MemberRow| {
        let nobody = row.inactive && row.kind == ResourceKind::User && row.remote_id.is_none();
        wanted.contains(&row.member_id) && !nobody && !(omits && row.kind == ResourceKind::Group)
    };
    for row in delta.missing.into_iter().filter(comes) {
        counts.entry(row.group_id).or_default().0 += 1;
    }
    for (group, _, _) in delta.surplus {
        counts.entry(group).or_default().1 += 1;
    }
    Ok(counts)
}

fn plan_one(
    provider: &Provider,
    row: &ResourceRow,
    link: Option<&LinkRow>,
    desired: &Desired,
    members: Option<&(usize, usize)>,
    strangers: &Strangers,
    dry: &mut DryRun,
) {
    let settings = &provider.row.settings;
    let mut stands = Stands::of(link);
    let mut adopted = false;
    if stands.remote_id.is_none() {
        match strangers.judge(provider, row.kind, &desired.document) {
            Judgement::Nobody => {}
            Judgement::Take(account) => {
                stands.baseline = strangers.documents.get(&account).cloned();
                stands.ownership = Some(Ownership::Adopted);
                stands.remote_id = Some(account);
                adopted = true;
            }
            Judgement::Conflict(words) | Judgement::Owned { words, .. } => {
                return dry.parked.push((row.name().to_owned(), words));
            }
        }
    }
    let plan = plan_wanted(row.kind, &desired.document, stands.standing(), settings.leavers, &provider.profile);
    let idle = matches!(plan.operation, Operation::Nothing(_));
    let mut operation = plan.operation.word();
    let mut changes = plan.changes;
    if let Some((add, remove)) = members
        && (!idle || stands.remote_id.is_some())
    {
        changes.push(Change {
            path: "members".to_owned(),
            from: None,
            to: Some(json!({ "add": add, "remove": remove })),
        });
        if idle {
            operation = "patch";
        }
    }
    if adopted {
        operation = "adopt";
    }
    if operation == "nothing" {
        dry.unchanged += 1;
        return;
    }
    dry.note(Planned {
        operation: operation.to_owned(),
        kind: row.kind,
        object: row.id.clone(),
        name: row.name().to_owned(),
        remote_id: stands.remote_id,
        changes,
    });
}

async fn plan_leavers(
    store: &Store,
    provider: &Provider,
    rows: &[(ResourceRow, Leaving)],
    dry: &mut DryRun,
) -> Result<(), PreviewError> {
    let ids: Vec<ResourceId> = rows.iter().map(|(row, _)| row.id.clone()).collect();
    let links = links_by_id(store, provider, &ids).await?;
    let settings = &provider.row.settings;
    for (row, leaving) in rows {
        let stands = Stands::of(links.get(&row.id));
        let action = leaver_action(row.kind, *leaving, stands.ownership, settings.leavers, settings.delete_adopted);
        let plan = plan_away(row.kind, action, stands.standing(), &provider.profile);
        if !matches!(plan.operation, Operation::Nothing(_)) {
            dry.note(Planned {
                operation: plan.operation.word().to_owned(),
                kind: row.kind,
                object: row.id.clone(),
                name: row.name().to_owned(),
                remote_id: stands.remote_id,
                changes: plan.changes,
            });
        } else if stands.remote_id.is_some() {
            dry.kept += 1;
        }
    }
    Ok(())
}

/// Accounts of what was deleted from the directory.
async fn plan_deleted(store: &Store, provider: &Provider, dry: &mut DryRun) -> Result<(), PreviewError> {
    let mut after: Option<ResourceId> = None;
    loop {
        let links = store.links(provider.row.id, None, after.as_ref(), PAGE).await?;
        let Some(last) = links.last() else { return Ok(()) };
        after = Some(last.resource_id.clone());
        let ids: Vec<ResourceId> =
            links.iter().filter(|link| link.remote_id.is_some()).map(|link| link.resource_id.clone()).collect();
        let rows = store.resources(&ids).await?;
        let deleted: Vec<_> = rows.into_iter().filter(|row| row.deleted).map(|row| (row, Leaving::Deleted)).collect();
        plan_leavers(store, provider, &deleted, dry).await?;
    }
}

/// Accounts at the provider that no link names.
struct Strangers {
    accounts: HashMap<String, Vec<Account>>,
    documents: HashMap<RemoteId, Document>,
}

impl Strangers {
    async fn list(
        store: &Store,
        reader: &Reader<'_>,
        kind: ResourceKind,
        reads: &mut u64,
    ) -> Result<Self, PreviewError> {
        let provider = reader.provider;
        let mut strangers = Self { accounts: HashMap::new(), documents: HashMap::new() };
        if kind == ResourceKind::Group && !provider.profile.groups {
            return Ok(strangers);
        }
        let mut lister = Lister::new(provider.client.clone(), kind);
        while let Some(page) = reader.next_page(&mut lister, kind, Projection::Except("members")).await? {
            *reads += 1;
            for document in page.resources {
                let Some(account) = account_of(kind, &document) else { continue };
                if store.owner_of(provider.row.id, kind, &account.remote_id).await?.is_none() {
                    strangers.documents.insert(account.remote_id.clone(), document);
                    for key in [account.external_id.clone(), account.name_key.clone()].into_iter().flatten() {
                        strangers.accounts.entry(key).or_default().push(account.clone());
                    }
                }
            }
        }
        if let Some(Listing::Incomplete(reason)) = lister.listing() {
            tracing::warn!(kind = %kind, reason = %reason, "the listing is incomplete; some creates may turn out to be adoptions");
        }
        Ok(strangers)
    }

    fn judge(&self, provider: &Provider, kind: ResourceKind, document: &Document) -> Judgement {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let name_key = fold(text(kind.naming_attribute()).unwrap_or_default());
        let external_id = text("externalId");
        let mut accounts: Vec<Account> = Vec::new();
        for key in external_id.into_iter().chain([name_key.as_str()]) {
            for account in self.accounts.get(key).into_iter().flatten() {
                if !accounts.contains(account) {
                    accounts.push(account.clone());
                }
            }
        }
        let settings = &provider.row.settings;
        judge(Wish { external_id, name_key: &name_key }, &accounts, &settings.match_order, settings.adopt)
    }
}
