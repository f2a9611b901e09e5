//! Providers and mappings as the operator configured them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use scimfleet_core::provider::{MappingText, ProviderSettings};
use scimfleet_core::state::ProviderState;
use scimfleet_core::{ProviderId, ProviderName, ResourceKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::signal::Signal;
use crate::sql::{document, word};

/// A provider as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderRow {
    /// Its key, which survives a rename.
    pub id: ProviderId,
    /// What the operator decided.
    pub settings: ProviderSettings,
    /// Grows when the settings or one of its mappings change: every object is then looked at again.
    pub generation: i64,
    /// Whether it takes part.
    pub state: ProviderState,
    /// Why it is in that state, in words.
    pub state_reason: Option<String>,
    /// Milliseconds since 1970.
    pub state_since_ms: i64,
    /// The profile layer that the provider announced, with the schemas; `None` until asked.
    pub announced: Option<Arc<Value>>,
    /// When it was asked, milliseconds since 1970.
    pub announced_at_ms: Option<i64>,
    /// The profile layer that was learned by experience (405 on PATCH, …).
    pub remembered: Map<String, Value>,
    /// Verdicts of the scope are old.
    pub scope_due: bool,
    /// When its secret was set last, milliseconds since 1970.
    pub secret_at_ms: Option<i64>,
    /// The database came back from a backup: it takes part again only after `providers reconcile` (R34).
    pub reconcile_due: bool,
}

impl ProviderRow {
    /// The provider's name.
    pub fn name(&self) -> &ProviderName {
        &self.settings.name
    }
}

/// A mapping as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingRow {
    /// The text.
    pub text: MappingText,
    /// `builtin`, `fleet` or `console`.
    pub origin: String,
}

/// What `apply` did, or would do, to one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderChange {
    /// It is new.
    Created,
    /// It is different.
    Updated,
    /// It is as it was.
    Unchanged,
}

/// The name of a provider's secret among the sealed ones.
const PROVIDER_SECRET: &str = "auth";

const COLUMNS: &str = "id, settings, generation, state, state_reason, state_since, announced, announced_at, \
     remembered, scope_due, secret_at, reconcile_due";

/// What was announced by each provider, beside the text that it was read from: schemas are long, and a provider is
/// read with each task.
pub(crate) type Announcements = Mutex<HashMap<ProviderId, (String, Arc<Value>)>>;

fn provider_row(store: &Store, row: &AnyRow) -> Result<ProviderRow, StoreError> {
    let announced: Option<String> = row.try_get("announced")?;
    let id: ProviderId = word(row, "providers", "id")?;
    Ok(ProviderRow {
        id,
        settings: document(row, "providers", "settings")?,
        generation: row.try_get("generation")?,
        state: word(row, "providers", "state")?,
        state_reason: row.try_get("state_reason")?,
        state_since_ms: row.try_get("state_since")?,
        announced: announced.and_then(|text| store.announcement(id, text)),
        announced_at_ms: row.try_get("announced_at")?,
        remembered: document(row, "providers", "remembered")?,
        scope_due: row.try_get::<i64, _>("scope_due")? != 0,
        secret_at_ms: row.try_get("secret_at")?,
        reconcile_due: row.try_get::<i64, _>("reconcile_due")? != 0,
    })
}

impl Store {
    fn announcement(&self, provider: ProviderId, text: String) -> Option<Arc<Value>> {
        let mut known = self.inner.announcements.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = known.get(&provider).filter(|(before, _)| *before == text) {
            return Some(value.clone());
        }
        let value: Arc<Value> = serde_json::from_str(&text).ok().map(Arc::new)?;
        known.insert(provider, (text, value.clone()));
        Some(value)
    }

    /// All providers, by name.
    pub async fn providers(&self) -> Result<Vec<ProviderRow>, StoreError> {
        let sql = "SELECT id, settings, generation, state, state_reason, state_since, announced, announced_at, \
             remembered, scope_due, secret_at, reconcile_due FROM providers ORDER BY name";
        sqlx::query(sql).fetch_all(self.read()).await?.iter().map(|row| provider_row(self, row)).collect()
    }

