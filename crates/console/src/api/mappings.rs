//! Mappings: their texts, what a draft gives for an object, and what storing it would change.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use scimfleet_core::provider::MappingText;
use scimfleet_store::{MappingRemoval, MappingRow, ProviderRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::explain::PreviewBody;
use super::problem::{ApiError, Body, Problem};
use super::providers::provider;
use super::wire::List;
use crate::ConsoleState;
use crate::levers::Refusal;
use crate::mappings::{self, ImpactAt, OWN};

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put, remove))
        .routes(routes!(attempt))
        .routes(routes!(impact))
}

/// A mapping.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Mapping {
    name: String,
    /// `user` or `group`.
    resource: String,
    /// `builtin`, `fleet` or `console`; only the last can be changed here.
    origin: String,
    /// The body of a function that returns a dict.
    expression: String,
    /// Providers that use it.
    providers: Vec<String>,
}

impl Mapping {
    fn of(row: MappingRow, providers: &[ProviderRow]) -> Self {
        let users = mappings::users(providers, &row.text.name);
        Self {
            providers: users.map(|row| row.settings.name.to_string()).collect(),
            name: row.text.name,
            resource: row.text.resource.to_string(),
            origin: row.origin,
            expression: row.text.expression,
        }
    }
}

/// All mappings, in the order in which they run.
#[utoipa::path(get, path = "/mappings", tag = "mappings", responses((status = 200, body = List<Mapping>)))]
async fn list(State(state): State<ConsoleState>) -> Result<Json<List<Mapping>>, ApiError> {
    let providers = state.store.providers().await?;
    let rows = state.store.mappings().await?;
    Ok(Json(List { items: rows.into_iter().map(|row| Mapping::of(row, &providers)).collect(), next: None }))
}

/// A mapping with its version as ETag.
#[utoipa::path(get, path = "/mappings/{name}", tag = "mappings", params(("name" = String, Path,)),
    responses((status = 200, body = Mapping, headers(("etag" = String))), (status = 404, body = Problem)))]
async fn show(State(state): State<ConsoleState>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let row = mappings::find(&state.store, &name).await?.ok_or_else(|| ApiError::missing("mapping", &name))?;
    answer(&state, StatusCode::OK, row).await
}

async fn answer(state: &ConsoleState, status: StatusCode, row: MappingRow) -> Result<Response, ApiError> {
    let tag = mappings::tag(&row.text);
    let providers = state.store.providers().await?;
    let mut response = (status, Json(Mapping::of(row, &providers))).into_response();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// A text of a mapping.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    /// `user` or `group`.
    resource: String,
    /// The body of a function that returns a dict.
    expression: String,
}

impl Draft {
    fn named(self, name: String) -> Result<MappingText, ApiError> {
        let resource =
            self.resource.parse().map_err(|_| ApiError::Bad("`resource` is `user` or `group`".to_owned()))?;
        Ok(MappingText { name, resource, expression: self.expression })
    }
}

/// Creates or changes a mapping; every object of the providers that use it is looked at again. A change needs
/// `If-Match`. Mappings of a fleet file and built-in ones are not changed here.
#[utoipa::path(put, path = "/mappings/{name}", tag = "mappings", request_body = Draft,
    params(("name" = String, Path,), ("if-match" = Option<String>, Header,)),
    responses((status = 200, body = Mapping), (status = 201, body = Mapping), (status = 400, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 428, body = Problem)))]
async fn put(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(draft): Body<Draft>,
) -> Result<Response, ApiError> {
    let text = draft.named(name)?;
    let stored = mappings::find(&state.store, &text.name).await?;
    if let Some(why) = stored.as_ref().and_then(mappings::read_only) {
        return Err(Refusal::ReadOnly { name: text.name, why }.into());
    }
    let tag = stored.as_ref().map(|row| mappings::tag(&row.text));
    ApiError::unless_matches(&headers, &text.name, tag.as_deref())?;
    mappings::check(state.insight()?, &text).await?;
    state.store.put_mapping(&text, OWN).await?;
    let status = if stored.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    answer(&state, status, MappingRow { text, origin: OWN.to_owned() }).await
}

