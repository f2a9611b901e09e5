//! Names that change hands at a provider (R24): who is to get one waits until the one of ours who has it lets it go.

use scimfleet_core::{ProviderId, ResourceId, ResourceKind};

use crate::connect::Store;
use crate::error::StoreError;

impl Store {
    /// Whether one of our accounts of this kind may still hold this name there and is about to be changed or taken
    /// away. `name_key` is the folded name, `owner` the externalId that the account shows, if it was seen, `except`
    /// who wants the name. A rename of which nobody knows what became of it may have given any name: waiting for it
    /// once too often harms nobody.
    pub async fn may_let_go_of(
        &self,
        provider: ProviderId,
        kind: ResourceKind,
        (name_key, owner): (&str, Option<&str>),
        except: &ResourceId,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT CAST(1 AS BIGINT) FROM links l JOIN resources r ON r.id = l.resource_id \
             WHERE l.provider_id = $1 AND l.kind = $2 AND l.resource_id <> $3 AND l.dirty = 1 AND l.state <> 'parked' \
             AND (r.external_id = $7 OR (r.name_key = $4 AND (l.remote_id IS NOT NULL OR l.intent IS NOT NULL)) \
             OR (l.remote_id IS NOT NULL AND (lower(l.sent_document) LIKE $5 ESCAPE '!' OR l.intent LIKE $6))) LIMIT 1";
        let found: Option<i64> = sqlx::query_scalar(sql)
            .bind(provider.to_string())
            .bind(kind.as_str())
            .bind(except.as_str())
            .bind(name_key)
            .bind(holding(name_key))
            .bind(format!("%\"{}\"%", kind.naming_attribute()))
            .bind(owner.unwrap_or_default())
            .fetch_optional(self.read())
            .await?;
        Ok(found.is_some())
    }
}

/// A pattern for documents in which the name stands as a value.
fn holding(name_key: &str) -> String {
    let text = serde_json::Value::from(name_key).to_string();
    let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}
