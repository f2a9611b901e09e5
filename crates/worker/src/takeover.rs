//! Taking links over that another sync kept: each account is confirmed at the provider before it counts, and
//! nothing is written there.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use scimfleet_core::plan::{digest, take_over::baseline};
use scimfleet_core::ports::Coordination;
use scimfleet_core::provider::Adopt;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::path::member;
use scimfleet_core::{RemoteId, ResourceId, ResourceKind};
use scimfleet_expression::Evaluator;
use scimfleet_scim_client::{Projection, ScimError};
use scimfleet_store::{ResourceRow, Store, TakenLink};
use serde::Serialize;
use serde_json::Value;

use crate::desire::{Desire, desires, identity_of};
use crate::listing::Reader;
use crate::preview::PreviewError;
use crate::provider::Provider;

/// Objects evaluated and recorded in one go.
const PAGE: usize = 100;
/// Refused claims that are listed; all are counted.
const REFUSED_SHOWN_MAX: usize = 1000;

/// A link as somebody kept it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// User or group.
    pub kind: ResourceKind,
    /// The object by externalId, name or id.
    pub object: String,
    /// The account.
    pub remote_id: RemoteId,
    /// What the account showed to whoever kept the link.
    pub recorded: Option<Document>,
}

/// What came of claims.
#[derive(Debug, Default, Serialize)]
pub struct TakenOver {
    /// Links recorded as `adopted`.
    pub adopted: u64,
    /// Links that were there already, with this account.
    pub unchanged: u64,
    /// Members that groups were seen to have.
    pub memberships: u64,
    /// Claims that do not count.
    pub refused_count: u64,
    /// The first thousand of them.
    pub refused: Vec<Refused>,
}

/// A claim that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// User or group.
    pub kind: ResourceKind,
    /// The object as it was named.
    pub object: String,
    /// The account.
    pub remote_id: RemoteId,
    /// Why, and what to do.
    pub reason: String,
}

impl TakenOver {
    fn refuse(&mut self, claim: &Claim, reason: impl Into<String>) {
        self.refused_count += 1;
        if self.refused.len() < REFUSED_SHOWN_MAX {
            let (kind, object) = (claim.kind, claim.object.clone());
            self.refused.push(Refused { kind, object, remote_id: claim.remote_id.clone(), reason: reason.into() });
        }
    }
}

/// Confirms claims at the provider and records those that hold: users first, since groups name them. Each read waits
/// for its turn among the requests of all workers.
///
/// # Errors
/// When the provider cannot be asked at all, or the database.
pub async fn take_over(
    store: &Store,
    evaluator: &Evaluator,
    provider: &Provider,
    coordination: &dyn Coordination,
    claims: Vec<Claim>,
) -> Result<TakenOver, PreviewError> {
    let mut taken = TakenOver::default();
    for kind in [ResourceKind::User, ResourceKind::Group] {
        let claims: Vec<Claim> = claims.iter().filter(|claim| claim.kind == kind).cloned().collect();
        if claims.is_empty() {
            continue;
        }
        let work = Work { store, evaluator, provider, kind, reader: Reader::new(provider, coordination) };
        let mut listed = work.list(&claims).await?;
        let claims = work.without_twins(claims, &mut taken);
        for page in claims.chunks(PAGE) {
            work.take(page, &mut listed, &mut taken).await?;
        }
    }
    Ok(taken)
}

struct Work<'a> {
    store: &'a Store,
    evaluator: &'a Evaluator,
    provider: &'a Provider,
    kind: ResourceKind,
    reader: Reader<'a>,
}

