//! Leases on names: who is the scheduler, who serves this file. Decided by the database's clock.

use std::time::Duration;

use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;

/// A lease that we hold until `expires_at_ms`, unless it is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The name that is leased.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Grows with every change of the holder: a fencing token.
    pub token: i64,
    /// Milliseconds since 1970.
    pub expires_at_ms: i64,
}

impl Store {
    /// Takes or renews the lease on `name`; `None` while somebody else holds it.
    pub async fn take_lease(&self, name: &str, holder: &str, ttl: Duration) -> Result<Option<Lease>, StoreError> {
        let now = self.lease_clock_ms().await?;
        let expires = now + i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 2);
        let sql = "INSERT INTO leases (name, holder, token, expires_at) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (name) DO UPDATE SET \
             token = CASE WHEN leases.holder = excluded.holder THEN leases.token ELSE leases.token + 1 END, \
             holder = excluded.holder, expires_at = excluded.expires_at \
             WHERE leases.holder = excluded.holder OR leases.expires_at <= $4 RETURNING token, expires_at";
        let row =
            sqlx::query(sql).bind(name).bind(holder).bind(expires).bind(now).fetch_optional(&self.inner.write).await?;
        row.map(|row| {
            Ok(Lease {
                name: name.to_owned(),
                holder: holder.to_owned(),
                token: row.try_get("token")?,
                expires_at_ms: row.try_get("expires_at")?,
            })
        })
        .transpose()
    }

    /// Gives a lease back, if it is still ours.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let sql = "UPDATE leases SET expires_at = 0 WHERE name = $1 AND holder = $2";
        sqlx::query(sql).bind(name).bind(holder).execute(&self.inner.write).await?;
        Ok(())
    }

    /// Who holds the lease on `name` now.
    pub async fn lease_holder(&self, name: &str) -> Result<Option<String>, StoreError> {
        let now = self.lease_clock_ms().await?;
        let sql = "SELECT holder FROM leases WHERE name = $1 AND expires_at > $2";
        Ok(sqlx::query_scalar(sql).bind(name).bind(now).fetch_optional(self.read()).await?)
    }
}
