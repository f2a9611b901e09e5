//! Noticing that the database is not the one that it was (R34): a number that grows while work is done is
//! kept here and beside the database; a database whose number is the smaller one came back from a backup.

use scimfleet_core::ports::Coordination;
use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::signal::Signal;

/// The name of the number among the facts about the database.
const EPOCH: &str = "epoch";
/// The name of the database's identity, which a restored copy shares with its original.
const DATABASE: &str = "database";

/// What the two numbers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// The database knows everything that was done; this is its number.
    Current(i64),
    /// It forgot what was done between these two numbers. Every provider is paused now, and each stays so
    /// until it is reconciled.
    Older {
        /// The database's number.
        own: i64,
        /// The number that was kept beside it.
        beside: i64,
    },
}

impl Store {
    /// Compares the database with the number beside it and lets both grow. Whoever is about to work calls
    /// this first, and again while it works: what is done between two calls is what a restored copy could
    /// forget unnoticed. Coordination that does not answer says nothing; it is never needed for work.
    pub async fn guard_epoch(&self, coordination: &dyn Coordination) -> Result<Epoch, StoreError> {
        let database = self.database_id().await?;
        let beside = match coordination.epoch(&database).await {
            Ok(beside) => beside,
            Err(error) => {
                tracing::warn!(error = %error, "the number beside the database cannot be read");
                None
            }
        };
        let epoch = self.grow_epoch(beside).await?;
        let number = match epoch {
            Epoch::Current(number) => number,
            Epoch::Older { own, beside } => {
                tracing::error!(
                    own,
                    beside,
                    "the database is older than what was done with it: every provider is paused until `scimfleet \
                     providers reconcile`"
                );
                beside + 1
            }
        };
        if let Err(error) = coordination.raise_epoch(&database, number).await {
            tracing::warn!(error = %error, "the number beside the database cannot be raised");
        }
        Ok(epoch)
    }

    /// The identity of this database: made once, shared by its copies. The number beside the database is
    /// kept under it, so that a fresh database is never taken for an old one.
    pub async fn database_id(&self) -> Result<String, StoreError> {
        let mut tx = self.begin().await?;
        let found = fact(&mut tx, DATABASE).await?;
        let id = match found {
            Some(id) => id,
            None => {
                let id = self.new_key().to_string();
                note(&mut tx, DATABASE, &id).await?;
                id
            }
        };
        tx.commit().await?;
        Ok(id)
    }

    /// Compares the number kept beside the database with its own, and makes it grow. An older database
    /// pauses every provider that has links, in the same transaction that takes over the larger number: a
    /// second look then finds nothing new.
    pub async fn grow_epoch(&self, beside: Option<i64>) -> Result<Epoch, StoreError> {
        let mut tx = self.begin().await?;
        let own = fact(&mut tx, EPOCH).await?.and_then(|text| text.parse().ok()).unwrap_or(0_i64);
        let beside = beside.unwrap_or(own);
        let older = beside > own;
        note(&mut tx, EPOCH, &(own.max(beside) + 1).to_string()).await?;
        if older {
            let sql = "UPDATE providers SET state = 'paused', state_since = $1, reconcile_due = 1, state_reason = \
                 'the database came back from a backup: bring the directory up to date, then reconcile' \
                 WHERE state <> 'disabled' AND EXISTS (SELECT 1 FROM links l WHERE l.provider_id = providers.id)";
            sqlx::query(sql).bind(self.now_ms()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        if !older {
            return Ok(Epoch::Current(own + 1));
        }
        self.fire(Signal::Providers).await?;
        Ok(Epoch::Older { own, beside })
    }
}

async fn fact(tx: &mut Connection, name: &str) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT value FROM meta WHERE name = $1").bind(name).fetch_optional(&mut *tx).await?;
    Ok(row.map(|row| row.try_get("value")).transpose()?)
}

async fn note(tx: &mut Connection, name: &str, value: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(name).bind(value).execute(&mut *tx).await?;
    Ok(())
}
