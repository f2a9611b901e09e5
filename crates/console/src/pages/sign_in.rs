//! Signing in by an admin token, and out.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use secrecy::SecretString;
use serde::Deserialize;

use super::render;
use crate::ConsoleState;
use crate::access::{Act, Address, Judgement, Nothing, is_https, refuse_other_sites};
use crate::error::PageError;
use crate::session;
use crate::times::counted;

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage {
    form_token: String,
    words: Option<String>,
}

pub(super) async fn form(headers: HeaderMap) -> Result<Response, PageError> {
    answer(&headers, StatusCode::OK, None)
}

fn answer(headers: &HeaderMap, status: StatusCode, words: Option<String>) -> Result<Response, PageError> {
    let (form_token, cookie) = session::sign_in_token(headers, is_https(headers));
    let mut response = (status, render(&SignInPage { form_token, words })?).into_response();
    if let Some(cookie) = cookie.and_then(|cookie| cookie.parse().ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[derive(Deserialize)]
pub(super) struct SignInForm {
    form_token: String,
    token: String,
}

pub(super) async fn sign_in(
    State(state): State<ConsoleState>,
    Address(address): Address,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, PageError> {
    refuse_other_sites(&headers)?;
    if !session::is_our_sign_in(&headers, &form.form_token) {
        let words = "The form was out of date; please try again. (The browser has to accept cookies.)";
        return answer(&headers, StatusCode::FORBIDDEN, Some(words.to_owned()));
    }
    // A pasted token often has a line break at its end.
    let (status, words) = match state.judge(&SecretString::from(form.token.trim()), address).await? {
        Judgement::Admin(who) => {
            let cookie = state.sessions.open(who, is_https(&headers));
            return Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response());
        }
        Judgement::OtherScope => {
            (StatusCode::FORBIDDEN, "This token is of another scope; the console needs `admin`.".to_owned())
        }
        Judgement::Unknown => (StatusCode::UNAUTHORIZED, "This token does not open the console.".to_owned()),
        Judgement::Slower(wait) => {
            let seconds = counted(wait.as_secs() + 1, "second", "seconds");
            (StatusCode::TOO_MANY_REQUESTS, format!("Too many failed sign-ins; try again in {seconds}."))
        }
    };
    answer(&headers, status, Some(words))
}

pub(super) async fn sign_out(State(state): State<ConsoleState>, act: Act<Nothing>) -> Response {
    let cookie = state.sessions.close(&act.viewer.headers);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response()
}
