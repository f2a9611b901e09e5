//! Bringing the schema up to date: one folder of migrations for both databases, one process at a time.

use std::borrow::Cow;
use std::fs::File;

use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{Dialect, statement};

/// Every migration, oldest first. A released one is never edited.
const MIGRATIONS: &[(i64, &str, &str)] =
    &[(1, "the directory and its links", include_str!("../migrations/0001_the_directory_and_its_links.sql"))];

impl Store {
    /// Applies the migrations that are missing. Safe to call from many processes at once: PostgreSQL
    /// serialises them by an advisory lock, for SQLite a lock file beside the database does.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let _guard = match self.dialect() {
            Dialect::Postgres => None,
            Dialect::Sqlite => lock_beside(&self.inner.url).await?,
        };
        let migrations = MIGRATIONS
            .iter()
            .map(|(version, description, sql)| {
                let description = Cow::Borrowed(*description);
                let text = statement(in_byte_order(self.dialect(), sql));
                Migration::new(*version, description, MigrationType::Simple, text, false)
            })
            .collect();
        Migrator::with_migrations(migrations).run(&self.inner.write).await?;
        Ok(())
    }
}

/// PostgreSQL sorts texts by language unless told otherwise, SQLite by bytes: pages would then be cut
/// differently (R5).
fn in_byte_order(dialect: Dialect, sql: &str) -> String {
    match dialect {
        Dialect::Sqlite => sql.to_owned(),
        Dialect::Postgres => sql.replace(" TEXT", " TEXT COLLATE \"C\""),
    }
}

/// An exclusive lock that ends with the value, or with the process.
async fn lock_beside(url: &str) -> Result<Option<File>, StoreError> {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let path = path.split('?').next().unwrap_or(path);
    if path.is_empty() || path.contains(":memory:") {
        return Ok(None);
    }
    let path = format!("{path}.lock");
    let opened = path.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).truncate(false).write(true).open(opened)?;
        file.lock()?;
        Ok(file)
    })
    .await
    .unwrap_or_else(|error| Err(std::io::Error::other(error)));
    locked.map(Some).map_err(|source| StoreError::File { path, source })
}
