//! Passwords on their way: sealed when they come in, kept until every provider that takes passwords has them
//! or until they are too old, never shown. Whoever delivers one says which: a newer one stays owed.

use std::collections::HashMap;

use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::{ProviderId, ResourceId};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::Row;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::seal::{SealError, Sealer};
use crate::sql::{Column, Dialect, document, json, statement, word};

/// The name of a sealed password; its owner is `resource:<id>`, which no provider's id can be.
const NAME: &str = "password";
/// A password that was not delivered within a day is erased: whoever still lacks it gets the next one.
pub const PASSWORD_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// A password that somebody wrote. Equality is for tests; `Debug` hides it.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// Takes it in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// What was written.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

/// A password that a provider was not sent yet.
#[derive(Debug, Clone)]
pub struct PendingPassword {
    /// Another for each password that was written: it comes back in [`DeliveredPassword`].
    pub version: String,
    /// The password.
    pub secret: SecretString,
}

/// A provider has taken this password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveredPassword {
    /// Whose.
    pub resource_id: ResourceId,
    /// Which.
    pub version: String,
}

#[derive(Serialize)]
struct SealedRow<'a> {
    owner: String,
    resource_id: &'a ResourceId,
    version: Uuid,
    sealed: String,
}

const SEALED_ROW: [Column; 4] =
    [Column::Text("owner"), Column::Text("resource_id"), Column::Text("version"), Column::Text("sealed")];

fn owner_of(resource: &ResourceId) -> String {
    format!("resource:{resource}")
}

/// The owners of these resources' passwords, as a parameter of [`Dialect::texts`].
fn owners<'a>(resources: impl Iterator<Item = &'a ResourceId>) -> String {
    json(&resources.map(owner_of).collect::<Vec<_>>())
}

impl Store {
    /// Whether any provider takes passwords; where none does, they are dropped.
    pub async fn takes_passwords(&self) -> Result<bool, StoreError> {
        let mut connection = self.read().acquire().await?;
        Ok(!takers(&mut connection).await?.is_empty())
    }

    /// Seals the password of a resource for every provider that takes passwords, in place of an older one.
    /// Returns false where no provider does: then it is dropped.
    pub async fn seal_password(&self, resource: &ResourceId, password: &Password) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let list = [(resource, password)];
        let sealed = keep(&mut tx, self.dialect(), self.inner.sealer.as_ref(), &list, self.now_ms()).await?;
        tx.commit().await?;
        Ok(sealed)
    }

    /// The passwords that a provider was not sent yet, of these resources. One that this key cannot open is
    /// left out: it harms nobody else, and is erased in time.
    pub async fn pending_passwords(
        &self,
        provider: ProviderId,
        resources: &[ResourceId],
    ) -> Result<HashMap<ResourceId, PendingPassword>, StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "SELECT p.resource_id AS resource_id, p.version AS version, s.key_id AS key_id, s.sealed AS sealed \
             FROM {texts} JOIN pending_passwords p ON p.resource_id = b.id AND p.provider_id = $1 \
             JOIN sealed_secrets s ON s.owner = 'resource:' || p.resource_id AND s.name = '{NAME}'"
        ));
        let query = sqlx::query(sql).bind(provider.to_string()).bind(json(resources));
        let mut found = HashMap::new();
        for row in &query.fetch_all(self.read()).await? {
            let resource: ResourceId = word(row, "pending_passwords", "resource_id")?;
            let (key_id, sealed): (String, String) = (row.try_get("key_id")?, row.try_get("sealed")?);
            match self.sealer()?.open(&owner_of(&resource), NAME, &key_id, &sealed) {
                Ok(secret) => {
                    found.insert(resource, PendingPassword { version: row.try_get("version")?, secret });
                }
                Err(error) => tracing::warn!(error = %error, "a password cannot be delivered"),
            }
        }
        Ok(found)
    }

    /// Marks passwords as delivered, and erases those that nobody lacks any more. A task does the same with
    /// its record: see [`crate::TaskRecord::passwords`].
    pub async fn passwords_delivered(
        &self,
        provider: ProviderId,
        delivered: &[DeliveredPassword],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        settle(&mut tx, self.dialect(), provider, delivered).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Erases passwords that are older than [`PASSWORD_KEPT_MS`], and those that nobody lacks. Returns how
    /// many.
    pub async fn erase_expired_passwords(&self) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let sql = statement(format!(
            "DELETE FROM sealed_secrets WHERE name = '{NAME}' AND (created_at <= $1 OR NOT EXISTS \
             (SELECT 1 FROM pending_passwords p WHERE sealed_secrets.owner = 'resource:' || p.resource_id))"
        ));
        let sql_pending = statement(format!(
            "DELETE FROM pending_passwords WHERE NOT EXISTS (SELECT 1 FROM sealed_secrets s \
             WHERE s.owner = 'resource:' || pending_passwords.resource_id AND s.name = '{NAME}')"
        ));
        let erased = sqlx::query(sql).bind(self.now_ms() - PASSWORD_KEPT_MS).execute(&mut *tx).await?.rows_affected();
        sqlx::query(sql_pending).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(erased)
    }
}

