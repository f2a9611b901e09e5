//! Bringing the schema up to date: one folder of migrations for both databases, one process at a time.

use std::borrow::Cow;
use std::fs::File;

use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{Dialect, statement};

/// A step of the schema.
struct Step {
    version: i64,
    description: &'static str,
    sql: &'static str,
    /// What SQLite is told besides, for its planner.
    sqlite: &'static str,
}

/// Every migration, oldest first. A released one is never edited.
const STEPS: &[Step] = &[
    Step {
        version: 1,
        description: "the directory and its links",
        sql: include_str!("../migrations/0001_the_directory_and_its_links.sql"),
        sqlite: include_str!("../migrations/0001_sqlite_statistics.sql"),
    },
    Step {
        version: 2,
        description: "leavers first in the outbox",
        sql: include_str!("../migrations/0002_leavers_first_in_the_outbox.sql"),
        sqlite: "",
    },
];

impl Store {
    /// Applies the migrations that are missing. Safe to call from many processes at once: PostgreSQL
    /// serialises them by an advisory lock, for SQLite a lock file beside the database does.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let _guard = match self.dialect() {
            Dialect::Postgres => None,
            Dialect::Sqlite => lock_beside(&self.inner.url).await?,
        };
        let migrations = STEPS.iter().map(|step| step.migration(self.dialect())).collect();
        self.inner.write.migrate(&Migrator::with_migrations(migrations)).await?;
        Ok(())
    }
}

impl Step {
    /// PostgreSQL sorts texts by language unless told otherwise, SQLite by bytes: pages would then be cut
    /// differently (R5).
    fn migration(&self, dialect: Dialect) -> Migration {
        let text = match dialect {
            Dialect::Sqlite => [self.sql, self.sqlite].concat(),
            Dialect::Postgres => self.sql.replace(" TEXT", " TEXT COLLATE \"C\""),
        };
        let description = Cow::Borrowed(self.description);
        Migration::new(self.version, description, MigrationType::Simple, statement(text), false)
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
