//! What travels: the shapes of answers, in the words of the states. Times are milliseconds since 1970 and
//! say so in their names.

mod cluster;
mod objects;
mod providers;
mod runs;

use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::cluster::{Count, Dead, Token, Worker};
pub(crate) use self::objects::{DirectoryObject, LeaverLine, Link, LogLine};
pub(crate) use self::providers::{OverviewBody, ProviderDetail, ProviderSummary};
pub(crate) use self::runs::{Hold, Loss, Run, RunDetail, RunTask};
use super::problem::ApiError;

/// Rows of a page unless the caller says otherwise, and at the most.
const ROWS: usize = 100;
const ROWS_MAX: usize = 500;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows.
    pub(crate) items: Vec<T>,
    /// Where the next page begins; null on the last one.
    pub(crate) next: Option<String>,
}

impl<T> List<T> {
    /// Cuts what was read with one row too many; `key` names the last row of the page.
    pub(crate) fn cut<R>(
        mut rows: Vec<R>,
        limit: usize,
        key: impl Fn(&R) -> String,
        shape: impl FnMut(R) -> T,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(key);
        Self { items: rows.into_iter().map(shape).collect(), next }
    }
}

/// The rows asked for, and that number plus one for the database.
pub(crate) fn limits(limit: Option<usize>) -> Result<(usize, i64), ApiError> {
    let limit = limit.unwrap_or(ROWS);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(ApiError::Bad(format!("`limit` is {limit}; 1 to {ROWS_MAX} are allowed")));
    }
    Ok((limit, i64::try_from(limit).unwrap_or(0) + 1))
}

/// Reads a parameter that may be absent.
pub(crate) fn word<T>(name: &str, text: Option<&String>) -> Result<Option<T>, ApiError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|error| ApiError::Bad(format!("`{name}`: {error}")))).transpose()
}
