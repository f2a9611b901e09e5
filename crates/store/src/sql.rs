//! The little that differs between the two databases, and how a whole batch travels as one parameter.

use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row, SqlSafeStr, SqlStr};

use crate::error::StoreError;

/// Which database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

/// The type of a column of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    Text(&'static str),
    Int(&'static str),
}

impl Dialect {
    /// A table expression named `b` over parameter `$n`, a JSON array of objects with these columns.
    /// One statement then serves a hundred objects on either database.
    pub(crate) fn batch(self, n: usize, columns: &[Column]) -> String {
        let list = columns.iter().map(|column| self.column(*column)).collect::<Vec<_>>().join(", ");
        match self {
            Self::Postgres => format!("jsonb_to_recordset(CAST(${n} AS jsonb)) AS b({list})"),
            // The binary form: the text of each row would be parsed again for each of its columns.
            Self::Sqlite => format!("(SELECT {list} FROM jsonb_each(${n})) AS b"),
        }
    }

    fn column(self, column: Column) -> String {
        match (self, column) {
            (Self::Postgres, Column::Text(name)) => format!("{name} text COLLATE \"C\""),
            (Self::Postgres, Column::Int(name)) => format!("{name} bigint"),
            (Self::Sqlite, Column::Text(name) | Column::Int(name)) => format!("value ->> '{name}' AS {name}"),
        }
    }

    /// A table expression named `b` with one text column `id` over parameter `$n`, a JSON array of texts.
    pub(crate) fn texts(self, n: usize) -> String {
        match self {
            Self::Postgres => {
                format!("(SELECT value COLLATE \"C\" AS id FROM jsonb_array_elements_text(CAST(${n} AS jsonb))) AS b")
            }
            Self::Sqlite => format!("(SELECT value AS id FROM json_each(${n})) AS b"),
        }
    }
}

/// Several columns as one text: the driver does a lot for each column of each row, so that a wide row costs more
/// on its way to us than in the database. [`unpack`] takes them apart.
impl Dialect {
    pub(crate) fn packed(self, columns: &str) -> String {
        match self {
            Self::Postgres => format!("CAST(json_build_array({columns}) AS TEXT)"),
            Self::Sqlite => format!("json_array({columns})"),
        }
    }
}

/// The columns that [`Dialect::packed`] put together, as a tuple in their order.
pub(crate) fn unpack<'a, T: serde::Deserialize<'a>>(text: &'a str, table: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::unreadable(table, error.to_string()))
}

/// A word of one of the vocabularies, out of a packed row.
pub(crate) fn parsed<T>(text: &str, table: &'static str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| StoreError::unreadable(table, error.to_string()))
}

/// The JSON parameter of a batch. What is serialised here are our own plain structs.
///
/// U+0000, which PostgreSQL cannot hold, was refused at the door of the directory; what is left comes in
/// the words of providers, and must not stop a whole task from being recorded.
pub(crate) fn json<T: Serialize + ?Sized>(batch: &T) -> String {
    let text = serde_json::to_string(batch).unwrap_or_else(|_| "[]".to_owned());
    if text.contains(NUL) { without_nul(&text) } else { text }
}

/// How JSON writes U+0000.
const NUL: &str = r"\u0000";

/// Puts U+FFFD in place of U+0000; a backslash that is itself escaped is no beginning of it.
fn without_nul(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        let escape = if rest[at..].starts_with(NUL) { NUL.len() } else { 2 };
        clean.push_str(if escape == 2 { &rest[at..at + 2] } else { "\u{fffd}" });
        rest = &rest[at + escape..];
    }
    clean + rest
}

/// A statement composed of our own fragments; values travel as parameters only.
pub(crate) fn statement(text: String) -> SqlStr {
    AssertSqlSafe(text).into_sql_str()
}

/// Reads a word of one of the vocabularies.
pub(crate) fn word<T>(row: &AnyRow, table: &'static str, column: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| StoreError::unreadable(table, format!("column `{column}`: {error}")))
}

/// Reads a word that may be absent.
pub(crate) fn optional_word<T>(row: &AnyRow, table: &'static str, column: &str) -> Result<Option<T>, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error| StoreError::unreadable(table, format!("column `{column}`: {error}"))))
        .transpose()
}

/// Reads a JSON column.
pub(crate) fn document<T: serde::de::DeserializeOwned>(
    row: &AnyRow,
    table: &'static str,
    column: &str,
) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|error| StoreError::unreadable(table, format!("column `{column}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn nul_is_replaced_and_nothing_else() {
        let cases = [
            ("a\0b", "\"a\u{fffd}b\""),
            (r"\u0000", r#""\\u0000""#),
            ("\\\\\0", "\"\\\\\\\\\u{fffd}\""),
            ("ä\n\0ü\"", "\"ä\\n\u{fffd}ü\\\"\""),
        ];
        for (text, expected) in cases {
            assert_eq!(json(text), expected);
        }
    }
}
