//! What an operator decides about a provider: the keys of a fleet file's `[[provider]]` table, as JSON, with the
//! same checks; its token; its examination.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use scimfleet_core::ProviderName;
use scimfleet_core::provider::ProviderSettings;
use scimfleet_runtime::fleet::{FleetContext, FleetProvider, leads_elsewhere, provider_from_json};
use scimfleet_store::{ProviderChange, ProviderRow};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Body, Params, Problem};
use super::providers::{detail, provider, tag};
use super::wire::ProviderDetail;
use crate::ConsoleState;
use crate::settings::{cover, settings_json};

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new().routes(routes!(put)).routes(routes!(plan)).routes(routes!(set_token)).routes(routes!(probe))
}

/// The settings of a request, checked as a fleet file is.
async fn read(state: &ConsoleState, name: &str, table: Map<String, Value>) -> Result<FleetProvider, ApiError> {
    let name = ProviderName::parse(name).map_err(|error| ApiError::Bad(error.to_string()))?;
    let stored = state.store.mappings().await?;
    let context = FleetContext {
        stored_mappings: stored.into_iter().map(|row| row.text.name).collect(),
        ..FleetContext::default()
    };
    let read = provider_from_json(&name, table, &context).map_err(|mistakes| ApiError::Bad(mistakes.to_string()))?;
    if let Some(scope) = &read.settings.scope.users {
        state.insight()?.check_scope(scope).await?;
    }
    Ok(read)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PutParams {
    /// Links are kept although the address leads to another host: it is the same tenant (R35).
    same_tenant: Option<bool>,
}

/// Creates or changes a provider. The body holds the keys of a `[[provider]]` table; what it does not name has its
/// default; a token that it does not name stays. A change needs `If-Match`.
#[utoipa::path(put, path = "/providers/{name}", tag = "providers", request_body = Object,
    params(("name" = String, Path,), PutParams, ("if-match" = Option<String>, Header,)),
    responses((status = 200, body = ProviderDetail), (status = 201, body = ProviderDetail),
        (status = 400, body = Problem), (status = 412, body = Problem), (status = 428, body = Problem)))]
async fn put(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    Params(params): Params<PutParams>,
    headers: HeaderMap,
    Body(table): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let read = read(&state, &name, table).await?;
    let before = state.store.provider(&read.settings.name).await?;
    ApiError::unless_matches(&headers, &name, before.as_ref().map(tag).as_deref())?;
    let (id, done) = state.store.put_provider(&read.settings).await?;
    let moved = before.as_ref().is_some_and(|row| leads_elsewhere(&row.settings, &read.settings));
    if moved && !params.same_tenant.unwrap_or(false) {
        state.store.drop_links(id).await?;
    }
    if let Some(secret) = &read.secret {
        state.store.put_provider_secret(id, secret).await?;
    }
    state.forget_overview().await;
    let mut response = detail(&state, provider(&state.store, &name).await?).await?;
    if done == ProviderChange::Created {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// What settings would change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsPlan {
    /// Settings that differ, by key: before and after.
    #[schema(value_type = Object)]
    differences: BTreeMap<String, (Value, Value)>,
    /// Objects that the scope would let in.
    joiners: u64,
    /// Objects that it would put out.
    leavers: u64,
    /// Links are dropped, and found again by look-up, because the address leads to another host (R35).
    drops_links: bool,
}

/// What settings would change, the scope above all. Nothing is stored.
#[utoipa::path(post, path = "/providers/{name}/plan", tag = "providers", request_body = Object,
    params(("name" = String, Path,)),
    responses((status = 200, body = SettingsPlan), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn plan(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    Body(table): Body<Map<String, Value>>,
) -> Result<Json<SettingsPlan>, ApiError> {
    let before = provider(&state.store, &name).await?;
    let after = read(&state, &name, table).await?.settings;
    let (differences, drops_links) = (differences(&before.settings, &after), leads_elsewhere(&before.settings, &after));
    let (joiners, leavers) = state.insight()?.movers(&ProviderRow { settings: after, ..before }).await?;
    Ok(Json(SettingsPlan { differences, joiners, leavers, drops_links }))
}

fn differences(before: &ProviderSettings, after: &ProviderSettings) -> BTreeMap<String, (Value, Value)> {
    let (before, after) = (settings_json(before), settings_json(&after.without_header_values()));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |fields: &Map<String, Value>, key: &str| fields.get(key).map(cover).unwrap_or_default();
    let differ = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differ.map(|key| (key.clone(), (of(&before, key), of(&after, key)))).collect()
}

/// A provider's secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// The token, password or client secret; it is sealed and never returned.
    token: String,
}

/// Seals the token, password or client secret that requests carry.
#[utoipa::path(post, path = "/providers/{name}/token", tag = "providers", request_body = Secret,
    params(("name" = String, Path,)),
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn set_token(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    Body(secret): Body<Secret>,
) -> Result<StatusCode, ApiError> {
    let row = provider(&state.store, &name).await?;
    let token = secret.token.trim();
    if token.is_empty() || token.contains(['\r', '\n']) {
        return Err(ApiError::Bad("`token` is empty or has a line end in it".to_owned()));
    }
    state.store.put_provider_secret(row.id, &SecretString::from(token)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One thing that was tried.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Finding {
    check: String,
    /// `ok`, `wrong` or `not tried`.
    result: String,
    words: String,
}

/// What an examination showed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProbeBody {
    /// Flaws of what it announces.
    notes: Vec<String>,
    findings: Vec<Finding>,
    /// Values for `[provider.override]`.
    #[schema(value_type = Object)]
    recommended: Map<String, Value>,
    /// Of the provider, afterwards.
    state: String,
}

/// Examines a provider by harmless reads: what it announces, does and gets wrong. One that answers is taken back
/// into service.
#[utoipa::path(post, path = "/providers/{name}/probe", tag = "providers", params(("name" = String, Path,)),
    responses((status = 200, body = ProbeBody), (status = 404, body = Problem), (status = 502, body = Problem)))]
async fn probe(State(state): State<ConsoleState>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let row = provider(&state.store, &name).await?;
    let probe = state.insight()?.probe(&row).await?;
    state.forget_overview().await;
    let now = provider(&state.store, &name).await?.state;
    let findings = probe.findings.into_iter().map(|[check, result, words]| Finding { check, result, words });
    let body = ProbeBody {
        notes: probe.notes,
        findings: findings.collect(),
        recommended: probe.recommended,
        state: now.to_string(),
    };
    Ok(Json(body).into_response())
}
