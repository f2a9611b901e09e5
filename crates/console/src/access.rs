//! Who may see and do what: the bearer of an admin token by the API, whoever signed in by one on the pages.
//! Every form carries the token of its session; a request from another site is refused before it is read.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Form;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use scimfleet_store::{StoreError, TokenScope};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ConsoleState;
use crate::error::PageError;
use crate::session::{self, Who};

/// The name under which whoever has the token of the environment decides.
const ENVIRONMENT_NAME: &str = "admin";

/// What became of a presented token.
pub(crate) enum Judgement {
    /// It opens the console and the API.
    Admin(Who),
    /// It is known, and opens something else.
    OtherScope,
    /// It is not known.
    Unknown,
    /// Too many wrong ones came from there lately.
    Slower(Duration),
}

impl ConsoleState {
    /// Judges a token; a wrong one counts against the address.
    pub(crate) async fn judge(
        &self,
        presented: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<Judgement, StoreError> {
        if let Some(wait) = self.throttle.wait(address) {
            return Ok(Judgement::Slower(wait));
        }
        let text = presented.expose_secret();
        let known = self.admin_token.as_ref().map(ExposeSecret::expose_secret).filter(|token| !token.is_empty());
        if known.is_some_and(|token| session::same(token, text)) {
            return Ok(Judgement::Admin(Who { name: ENVIRONMENT_NAME.to_owned(), token: None }));
        }
        Ok(match self.store.token_of(presented).await? {
            Some(token) if token.scope == TokenScope::Admin => {
                Judgement::Admin(Who { name: token.name, token: Some(token.id) })
            }
            other => {
                self.throttle.failed(address);
                if other.is_some() { Judgement::OtherScope } else { Judgement::Unknown }
            }
        })
    }

    /// Who is signed in, if the token that opened the session is still good.
    async fn viewer(&self, headers: &HeaderMap) -> Result<Viewer, PageError> {
        let who = self.sessions.who(headers).ok_or(PageError::SignedOut)?;
        if let Some(token) = &who.token
            && !self.store.token_is_valid(token).await?
        {
            self.sessions.close(headers);
            return Err(PageError::SignedOut);
        }
        let form_token = session::form_token(headers).ok_or(PageError::SignedOut)?;
        Ok(Viewer { name: who.name, form_token, headers: headers.clone() })
    }
}

/// Whoever looks at a page.
pub(crate) struct Viewer {
    /// The name of the token that opened the session.
    pub(crate) name: String,
    /// What each form carries.
    pub(crate) form_token: String,
    /// The request's.
    pub(crate) headers: HeaderMap,
}

impl FromRequestParts<ConsoleState> for Viewer {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &ConsoleState) -> Result<Self, PageError> {
        state.viewer(&parts.headers).await
    }
}

#[derive(Deserialize)]
struct SignedForm<T> {
    form_token: String,
    #[serde(flatten)]
    form: T,
}

/// A form that was sent from a page of ours by whoever is signed in.
pub(crate) struct Act<T> {
    pub(crate) viewer: Viewer,
    pub(crate) form: T,
}

impl<T: DeserializeOwned> FromRequest<ConsoleState> for Act<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &ConsoleState) -> Result<Self, PageError> {
        refuse_other_sites(request.headers())?;
        let viewer = state.viewer(request.headers()).await?;
        let Form(signed) = Form::<SignedForm<T>>::from_request(request, state).await.map_err(|_| PageError::Form)?;
        if !session::same(&signed.form_token, &viewer.form_token) {
            return Err(PageError::Form);
        }
        Ok(Self { viewer, form: signed.form })
    }
}

/// A form without fields of its own.
#[derive(Deserialize)]
pub(crate) struct Nothing {}

/// Browsers say where a request comes from (Fetch Metadata, RFC 6454 §7); what says "elsewhere" is refused.
pub(crate) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), PageError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ours = match text("sec-fetch-site") {
        Some(site) => site == "same-origin" || site == "none",
        None => match (text("origin").and_then(|origin| origin.split_once("://")), text(header::HOST.as_str())) {
            (Some((_, origin)), Some(host)) => origin == host,
            _ => true,
        },
    };
    if ours { Ok(()) } else { Err(PageError::Form) }
}

/// Where a request comes from, if the listener told.
pub(crate) struct Address(pub(crate) Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(address(parts)))
    }
}

/// The peer's address, if the listener told.
pub(crate) fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Whether a proxy in front of us took the request over HTTPS.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}
