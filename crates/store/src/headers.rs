//! Values of the headers that an operator gives a provider: sealed beside its token, never among its settings.

use std::collections::BTreeMap;

use scimfleet_core::ProviderId;
use scimfleet_core::provider::ProviderSettings;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;

/// How the names of sealed headers begin.
const PREFIX: &str = "header:";

impl Store {
    /// The headers of a provider with their values, opened.
    pub async fn provider_headers(&self, id: ProviderId) -> Result<BTreeMap<String, SecretString>, StoreError> {
        let owner = id.to_string();
        let mut connection = self.read().acquire().await?;
        self.open_headers(&mut connection, &owner).await
    }

    async fn open_headers(
        &self,
        connection: &mut Connection,
        owner: &str,
    ) -> Result<BTreeMap<String, SecretString>, StoreError> {
        let sql = "SELECT name, key_id, sealed FROM sealed_secrets WHERE owner = $1";
        let mut headers = BTreeMap::new();
        for row in &sqlx::query(sql).bind(owner).fetch_all(connection).await? {
            let name: String = row.try_get("name")?;
            if let Some(header) = name.strip_prefix(PREFIX) {
                let (key_id, sealed): (String, String) = (row.try_get("key_id")?, row.try_get("sealed")?);
                headers.insert(header.to_owned(), self.sealer()?.open(owner, &name, &key_id, &sealed)?);
            }
        }
        Ok(headers)
    }

    /// Seals the values that are given and forgets those of headers that are not named. True when any of that
    /// was a change.
    pub(crate) async fn seal_headers(
        &self,
        tx: &mut Connection,
        id: ProviderId,
        settings: &ProviderSettings,
    ) -> Result<bool, StoreError> {
        let owner = id.to_string();
        let before = self.open_headers(&mut *tx, &owner).await?;
        let mut changed = false;
        for header in before.keys().filter(|header| !settings.headers.contains_key(*header)) {
            let sql = "DELETE FROM sealed_secrets WHERE owner = $1 AND name = $2";
            sqlx::query(sql).bind(&owner).bind(format!("{PREFIX}{header}")).execute(&mut *tx).await?;
            changed = true;
        }
        for (header, value) in settings.headers.iter().filter(|(_, value)| !value.is_empty()) {
            if before.get(header).is_none_or(|known| known.expose_secret() != value) {
                let name = format!("{PREFIX}{header}");
                self.write_secret(&mut *tx, &owner, &name, &SecretString::from(value.as_str())).await?;
                changed = true;
            }
        }
        Ok(changed)
    }
}
