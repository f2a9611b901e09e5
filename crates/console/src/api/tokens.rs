//! Tokens for our own interfaces: shown once, kept as a hash.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use scimfleet_store::TokenScope;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Body, Problem};
use super::wire::{List, Token};
use crate::ConsoleState;

/// A token's name is part of records and pages.
const NAME_CHARS_MAX: usize = 100;

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// Tokens, oldest first; revoked ones too.
#[utoipa::path(get, path = "/tokens", tag = "tokens", responses((status = 200, body = List<Token>)))]
async fn list(State(state): State<ConsoleState>) -> Result<Json<List<Token>>, ApiError> {
    let rows = state.store.tokens().await?;
    Ok(Json(List { items: rows.into_iter().map(Token::from).collect(), next: None }))
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What people call it.
    name: String,
    /// `directory`, `admin` or `metrics`.
    scope: String,
}

/// A token that was made: the only time that it can be read.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    row: Token,
    /// The token itself.
    token: String,
}

/// Makes a token; the answer shows it once.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 400, body = Problem)))]
async fn create(
    State(state): State<ConsoleState>,
    Body(body): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), ApiError> {
    let scope: TokenScope = body.scope.parse().map_err(ApiError::Bad)?;
    let name = body.name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(ApiError::Bad(format!("`name` has 1 to {NAME_CHARS_MAX} characters")));
    }
    let (row, token) = state.store.create_token(name, scope).await?;
    let made = MadeToken { row: row.into(), token: token.expose_secret().to_owned() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes a token by its id: it opens nothing any more, and sessions that it opened end.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path,)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn revoke(State(state): State<ConsoleState>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    // A name may be that of several tokens: here only the id counts.
    if !state.store.token_is_valid(&id).await? || state.store.revoke_token(&id).await? == 0 {
        return Err(ApiError::missing("valid token", id));
    }
    Ok(StatusCode::NO_CONTENT)
}