/// The providers that take passwords.
async fn takers(connection: &mut Connection) -> Result<Vec<ProviderId>, StoreError> {
    let rows = sqlx::query("SELECT id, settings FROM providers ORDER BY id").fetch_all(connection).await?;
    let mut takers = Vec::new();
    for row in &rows {
        let settings: ProviderSettings = document(row, "providers", "settings")?;
        if settings.passwords {
            takers.push(word(row, "providers", "id")?);
        }
    }
    Ok(takers)
}

/// Seals passwords within a transaction of the directory. Returns whether any provider takes them.
pub(crate) async fn keep(
    tx: &mut Connection,
    dialect: Dialect,
    sealer: Option<&Sealer>,
    passwords: &[(&ResourceId, &Password)],
    now: i64,
) -> Result<bool, StoreError> {
    if passwords.is_empty() {
        return Ok(false);
    }
    let takers = takers(&mut *tx).await?;
    if takers.is_empty() {
        tracing::warn!(count = passwords.len(), "passwords were dropped: no provider has `passwords = true`");
        return Ok(false);
    }
    let key = sealer.ok_or(SealError::NoKey)?.current()?;
    let mut rows = Vec::with_capacity(passwords.len());
    for (resource_id, password) in passwords {
        let owner = owner_of(resource_id);
        let sealed = key.seal(&owner, NAME, password.secret())?;
        rows.push(SealedRow { owner, resource_id, version: Uuid::now_v7(), sealed });
    }
    // In one order everywhere, so that two who seal at once wait for one another and not in a circle.
    rows.sort_by(|one, other| one.owner.cmp(&other.owner));
    let rows = json(&rows);
    let batch = dialect.batch(1, &SEALED_ROW);
    let sql = statement(format!(
        "INSERT INTO sealed_secrets (owner, name, key_id, sealed, created_at) \
         SELECT b.owner, '{NAME}', $2, b.sealed, $3 FROM {batch} WHERE true ORDER BY 1 \
         ON CONFLICT (owner, name) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed, \
         created_at = excluded.created_at"
    ));
    sqlx::query(sql).bind(rows.as_str()).bind(key.id.as_str()).bind(now).execute(&mut *tx).await?;
    let batch = dialect.batch(1, &SEALED_ROW);
    let texts = dialect.texts(2).replace(" AS b", " AS t");
    let sql = statement(format!(
        "INSERT INTO pending_passwords (provider_id, resource_id, version) \
         SELECT t.id, b.resource_id, b.version FROM {batch} CROSS JOIN {texts} WHERE true \
         ON CONFLICT (provider_id, resource_id) DO UPDATE SET version = excluded.version"
    ));
    let takers: Vec<String> = takers.iter().map(ToString::to_string).collect();
    sqlx::query(sql).bind(rows.as_str()).bind(json(&takers)).execute(tx).await?;
    Ok(true)
}

/// Takes delivered passwords off the list, and erases those that no other provider lacks.
pub(crate) async fn settle(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    delivered: &[DeliveredPassword],
) -> Result<(), StoreError> {
    if delivered.is_empty() {
        return Ok(());
    }
    let owners = owners(delivered.iter().map(|one| &one.resource_id));
    let texts = dialect.texts(1);
    // Holds the rows: two providers that are done at the same moment must not each see the other as lacking.
    let sql = statement(format!(
        "UPDATE sealed_secrets SET created_at = created_at WHERE name = '{NAME}' AND owner IN \
         (SELECT b.id FROM {texts})"
    ));
    sqlx::query(sql).bind(owners.as_str()).execute(&mut *tx).await?;
    let batch = dialect.batch(2, &["resource_id", "version"].map(Column::Text));
    let sql = statement(format!(
        "DELETE FROM pending_passwords WHERE provider_id = $1 AND (resource_id, version) IN \
         (SELECT b.resource_id, b.version FROM {batch})"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(delivered)).execute(&mut *tx).await?;
    erase_unless_pending(tx, dialect, &owners).await
}

async fn erase_unless_pending(tx: &mut Connection, dialect: Dialect, owners: &str) -> Result<(), StoreError> {
    let texts = dialect.texts(1);
    let sql = statement(format!(
        "DELETE FROM sealed_secrets WHERE name = '{NAME}' AND owner IN (SELECT b.id FROM {texts}) AND NOT EXISTS \
         (SELECT 1 FROM pending_passwords p WHERE p.resource_id = substr(sealed_secrets.owner, 10))"
    ));
    sqlx::query(sql).bind(owners).execute(tx).await?;
    Ok(())
}

/// Erases the passwords of resources that are deleted.
pub(crate) async fn erase(tx: &mut Connection, dialect: Dialect, resources: &[ResourceId]) -> Result<(), StoreError> {
    let texts = dialect.texts(1);
    let sql = statement(format!("DELETE FROM pending_passwords WHERE resource_id IN (SELECT b.id FROM {texts})"));
    sqlx::query(sql).bind(json(resources)).execute(&mut *tx).await?;
    erase_unless_pending(tx, dialect, &owners(resources.iter())).await
}

/// A provider takes no passwords any more.
pub(crate) async fn forget_provider(tx: &mut Connection, provider: ProviderId) -> Result<(), StoreError> {
    let sql = "DELETE FROM pending_passwords WHERE provider_id = $1";
    sqlx::query(sql).bind(provider.to_string()).execute(tx).await?;
    Ok(())
}