/// Removes a mapping that no provider uses. Needs `If-Match`. Mappings of a fleet file and built-in ones are not
/// removed here.
#[utoipa::path(delete, path = "/mappings/{name}", tag = "mappings",
    params(("name" = String, Path,), ("if-match" = String, Header,)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 428, body = Problem)))]
async fn remove(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let row = mappings::find(&state.store, &name).await?.ok_or_else(|| ApiError::missing("mapping", &name))?;
    if let Some(why) = mappings::read_only(&row) {
        return Err(Refusal::ReadOnly { name, why }.into());
    }
    ApiError::unless_matches(&headers, &name, Some(&mappings::tag(&row.text)))?;
    match state.store.remove_mapping(&row.text).await? {
        MappingRemoval::Removed => Ok(StatusCode::NO_CONTENT),
        MappingRemoval::Moved => Err(ApiError::Moved(name)),
        MappingRemoval::Used(providers) => {
            let providers = providers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(Refusal::Used { name, providers }.into())
        }
    }
}

/// A text to be tried on one object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attempt {
    /// `user` or `group`.
    resource: String,
    /// The body of a function that returns a dict.
    expression: String,
    /// The provider for which.
    provider: String,
    /// The object's id.
    object: String,
}

/// What would be sent of one object with this text in place of the stored one. Stores nothing, sends nothing.
#[utoipa::path(post, path = "/mappings/{name}/try", tag = "mappings", request_body = Attempt,
    params(("name" = String, Path,)),
    responses((status = 200, body = PreviewBody), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn attempt(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    Body(attempt): Body<Attempt>,
) -> Result<Json<PreviewBody>, ApiError> {
    let row = provider(&state.store, &attempt.provider).await?;
    let object = super::directory::object(&state.store, &attempt.object).await?;
    let text = Draft { resource: attempt.resource, expression: attempt.expression }.named(name)?;
    let insight = state.insight()?;
    insight.check(&text).await?;
    PreviewBody::make(insight, &row, &object, Some(&text)).await.map(Json)
}

/// What storing a text would change at one provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImpactBody {
    provider: String,
    /// Objects that were looked at; null when nobody could say.
    looked_at: Option<u64>,
    /// Whether those are all in scope.
    whole: bool,
    /// Objects of which something else would be sent.
    changed: u64,
    /// Objects whose data could not be sent any more.
    invalid: u64,
    /// Why nobody could say.
    error: Option<String>,
}

impl From<ImpactAt> for ImpactBody {
    fn from(ImpactAt { provider, impact }: ImpactAt) -> Self {
        let error = impact.as_ref().err().cloned();
        let looked_at = impact.as_ref().ok().map(|impact| impact.looked_at);
        let impact = impact.unwrap_or_default();
        Self { provider, looked_at, whole: impact.whole, changed: impact.changed, invalid: impact.invalid, error }
    }
}

/// How many objects a text would change, at each provider that uses the mapping. Stores nothing.
#[utoipa::path(post, path = "/mappings/{name}/impact", tag = "mappings", request_body = Draft,
    params(("name" = String, Path,)), responses((status = 200, body = List<ImpactBody>), (status = 400, body = Problem)))]
async fn impact(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    Body(draft): Body<Draft>,
) -> Result<Json<List<ImpactBody>>, ApiError> {
    let text = draft.named(name)?;
    let insight = state.insight()?;
    mappings::check(insight, &text).await?;
    let impacts = mappings::impacts(insight, &state.store.providers().await?, &text).await;
    Ok(Json(List { items: impacts.into_iter().map(ImpactBody::from).collect(), next: None }))
}
