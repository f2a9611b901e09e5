//! What statements are sent through: the connections of a process, or a single one that finishes each statement
//! before anything else goes on.
//!
//! The single one is for simulations. SQLite's driver works on a thread of its own, so that a clock which stands
//! still while somebody works would run on under a statement, and what goes on meanwhile would depend on how fast
//! the thread is. Here a statement ends within the poll that began it: to the rest of the process it takes no time.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use futures::executor::block_on;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Either, Error, Execute, Executor, SqlStr};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Where connections are had.
#[derive(Clone)]
pub(crate) enum Pool {
    /// Several at once.
    Shared(AnyPool),
    /// One, whose statements finish before anything else goes on.
    Alone(Arc<Mutex<AnyConnection>>),
}

/// One connection, outside of a transaction or within one.
pub(crate) struct Connection(Held);

enum Held {
    Pooled(PoolConnection<Any>),
    Begun(sqlx::Transaction<'static, Any>),
    Alone(Turn),
}

/// The turn at the only connection.
struct Turn {
    connection: OwnedMutexGuard<AnyConnection>,
    /// A transaction that nobody committed: it is rolled back.
    begun: bool,
}

/// A transaction: dropped without a commit, nothing of it happened.
pub(crate) struct Transaction(Connection);

impl Pool {
    pub(crate) fn alone(connection: AnyConnection) -> Self {
        Self::Alone(Arc::new(Mutex::new(connection)))
    }

    /// A connection for several statements that belong together.
    pub(crate) async fn acquire(&self) -> Result<Connection, Error> {
        Ok(Connection(match self {
            Self::Shared(pool) => Held::Pooled(pool.acquire().await?),
            Self::Alone(only) => Held::Alone(Turn { connection: only.clone().lock_owned().await, begun: false }),
        }))
    }

    /// A transaction that begins with `statement`, else as the database begins one.
    pub(crate) async fn begin(&self, statement: &'static str) -> Result<Transaction, Error> {
        Ok(Transaction(Connection(match self {
            Self::Shared(pool) => Held::Begun(pool.begin_with(statement).await?),
            Self::Alone(only) => {
                let mut connection = only.clone().lock_owned().await;
                block_on(sqlx::raw_sql(statement).execute(&mut *connection))?;
                Held::Alone(Turn { connection, begun: true })
            }
        })))
    }

    pub(crate) async fn migrate(&self, migrator: &Migrator) -> Result<(), MigrateError> {
        match self {
            Self::Shared(pool) => migrator.run(pool).await,
            Self::Alone(only) => {
                let mut connection = only.lock().await;
                block_on(migrator.run(&mut *connection))
            }
        }
    }

    pub(crate) async fn close(&self) {
        if let Self::Shared(pool) = self {
            pool.close().await;
        }
    }
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.0.0 {
            Held::Begun(transaction) => transaction.commit().await,
            Held::Alone(mut turn) => {
                block_on(sqlx::raw_sql("COMMIT").execute(&mut *turn.connection))?;
                turn.begun = false;
                Ok(())
            }
            // Outside of a transaction everything is committed by itself.
            Held::Pooled(_) => Ok(()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.begun
            && let Err(error) = block_on(sqlx::raw_sql("ROLLBACK").execute(&mut *self.connection))
        {
            tracing::warn!(error = %error, "a transaction could not be rolled back");
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Pool")
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Connection")
    }
}

/// What a statement yields, row by row.
type Step = Result<Either<AnyQueryResult, AnyRow>, Error>;

impl<'c> Executor<'c> for &'c Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self {
            Pool::Shared(pool) => pool.fetch_many(query),
            Pool::Alone(only) => {
                stream::once(async move { all_steps(&mut *only.lock().await, query) }).flat_map(stream::iter).boxed()
            }
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self {
            Pool::Shared(pool) => pool.fetch_optional(query),
            Pool::Alone(only) => async move { block_on((&mut *only.lock().await).fetch_optional(query)) }.boxed(),
        }
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        match self {
            Pool::Shared(pool) => pool.prepare_with(sql, parameters),
            Pool::Alone(only) => {
                async move { block_on((&mut *only.lock().await).prepare_with(sql, parameters)) }.boxed()
            }
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match &mut self.0 {
            Held::Pooled(connection) => (&mut **connection).fetch_many(query),
            Held::Begun(transaction) => (&mut **transaction).fetch_many(query),
            Held::Alone(turn) => {
                stream::once(async move { all_steps(&mut turn.connection, query) }).flat_map(stream::iter).boxed()
            }
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match &mut self.0 {
            Held::Pooled(connection) => (&mut **connection).fetch_optional(query),
            Held::Begun(transaction) => (&mut **transaction).fetch_optional(query),
            Held::Alone(turn) => async move { block_on((&mut *turn.connection).fetch_optional(query)) }.boxed(),
        }
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        match &mut self.0 {
            Held::Pooled(connection) => (&mut **connection).prepare_with(sql, parameters),
            Held::Begun(transaction) => (&mut **transaction).prepare_with(sql, parameters),
            Held::Alone(turn) => async move { block_on((&mut *turn.connection).prepare_with(sql, parameters)) }.boxed(),
        }
    }
}

/// Runs a statement to its end, here and now.
fn all_steps<'q>(connection: &mut AnyConnection, query: impl Execute<'q, Any> + 'q) -> Vec<Step> {
    block_on(connection.fetch_many(query).collect())
}
