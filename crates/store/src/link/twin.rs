//! Two objects, one account: a provider that hands out an id twice, or two workers that found the same
//! candidate. The later one is parked, so that it does not keep its whole task from being recorded.

use std::collections::HashSet;

use scimfleet_core::state::{LinkState, ParkReason};
use scimfleet_core::{ProviderId, ResourceId};

use super::record::{LinkResult, TaskRecord};
use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{Column, json, statement, word};

impl Store {
    /// The same record with every object parked whose account another one has. `None`: there is none.
    pub(crate) async fn without_twins(
        &self,
        provider: ProviderId,
        record: &TaskRecord,
    ) -> Result<Option<TaskRecord>, StoreError> {
        let batch = self.dialect().batch(2, &[Column::Text("resource_id"), Column::Text("remote_id")]);
        let sql = statement(format!(
            "SELECT b.resource_id AS resource_id FROM {batch} \
             JOIN links mine ON mine.provider_id = $1 AND mine.resource_id = b.resource_id \
             JOIN links other ON other.provider_id = $1 AND other.kind = mine.kind AND other.remote_id = b.remote_id \
             WHERE other.resource_id <> b.resource_id"
        ));
        let (provider, results) = (provider.to_string(), json(&record.results));
        let rows = sqlx::query(sql).bind(provider).bind(results).fetch_all(self.read()).await?;
        let mut twins: HashSet<ResourceId> =
            rows.iter().map(|row| word(row, "links", "resource_id")).collect::<Result<_, _>>()?;
        let mut given = HashSet::new();
        for result in &record.results {
            if result.remote_id.as_ref().is_some_and(|id| !given.insert(id)) {
                twins.insert(result.resource_id.clone());
            }
        }
        if twins.is_empty() {
            return Ok(None);
        }
        let mut parked = record.clone();
        parked.results.iter_mut().filter(|result| twins.contains(&result.resource_id)).for_each(park);
        parked.arrived.retain(|id| !twins.contains(id));
        parked.memberships.retain(|change| !twins.contains(&change.group_id));
        Ok(Some(parked))
    }
}

fn park(result: &mut LinkResult) {
    let account = result.remote_id.take().map_or_else(String::new, String::from);
    result.state = LinkState::Parked;
    result.park_reason = Some(ParkReason::Conflict);
    result.ownership = None;
    result.version = None;
    result.sent_digest = None;
    result.sent_document = None;
    result.still_dirty = false;
    result.last_error = Some(format!("the provider's account `{account}` belongs to another object already"));
}
