//! References between resources (a user's manager) and the accounts that stand for them at a provider.

use std::collections::HashMap;

use scimfleet_core::scim::resource::fold;
use scimfleet_core::{ProviderId, RemoteId, ResourceId};
use serde::Serialize;
use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{Column, json, optional_word, statement, word};

/// Whom a reference names, and where that one stands at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referee {
    /// The resource.
    pub resource_id: ResourceId,
    /// Its account, if it has one.
    pub remote_id: Option<RemoteId>,
    /// It shall have one, so that waiting for it is sensible.
    pub expected: bool,
}

#[derive(Serialize)]
struct Asked<'a> {
    reference: &'a str,
    folded: String,
}

impl Store {
    /// Users by externalId, else userName, else id, with their accounts at a provider. One who was deleted
    /// has none any more, whatever is still there.
    pub async fn referees(
        &self,
        provider: ProviderId,
        references: &[String],
    ) -> Result<HashMap<String, Referee>, StoreError> {
        if references.is_empty() {
            return Ok(HashMap::new());
        }
        let batch = self.dialect().batch(2, &[Column::Text("reference"), Column::Text("folded")]);
        let select = |preference: u8, condition: &str| {
            format!(
                "SELECT b.reference AS reference, r.id AS id, {preference} AS preference, \
                 CASE WHEN r.deleted_at IS NULL THEN 0 ELSE 1 END AS deleted, \
                 CASE WHEN r.deleted_at IS NULL THEN l.remote_id ELSE NULL END AS remote_id, \
                 CASE WHEN l.wanted = 'yes' AND l.state NOT IN ('parked', 'gone', 'kept') AND r.active = 1 \
                 AND r.deleted_at IS NULL THEN 1 ELSE 0 END AS expected \
                 FROM {batch} JOIN resources r ON {condition} AND r.kind = 'user' \
                 LEFT JOIN links l ON l.provider_id = $1 AND l.resource_id = r.id"
            )
        };
        let sql = statement(format!(
            "{} UNION ALL {} UNION ALL {} ORDER BY 4, 3",
            select(1, "r.external_id = b.reference"),
            select(2, "r.name_key = b.folded"),
            select(3, "r.id = b.reference")
        ));
        let asked: Vec<Asked<'_>> =
            references.iter().map(|reference| Asked { reference, folded: fold(reference) }).collect();
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(&asked)).fetch_all(self.read()).await?;
        let mut referees = HashMap::with_capacity(rows.len());
        for row in &rows {
            let referee = Referee {
                resource_id: word(row, "resources", "id")?,
                remote_id: optional_word(row, "links", "remote_id")?,
                expected: row.try_get::<i64, _>("expected")? != 0,
            };
            referees.entry(row.try_get::<String, _>("reference")?).or_insert(referee);
        }
        Ok(referees)
    }
}