impl Work<'_> {
    /// The claimed accounts as the provider lists them. Groups are asked for one by one, for their members.
    async fn list(&self, claims: &[Claim]) -> Result<HashMap<RemoteId, Document>, PreviewError> {
        let mut shown = HashMap::new();
        if self.kind == ResourceKind::Group {
            return Ok(shown);
        }
        let claimed: HashSet<&RemoteId> = claims.iter().map(|claim| &claim.remote_id).collect();
        let note = |document: Document| {
            let id = document.get("id").and_then(Value::as_str).and_then(|id| RemoteId::parse(id).ok());
            if let Some(id) = id.filter(|id| claimed.contains(id)) {
                shown.insert(id, document);
            }
        };
        self.reader.read_all(self.kind, Projection::Default, note).await?;
        Ok(shown)
    }

    /// One account for one object, and the other way round.
    fn without_twins(&self, claims: Vec<Claim>, taken: &mut TakenOver) -> Vec<Claim> {
        let (mut accounts, mut objects) = (HashSet::new(), HashSet::new());
        claims
            .into_iter()
            .filter(|claim| {
                let first = accounts.insert(claim.remote_id.clone()) & objects.insert(claim.object.clone());
                if !first {
                    taken.refuse(claim, "object or account was claimed before in the same list");
                }
                first
            })
            .collect()
    }

    async fn take(
        &self,
        claims: &[Claim],
        listed: &mut HashMap<RemoteId, Document>,
        taken: &mut TakenOver,
    ) -> Result<(), PreviewError> {
        let references: Vec<String> = claims.iter().map(|claim| claim.object.clone()).collect();
        let known = self.store.identify(self.kind, &references).await?;
        let ids: Vec<ResourceId> = known.values().cloned().collect();
        let rows: HashMap<ResourceId, ResourceRow> =
            self.store.resources(&ids).await?.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut found: Vec<(&Claim, &ResourceRow)> = Vec::new();
        for claim in claims {
            match known.get(&claim.object).and_then(|id| rows.get(id)) {
                Some(row) => found.push((claim, row)),
                None => taken.refuse(claim, "the directory has no such object, or more than one; import it first"),
            }
        }
        let free = self.without_linked(found, taken).await?;
        let confirmed = self.confirm(free, listed, taken).await;
        self.record(confirmed, taken).await
    }

    /// Objects that have an account already, and accounts that are another object's.
    async fn without_linked<'c>(
        &self,
        claims: Vec<(&'c Claim, &'c ResourceRow)>,
        taken: &mut TakenOver,
    ) -> Result<Vec<(&'c Claim, &'c ResourceRow)>, PreviewError> {
        let provider = self.provider.row.id;
        let ids: Vec<ResourceId> = claims.iter().map(|(_, row)| row.id.clone()).collect();
        let links = self.store.links_at(provider, &ids).await?;
        let linked: HashMap<&ResourceId, &RemoteId> =
            links.iter().filter_map(|link| Some((&link.resource_id, link.remote_id.as_ref()?))).collect();
        let mut free = Vec::with_capacity(claims.len());
        for (claim, row) in claims {
            match linked.get(&row.id) {
                Some(account) if **account == claim.remote_id => taken.unchanged += 1,
                Some(account) => taken.refuse(claim, format!("the object has the account `{account}` already")),
                None => match self.store.owner_of(provider, self.kind, &claim.remote_id).await? {
                    Some(owner) => taken.refuse(claim, format!("the account belongs to the object `{owner}` already")),
                    None => free.push((claim, row)),
                },
            }
        }
        Ok(free)
    }

    /// What each account shows, listed or asked for by its id; an account that is not there is refused.
    async fn confirm<'c>(
        &self,
        claims: Vec<(&'c Claim, &'c ResourceRow)>,
        listed: &mut HashMap<RemoteId, Document>,
        taken: &mut TakenOver,
    ) -> Vec<(&'c Claim, &'c ResourceRow, Document)> {
        let with_listed: Vec<_> =
            claims.into_iter().map(|(claim, row)| (claim, row, listed.remove(&claim.remote_id))).collect();
        let in_flight = self.provider.row.settings.in_flight.max(1) as usize;
        let answers: Vec<_> = futures::stream::iter(with_listed)
            .map(|(claim, row, shown)| async move {
                match shown {
                    Some(document) => (claim, row, Ok(document)),
                    None => (claim, row, self.ask(&claim.remote_id).await),
                }
            })
            .buffered(in_flight)
            .collect()
            .await;
        let mut confirmed = Vec::with_capacity(answers.len());
        for (claim, row, answer) in answers {
            match answer {
                Ok(document) => confirmed.push((claim, row, document)),
                Err(error) if error.status() == Some(404) => taken.refuse(claim, "the account is not there"),
                Err(error) => taken.refuse(claim, format!("the account could not be confirmed: {error}")),
            }
        }
        confirmed
    }

    async fn ask(&self, account: &RemoteId) -> Result<Document, ScimError> {
        let answer = self.reader.get(self.kind, account).await?;
        Ok(answer.document.unwrap_or_default())
    }

    async fn record(
        &self,
        confirmed: Vec<(&Claim, &ResourceRow, Document)>,
        taken: &mut TakenOver,
    ) -> Result<(), PreviewError> {
        let rows: Vec<ResourceRow> = confirmed.iter().map(|(_, row, _)| (*row).clone()).collect();
        let borrowed: Vec<&ResourceRow> = rows.iter().collect();
        let wishes = desires(self.store, self.evaluator, self.provider, self.kind, &borrowed).await?;
        let mut links = Vec::with_capacity(rows.len());
        let mut members = HashMap::new();
        for ((claim, row, shown), desire) in confirmed.into_iter().zip(wishes) {
            let desired = match desire {
                Desire::Wanted(desired) => desired.document,
                // Whose mappings give nothing now keeps what it has; it is recognised by its own identity.
                Desire::Skip | Desire::Invalid(_) => identity_of(row),
            };
            if let Err(reason) = self.same_identity(&desired, &shown) {
                taken.refuse(claim, reason);
                continue;
            }
            let schemas = &self.provider.schemas;
            let sent = baseline(self.kind, &shown, &desired, claim.recorded.as_ref(), schemas);
            members.insert(row.id.clone(), members_of(&shown));
            links.push(TakenLink {
                resource_id: row.id.clone(),
                kind: self.kind,
                remote_id: claim.remote_id.clone(),
                sent_digest: digest(&sent),
                sent_document: serde_json::to_string(&sent).unwrap_or_default(),
            });
        }
        let recorded = self.store.take_over(self.provider.row.id, &links).await?;
        taken.adopted += recorded.len() as u64;
        if self.kind == ResourceKind::Group {
            for group in &recorded {
                let accounts = members.remove(group).unwrap_or_default();
                taken.memberships += self.store.note_members(self.provider.row.id, group, &accounts).await?;
            }
        }
        Ok(())
    }

    /// An account is never given to a different externalId in silence (R26).
    fn same_identity(&self, desired: &Document, shown: &Document) -> Result<(), String> {
        let text = |document: &Document, name: &str| {
            member(document, name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (ours, theirs) = (text(desired, "externalId"), text(shown, "externalId"));
        match theirs {
            Some(theirs) if Some(&theirs) != ours.as_ref() && self.provider.row.settings.adopt != Adopt::Any => {
                Err(format!(
                    "the account's externalId is `{theirs}`, ours is `{}`; is it another's? (`adopt = \"any\"` takes it all the same)",
                    ours.unwrap_or_default()
                ))
            }
            _ => Ok(()),
        }
    }
}

fn members_of(group: &Document) -> Vec<RemoteId> {
    let values = member(group, "members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    values.iter().filter_map(|one| RemoteId::parse(one.get("value")?.as_str()?).ok()).collect()
}
