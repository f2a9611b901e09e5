//! What PostgreSQL's planner knows of the tables. Its autovacuum tells it once a minute (`autovacuum_naptime`); until
//! then a directory that was just imported counts as the small one that it was, and each task reads whole tables.

use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{Dialect, statement};

/// Tables that are more than twice as large as when they were last looked at; small ones never matter.
const OUTGROWN: &str = "SELECT format('ANALYZE %I', relname) FROM pg_class \
     WHERE relkind = 'r' AND relnamespace = to_regnamespace(current_schema()) \
     AND pg_relation_size(oid) > 2 * CAST(relpages AS bigint) * CAST(current_setting('block_size') AS bigint) + 524288";

impl Store {
    /// Lets the planner look at tables that have outgrown what it knows of them; says how many those were. Plans that
    /// connections keep are made anew afterwards. On SQLite nothing is done: there a plan does not follow sizes.
    pub async fn refresh_statistics(&self) -> Result<usize, StoreError> {
        if self.inner.dialect == Dialect::Sqlite {
            return Ok(0);
        }
        let outgrown: Vec<String> = sqlx::query_scalar(OUTGROWN).fetch_all(&self.inner.read).await?;
        for analyze in &outgrown {
            sqlx::query(statement(analyze.clone())).execute(&self.inner.write).await?;
        }
        Ok(outgrown.len())
    }
}
