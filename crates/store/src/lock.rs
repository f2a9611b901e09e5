//! Locks for what PostgreSQL would otherwise do at the same time: reading what somebody else is about to
//! write. They end with the transaction. SQLite needs none, it has one writer.

use std::future::Future;

use scimfleet_core::ProviderId;

use crate::error::StoreError;
use crate::pool::Connection;
use crate::sql::Dialect;

/// Any number that nothing else in the database uses as an advisory lock.
const DIRECTORY_KEY: i64 = 0x5343_494d_0001;
/// A transaction that was ended by a deadlock starts over this often before it counts as trouble.
const ATTEMPTS_MAX: u32 = 5;

/// What is locked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lock {
    /// Writers of the directory follow one another: a member and the group that names it arrive in
    /// either order, and never past each other.
    Directory,
    /// Whoever will wait at a provider is alone with it (R24).
    Waiting(ProviderId),
    /// Whoever arrives at a provider shares it with others who arrive (R24).
    Arriving(ProviderId),
}

impl Lock {
    /// Waits for the lock.
    pub(crate) async fn take(self, tx: &mut Connection, dialect: Dialect) -> Result<(), StoreError> {
        if dialect == Dialect::Sqlite {
            return Ok(());
        }
        let (sql, key) = match self {
            Self::Directory => ("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)", DIRECTORY_KEY),
            Self::Waiting(provider) => ("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)", key_of(provider)),
            Self::Arriving(provider) => ("SELECT CAST(pg_advisory_xact_lock_shared($1) AS TEXT)", key_of(provider)),
        };
        sqlx::query(sql).bind(key).execute(tx).await?;
        Ok(())
    }
}

fn key_of(provider: ProviderId) -> i64 {
    provider.0.as_u64_pair().1.cast_signed()
}

/// Runs a transaction again that PostgreSQL ended because two of them waited for each other: nothing of
/// it happened, and the other one is through by now.
pub(crate) async fn past_deadlocks<T, F>(attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..ATTEMPTS_MAX {
        match attempt().await {
            Err(error) if error.is_deadlock() => tracing::debug!("two transactions locked each other; once more"),
            other => return other,
        }
    }
    attempt().await
}