    /// One provider by name.
    pub async fn provider(&self, name: &ProviderName) -> Result<Option<ProviderRow>, StoreError> {
        let sql = crate::sql::statement(format!("SELECT {COLUMNS} FROM providers WHERE name = $1"));
        let row = sqlx::query(sql).bind(name.as_str()).fetch_optional(self.read()).await?;
        row.as_ref().map(|row| provider_row(self, row)).transpose()
    }

    /// Creates or updates a provider by its name. A change makes every link of it due again. Values of headers
    /// are sealed; one that is empty keeps the value that is sealed.
    pub async fn put_provider(&self, settings: &ProviderSettings) -> Result<(ProviderId, ProviderChange), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "SELECT id, settings FROM providers WHERE name = $1";
        let existing = sqlx::query(sql).bind(settings.name.as_str()).fetch_optional(&mut *tx).await?;
        let open = settings.without_header_values();
        let text = crate::sql::json(&open);
        let outcome = match existing {
            None => {
                let id = ProviderId(self.new_key());
                insert_provider(&mut tx, id, settings, &text, self.now_ms()).await?;
                self.seal_headers(&mut tx, id, settings).await?;
                (id, ProviderChange::Created)
            }
            Some(row) => {
                let id: ProviderId = word(&row, "providers", "id")?;
                let before: ProviderSettings = document(&row, "providers", "settings")?;
                let resealed = self.seal_headers(&mut tx, id, settings).await?;
                if before == open && !resealed {
                    (id, ProviderChange::Unchanged)
                } else {
                    update_provider(&mut tx, id, &before, &open, &text).await?;
                    touch_provider(&mut tx, id, self.now_ms()).await?;
                    (id, ProviderChange::Updated)
                }
            }
        };
        tx.commit().await?;
        self.fire(Signal::Providers).await?;
        Ok(outcome)
    }

    /// Seals the token, password or client secret of a provider. False when it is the one that is sealed
    /// already.
    pub async fn put_provider_secret(&self, id: ProviderId, secret: &SecretString) -> Result<bool, StoreError> {
        let owner = id.to_string();
        let before = self.secret(&owner, PROVIDER_SECRET).await?;
        if before.is_some_and(|before| before.expose_secret() == secret.expose_secret()) {
            return Ok(false);
        }
        self.put_secret(&owner, PROVIDER_SECRET, secret).await?;
        let sql = "UPDATE providers SET secret_at = $2 WHERE id = $1";
        sqlx::query(sql).bind(owner).bind(self.now_ms()).execute(&self.inner.write).await?;
        self.fire(Signal::Providers).await?;
        Ok(true)
    }

    /// The token, password or client secret of a provider.
    pub async fn provider_secret(&self, id: ProviderId) -> Result<Option<SecretString>, StoreError> {
        self.secret(&id.to_string(), PROVIDER_SECRET).await
    }

    /// Gives a provider another name. False when that name is taken.
    pub async fn rename_provider(&self, from: &ProviderName, to: &ProviderName) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "SELECT settings FROM providers WHERE name = $1";
        let taken = sqlx::query(sql).bind(to.as_str()).fetch_optional(&mut *tx).await?.is_some();
        let row = sqlx::query(sql).bind(from.as_str()).fetch_optional(&mut *tx).await?;
        let Some(row) = row.filter(|_| !taken) else { return Ok(false) };
        let mut settings: ProviderSettings = document(&row, "providers", "settings")?;
        settings.name = to.clone();
        let sql = "UPDATE providers SET name = $2, settings = $3, generation = generation + 1 WHERE name = $1";
        let query = sqlx::query(sql).bind(from.as_str()).bind(to.as_str());
        query.bind(crate::sql::json(&settings)).execute(&mut *tx).await?;
        tx.commit().await?;
        self.fire(Signal::Providers).await?;
        Ok(true)
    }

    /// Forgets a provider's links: its base URL leads to another host, so that its ids mean nothing there
    /// (R35).
    pub async fn drop_links(&self, id: ProviderId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for table in ["links", "sent_memberships", "owed_memberships", "link_waits", "remote_resources"] {
            let sql = crate::sql::statement(format!("DELETE FROM {table} WHERE provider_id = $1"));
            sqlx::query(sql).bind(id.to_string()).execute(&mut *tx).await?;
        }
        sqlx::query("UPDATE providers SET scope_due = 1 WHERE id = $1").bind(id.to_string()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Sets the state by hand or by the breaker; the reason is for people. One that waits to be reconciled
    /// does not become active by this (R34).
    pub async fn set_provider_state(
        &self,
        id: ProviderId,
        state: ProviderState,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE providers SET state = $2, state_reason = $3, state_since = $4 WHERE id = $1 AND state <> $2 \
             AND NOT (reconcile_due = 1 AND $2 = 'active')";
        sqlx::query(sql)
            .bind(id.to_string())
            .bind(state.as_str())
            .bind(reason)
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        self.fire(Signal::Providers).await
    }

    /// Stores what a provider announced: the profile layer and the schemas.
    pub async fn put_announced(&self, id: ProviderId, announced: &Value) -> Result<(), StoreError> {
        let sql = "UPDATE providers SET announced = $2, announced_at = $3 WHERE id = $1";
        sqlx::query(sql)
            .bind(id.to_string())
            .bind(announced.to_string())
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        Ok(())
    }

    /// Remembers one profile value that experience taught (a 405 on PATCH, …).
    pub async fn remember(&self, id: ProviderId, key: &str, value: &Value) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE providers SET remembered = remembered WHERE id = $1 RETURNING remembered";
        if let Some(row) = sqlx::query(sql).bind(id.to_string()).fetch_optional(&mut *tx).await? {
            let mut remembered: Map<String, Value> = document(&row, "providers", "remembered")?;
            remembered.insert(key.to_owned(), value.clone());
            let sql = "UPDATE providers SET remembered = $2 WHERE id = $1";
            sqlx::query(sql).bind(id.to_string()).bind(crate::sql::json(&remembered)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        self.fire(Signal::Providers).await
    }

    /// Forgets a provider and everything known about its accounts, which stay where they are.
    pub async fn remove_provider(&self, id: ProviderId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for table in [
            "links",
            "sent_memberships",
            "owed_memberships",
            "link_waits",
            "remote_resources",
            "runs",
            "run_tasks",
            "holds",
        ] {
            let sql = crate::sql::statement(format!("DELETE FROM {table} WHERE provider_id = $1"));
            sqlx::query(sql).bind(id.to_string()).execute(&mut *tx).await?;
        }
        crate::password::forget_provider(&mut tx, id).await?;
        sqlx::query("DELETE FROM sealed_secrets WHERE owner = $1").bind(id.to_string()).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM providers WHERE id = $1").bind(id.to_string()).execute(&mut *tx).await?;
        tx.commit().await?;
        self.fire(Signal::Providers).await
    }

    /// Mappings by name.
    pub async fn mappings(&self) -> Result<Vec<MappingRow>, StoreError> {
        let sql = "SELECT name, kind, expression, origin FROM mappings ORDER BY name";
        sqlx::query(sql).fetch_all(self.read()).await?.iter().map(mapping_row).collect()
    }

    /// Creates or updates a mapping. A change makes every link of the providers that use it due again.
    pub async fn put_mapping(&self, mapping: &MappingText, origin: &str) -> Result<ProviderChange, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "SELECT name, kind, expression, origin FROM mappings WHERE name = $1";
        let existing = sqlx::query(sql).bind(mapping.name.as_str()).fetch_optional(&mut *tx).await?;
        let before = existing.as_ref().map(mapping_row).transpose()?;
        if before.as_ref().is_some_and(|before| before.text == *mapping) {
            tx.commit().await?;
            return Ok(ProviderChange::Unchanged);
        }
        let sql = "INSERT INTO mappings (name, kind, expression, origin, updated_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, expression = excluded.expression, \
             origin = excluded.origin, updated_at = excluded.updated_at";
        sqlx::query(sql)
            .bind(mapping.name.as_str())
            .bind(mapping.resource.as_str())
            .bind(mapping.expression.as_str())
            .bind(origin)
            .bind(self.now_ms())
            .execute(&mut *tx)
            .await?;
        // A new one, too: a provider may have named it before it was there.
        touch_users_of(&mut tx, &mapping.name, self.now_ms()).await?;
        tx.commit().await?;
        self.fire(Signal::Providers).await?;
        Ok(if before.is_some() { ProviderChange::Updated } else { ProviderChange::Created })
    }

    /// Removes a mapping whose text is still this one, and that no provider uses.
    pub async fn remove_mapping(&self, text: &MappingText) -> Result<MappingRemoval, StoreError> {
        let mut tx = self.begin().await?;
        let users = users_of(&mut tx, &text.name).await?;
        if !users.is_empty() {
            return Ok(MappingRemoval::Used(users.into_iter().map(|(_, name)| name).collect()));
        }
        let sql = "DELETE FROM mappings WHERE name = $1 AND kind = $2 AND expression = $3";
        let done = sqlx::query(sql)
            .bind(text.name.as_str())
            .bind(text.resource.as_str())
            .bind(text.expression.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(if done.rows_affected() == 0 { MappingRemoval::Moved } else { MappingRemoval::Removed })
    }
}

/// What became of the wish to remove a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingRemoval {
    /// It is gone.
    Removed,
    /// It was changed or removed meanwhile.
    Moved,
    /// These providers name it.
    Used(Vec<ProviderName>),
}

fn mapping_row(row: &AnyRow) -> Result<MappingRow, StoreError> {
    let resource: ResourceKind = word(row, "mappings", "kind")?;
    let text = MappingText { name: row.try_get("name")?, resource, expression: row.try_get("expression")? };
    Ok(MappingRow { text, origin: row.try_get("origin")? })
}

async fn insert_provider(
    tx: &mut Connection,
    id: ProviderId,
    settings: &ProviderSettings,
    text: &str,
    now: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO providers (id, name, settings, generation, state, state_since, remembered, scope_due, \
         created_at) VALUES ($1, $2, $3, 1, 'active', $4, '{}', 1, $4)";
    sqlx::query(sql).bind(id.to_string()).bind(settings.name.as_str()).bind(text).bind(now).execute(&mut *tx).await?;
    Ok(())
}

async fn update_provider(
    tx: &mut Connection,
    id: ProviderId,
    before: &ProviderSettings,
    settings: &ProviderSettings,
    text: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE providers SET settings = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(text)
        .execute(&mut *tx)
        .await?;
    if before.passwords && !settings.passwords {
        crate::password::forget_provider(tx, id).await?;
    }
    if before.scope != settings.scope {
        sqlx::query("UPDATE providers SET scope_due = 1 WHERE id = $1").bind(id.to_string()).execute(&mut *tx).await?;
    }
    if before.base_url != settings.base_url || before.profile != settings.profile {
        let sql = "UPDATE providers SET announced = NULL, announced_at = NULL, remembered = '{}' WHERE id = $1";
        sqlx::query(sql).bind(id.to_string()).execute(&mut *tx).await?;
    }
    Ok(())
}

/// A new generation: every link is looked at again, and what was parked or waiting to retry gets its chance.
async fn touch_provider(tx: &mut Connection, id: ProviderId, now: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE providers SET generation = generation + 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(&mut *tx)
        .await?;
    let sql = "UPDATE links SET dirty = 1, marked = marked + 1, marked_at = $2, due_at = 0, attempts = 0, \
         queued_at = CASE WHEN dirty = 0 THEN NULL ELSE queued_at END, \
         state = CASE WHEN state <> 'parked' THEN state WHEN wanted = 'yes' THEN 'pending' ELSE 'leaving' END, \
         members_whole = 1, park_reason = NULL WHERE provider_id = $1 AND held_by IS NULL AND (state <> 'gone' OR wanted = 'yes')";
    sqlx::query(sql).bind(id.to_string()).bind(now).execute(&mut *tx).await?;
    Ok(())
}

async fn touch_users_of(tx: &mut Connection, mapping: &str, now: i64) -> Result<(), StoreError> {
    for (id, _) in users_of(tx, mapping).await? {
        touch_provider(tx, id, now).await?;
    }
    Ok(())
}

/// Providers whose settings name a mapping.
async fn users_of(tx: &mut Connection, mapping: &str) -> Result<Vec<(ProviderId, ProviderName)>, StoreError> {
    let rows = sqlx::query("SELECT id, settings FROM providers").fetch_all(&mut *tx).await?;
    let mut users = Vec::new();
    for row in &rows {
        let settings: ProviderSettings = document(row, "providers", "settings")?;
        if settings.mappings.iter().any(|name| name == mapping) {
            users.push((word(row, "providers", "id")?, settings.name));
        }
    }
    Ok(users)
}
