//! What can go wrong at the database, sorted by what the caller does next.

/// An error of the store. [`StoreError::is_trouble`] tells what passes by itself from what does not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or the connection broke.
    #[error("the database is unreachable: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// The database refused a statement.
    #[error("the database refused a statement: {0}")]
    Refused(#[source] sqlx::Error),
    /// The database URL cannot be used.
    #[error("database URL: {0}; use `sqlite://FILE` or `postgres://USER@HOST/NAME`")]
    Url(String),
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row that this build cannot read.
    #[error("unreadable row in `{table}`: {reason}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] crate::seal::SealError),
    /// A file beside the database could not be used.
    #[error("could not use `{path}`: {source}")]
    File {
        /// The file.
        path: String,
        /// The operating system's words.
        source: std::io::Error,
    },
}

impl StoreError {
    /// Passes by itself: the caller waits and tries again, and loses nothing (R32).
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// PostgreSQL ended the transaction because two of them waited for each other (40P01), or could not be
    /// put in any order (40001).
    pub(crate) fn is_deadlock(&self) -> bool {
        let Self::Unreachable(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| code == "40P01" || code == "40001")
    }

    pub(crate) fn unreadable(table: &'static str, reason: impl ToString) -> Self {
        Self::Unreadable { table, reason: reason.to_string() }
    }
}

/// Class 40 (transaction rollback), 53 (insufficient resources), 57 (operator intervention), 58 and 08
/// (connection) of PostgreSQL pass by themselves; so do SQLITE_BUSY (5) and SQLITE_LOCKED (6).
fn passes_by_itself(code: &str) -> bool {
    ["40", "53", "57", "58", "08"].iter().any(|class| code.len() == 5 && code.starts_with(class))
        || code.parse::<u32>().is_ok_and(|code| code < 100_000 && matches!(code & 0xff, 5 | 6))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                if database.code().is_some_and(|code| passes_by_itself(&code)) {
                    Self::Unreachable(error)
                } else {
                    Self::Refused(error)
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unreachable(error),
            _ => Self::Refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::passes_by_itself;

    #[test]
    fn a_lock_or_a_restart_passes_a_broken_rule_does_not() {
        for code in ["40P01", "40001", "57P01", "08006", "5", "6", "261", "517"] {
            assert!(passes_by_itself(code), "{code}");
        }
        for code in ["23505", "42601", "19", "2067", "1"] {
            assert!(!passes_by_itself(code), "{code}");
        }
    }
}
