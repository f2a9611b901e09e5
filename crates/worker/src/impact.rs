//! What another text of a mapping would change: evaluates both, sends nothing, writes nothing.

use scimfleet_core::preview::Impact;
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_expression::Evaluator;
use scimfleet_store::{ResourceRow, Store, Wanted};

use crate::desire::{Desire, desires};
use crate::preview::PreviewError;
use crate::provider::Provider;

/// Objects evaluated in one go.
const PAGE: i64 = 500;

/// Compares what `now` and `then` (the same provider with another text) make of the objects in scope, of at
/// the most `limit` of them: somebody waits for the answer.
pub async fn impact(
    store: &Store,
    evaluator: &Evaluator,
    now: &Provider,
    then: &Provider,
    kind: ResourceKind,
    limit: u64,
) -> Result<Impact, PreviewError> {
    let mut impact = Impact::default();
    let mut after: Option<ResourceId> = None;
    while impact.looked_at < limit {
        let links = store.links(now.row.id, None, after.as_ref(), PAGE).await?;
        let Some(last) = links.last() else {
            impact.whole = true;
            break;
        };
        after = Some(last.resource_id.clone());
        let wanted = links.iter().filter(|link| link.kind == kind && link.wanted == Wanted::Yes);
        let ids: Vec<ResourceId> = wanted.map(|link| link.resource_id.clone()).collect();
        let rows = store.resources(&ids).await?;
        let borrowed: Vec<&ResourceRow> = rows.iter().collect();
        let before = desires(store, evaluator, now, kind, &borrowed).await?;
        let later = desires(store, evaluator, then, kind, &borrowed).await?;
        for (before, later) in before.iter().zip(&later) {
            impact.looked_at += 1;
            impact.changed += u64::from(differs(before, later));
            let breaks = matches!(later, Desire::Invalid(_)) && !matches!(before, Desire::Invalid(_));
            impact.invalid += u64::from(breaks);
        }
    }
    Ok(impact)
}

fn differs(before: &Desire, later: &Desire) -> bool {
    match (before, later) {
        (Desire::Wanted(before), Desire::Wanted(later)) => before.digest != later.digest,
        (Desire::Skip, Desire::Skip) | (Desire::Invalid(_), Desire::Invalid(_)) => false,
        _ => true,
    }
}
