//! What a page cannot show.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use scimfleet_store::StoreError;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// Sign in first.
    #[error("not signed in")]
    SignedOut,
    /// Nothing is there.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The template.
    #[error("the page could not be made: {0}")]
    Template(#[from] askama::Error),
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        match self {
            Self::SignedOut => Redirect::to("/sign-in").into_response(),
            Self::Missing(_) => (StatusCode::NOT_FOUND, Html(self.to_string())).into_response(),
            Self::Store(_) | Self::Template(_) => {
                tracing::error!(error = %self, "a page could not be shown");
                // What went wrong may name hosts; whoever operates this reads the log.
                let words = "The database does not answer as it should; the log says more.";
                (StatusCode::SERVICE_UNAVAILABLE, Html(words)).into_response()
            }
        }
    }
}
