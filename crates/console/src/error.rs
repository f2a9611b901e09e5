//! What a page cannot show, said so that a person knows what to do next.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use scimfleet_core::ports::QueueError;
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
    /// A form of another site, of a session that ended, or without what it needs.
    #[error("this form is out of date")]
    Form,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The template.
    #[error("the page could not be made: {0}")]
    Template(#[from] askama::Error),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    title: &'static str,
    words: String,
    /// The page is asked for again by itself.
    again: bool,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, page) = match &self {
            Self::SignedOut => return Redirect::to("/sign-in").into_response(),
            Self::Missing(what) => {
                let words = format!("There is no such {what}. It may have been removed, or the address is incomplete.");
                (StatusCode::NOT_FOUND, ErrorPage { title: "Not there", words, again: false })
            }
            Self::Form => {
                let words = "Nothing was done: this form is out of date. Go back, load the page again, and repeat it.";
                (StatusCode::FORBIDDEN, ErrorPage { title: "Out of date", words: words.to_owned(), again: false })
            }
            Self::Queue(error) => {
                tracing::error!(error = %error, "a page could not be shown");
                let words = "The broker does not answer. What is owed stays in the database and is sent later.";
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    ErrorPage { title: "No broker", words: words.to_owned(), again: false },
                )
            }
            Self::Store(_) | Self::Template(_) => {
                tracing::error!(error = %self, "a page could not be shown");
                // What went wrong may name hosts; whoever operates this reads the log.
                let words = "The database does not answer as it should; the log says more. This page tries again.";
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    ErrorPage { title: "No database", words: words.to_owned(), again: true },
                )
            }
        };
        (status, Html(page.render().unwrap_or(page.words))).into_response()
    }
}
