//! The admin API: JSON over HTTP for whoever has a token of scope `admin`. Each route is mounted together with
//! its description, so that the OpenAPI document cannot lack one. Errors are problem details (RFC 9457); lists
//! are read by keyset.

mod directory;
mod dry_run;
mod explain;
mod holds;
mod mappings;
pub(crate) mod problem;
mod providers;
mod runs;
mod settings;
mod tokens;
mod wire;
mod work;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use secrecy::SecretString;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use crate::ConsoleState;
use crate::access::{Judgement, address};
use crate::api::problem::ApiError;
use crate::insight::Insight;

/// What is the same for all routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Scimfleet admin API", description = "Providers, runs, holds and what became of every object.\n\nEvery route but this document needs a token of scope `admin` as bearer (RFC 6750). Errors are problem details (RFC 9457). A list answers with `items` and `next`; what `next` holds goes into `after` or `before` of the next request."),
    servers((url = "/api/v1")),
    security(("bearer" = [])),
    components(schemas(problem::Problem))
)]
struct Document;

/// Everything under `/api/v1`. Only what is described is mounted.
pub(crate) fn router(state: ConsoleState) -> Router {
    let (routes, document) = described().split_for_parts();
    routes
        .fallback(|| async { ApiError::NoRoute })
        .method_not_allowed_fallback(|| async { ApiError::Method })
        .layer(middleware::from_fn_with_state(state.clone(), authenticate))
        .route("/openapi.json", get(|| async move { Json(document) }))
        .layer(middleware::from_fn(guard_headers))
        .with_state(state)
}

/// The routes with their descriptions.
fn described() -> OpenApiRouter<ConsoleState> {
    let mut document = Document::openapi();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    OpenApiRouter::with_openapi(document)
        .merge(providers::routes())
        .merge(dry_run::routes())
        .merge(settings::routes())
        .merge(mappings::routes())
        .merge(runs::routes())
        .merge(holds::routes())
        .merge(directory::routes())
        .merge(explain::routes())
        .merge(work::routes())
        .merge(tokens::routes())
}

impl ConsoleState {
    /// What answers about mappings, scopes and providers.
    pub(crate) fn insight(&self) -> Result<&dyn Insight, ApiError> {
        self.insight.as_deref().ok_or(ApiError::NoInsight)
    }
}

/// Lets nobody pass without a token of scope `admin`; handlers find out whose it is.
async fn authenticate(State(state): State<ConsoleState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(token) = bearer(parts.headers.get(header::AUTHORIZATION)) else {
        return ApiError::NoToken.into_response();
    };
    match state.judge(&token, address(&parts)).await {
        Ok(Judgement::Admin(who)) => {
            parts.extensions.insert(who);
            next.run(Request::from_parts(parts, body)).await
        }
        Ok(Judgement::OtherScope) => ApiError::OtherScope.into_response(),
        Ok(Judgement::Unknown) => ApiError::NoToken.into_response(),
        Ok(Judgement::Slower(wait)) => ApiError::Slower(wait).into_response(),
        Err(error) => ApiError::from(error).into_response(),
    }
}

fn bearer(value: Option<&HeaderValue>) -> Option<SecretString> {
    let (scheme, token) = value?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| SecretString::from(token))
}

async fn guard_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
