//! Tokens for our own interfaces: shown once, kept as a hash. They carry 256 bits of randomness, so a
//! fast hash suffices and a look-up by hash leaks nothing about other tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::word;

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenScope {
    /// `/scim/v2`
    Directory,
    /// `/api/v1` and the dashboard
    Admin,
    /// `/metrics`
    Metrics,
}

impl TokenScope {
    /// The word in commands and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}

impl std::str::FromStr for TokenScope {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "directory" => Ok(Self::Directory),
            "admin" => Ok(Self::Admin),
            "metrics" => Ok(Self::Metrics),
            _ => Err(format!("unknown token scope `{word}`")),
        }
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id, for `token revoke`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it opens.
    pub scope: TokenScope,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970; it opens nothing any more.
    pub revoked_at_ms: Option<i64>,
}

fn hash(token: &SecretString) -> String {
    hex::encode(Sha256::digest(token.expose_secret().as_bytes()))
}

impl Store {
    /// Makes a token; this is the only time that it can be read.
    pub async fn create_token(&self, name: &str, scope: TokenScope) -> Result<(TokenRow, SecretString), StoreError> {
        let bytes: [u8; 32] = rand::random();
        let token = SecretString::from(format!("sf_{}_{}", scope.as_str(), URL_SAFE_NO_PAD.encode(bytes)));
        let row = TokenRow {
            id: self.new_key().to_string(),
            name: name.to_owned(),
            scope,
            created_at_ms: self.now_ms(),
            revoked_at_ms: None,
        };
        let sql = "INSERT INTO api_tokens (id, name, scope, hash, created_at) VALUES ($1, $2, $3, $4, $5)";
        sqlx::query(sql)
            .bind(row.id.as_str())
            .bind(name)
            .bind(scope.as_str())
            .bind(hash(&token))
            .bind(row.created_at_ms)
            .execute(&self.inner.write)
            .await?;
        Ok((row, token))
    }

    /// The tokens, oldest first.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let sql = "SELECT id, name, scope, created_at, revoked_at FROM api_tokens ORDER BY created_at, id";
        sqlx::query(sql).fetch_all(self.read()).await?.iter().map(token_row).collect()
    }

    /// Revokes by id or name; returns how many.
    pub async fn revoke_token(&self, id_or_name: &str) -> Result<u64, StoreError> {
        let sql = "UPDATE api_tokens SET revoked_at = $1 WHERE (id = $2 OR name = $2) AND revoked_at IS NULL";
        let done = sqlx::query(sql).bind(self.now_ms()).bind(id_or_name).execute(&self.inner.write).await?;
        Ok(done.rows_affected())
    }

    /// The token that this text is, if it is known and not revoked.
    pub async fn token_of(&self, presented: &SecretString) -> Result<Option<TokenRow>, StoreError> {
        let sql =
            "SELECT id, name, scope, created_at, revoked_at FROM api_tokens WHERE hash = $1 AND revoked_at IS NULL";
        sqlx::query(sql).bind(hash(presented)).fetch_optional(self.read()).await?.as_ref().map(token_row).transpose()
    }
}

fn token_row(row: &sqlx::any::AnyRow) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        scope: word(row, "api_tokens", "scope")?,
        created_at_ms: row.try_get("created_at")?,
        revoked_at_ms: row.try_get("revoked_at")?,
    })
}
