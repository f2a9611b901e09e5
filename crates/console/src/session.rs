//! Sessions: an admin token opens one; the browser holds a random id, this process keeps its hash. The id
//! itself makes the token that every form carries, so that nothing else has to be remembered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const COOKIE: &str = "scimfleet_session";
/// Stands in for a session on the sign-in form, so that nobody signs a browser in from another site.
const FORM_COOKIE: &str = "scimfleet_form";
/// A working day; then the token is asked for again.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once; the oldest goes. Far more than a team has people.
const SESSIONS_MAX: usize = 1_000;

/// Who signed in, and by which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// The token's name, for the record of decisions.
    pub(crate) name: String,
    /// The stored token's id; `None` for the one from the environment.
    pub(crate) token: Option<String>,
}

struct Session {
    since: Instant,
    who: Who,
    notice: Option<String>,
}

/// Who is signed in.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session; the cookie to set. `https`: the browser must not send it over plain HTTP.
    pub(crate) fn open(&self, who: Who, https: bool) -> String {
        let id = random();
        let mut open = self.lock();
        open.retain(|_, session| session.since.elapsed() < LASTS);
        if open.len() >= SESSIONS_MAX
            && let Some(oldest) = open.iter().min_by_key(|(_, session)| session.since).map(|(id, _)| *id)
        {
            open.remove(&oldest);
        }
        open.insert(hash(&id), Session { since: Instant::now(), who, notice: None });
        set_cookie(COOKIE, &id, LASTS, https)
    }

    /// Who these headers belong to, if their session is open.
    pub(crate) fn who(&self, headers: &HeaderMap) -> Option<Who> {
        let id = hash(&cookie(headers, COOKIE)?);
        self.lock().get(&id).filter(|session| session.since.elapsed() < LASTS).map(|session| session.who.clone())
    }

    /// Closes the session of these headers; the cookie that forgets it.
    pub(crate) fn close(&self, headers: &HeaderMap) -> String {
        if let Some(id) = cookie(headers, COOKIE) {
            self.lock().remove(&hash(&id));
        }
        set_cookie(COOKIE, "", Duration::ZERO, false)
    }

    /// What the next page of this session says first.
    pub(crate) fn notify(&self, headers: &HeaderMap, words: String) {
        if let Some(id) = cookie(headers, COOKIE)
            && let Some(session) = self.lock().get_mut(&hash(&id))
        {
            session.notice = Some(words);
        }
    }

    /// Takes what the next page says first.
    pub(crate) fn take_notice(&self, headers: &HeaderMap) -> Option<String> {
        let id = hash(&cookie(headers, COOKIE)?);
        self.lock().get_mut(&id)?.notice.take()
    }
}

/// The token that the forms of this session carry.
pub(crate) fn form_token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, COOKIE).map(|id| token_of(&id))
}

/// The token of the sign-in form, with the cookie that goes with it if the browser has none.
pub(crate) fn sign_in_token(headers: &HeaderMap, https: bool) -> (String, Option<String>) {
    match cookie(headers, FORM_COOKIE) {
        Some(id) => (token_of(&id), None),
        None => {
            let id = random();
            (token_of(&id), Some(set_cookie(FORM_COOKIE, &id, LASTS, https)))
        }
    }
}

/// Whether the sign-in form came from a page of ours.
pub(crate) fn is_our_sign_in(headers: &HeaderMap, presented: &str) -> bool {
    cookie(headers, FORM_COOKIE).is_some_and(|id| same(&token_of(&id), presented))
}

/// Compares hashes, so that neither length nor prefix shows in the time that it takes.
pub(crate) fn same(one: &str, other: &str) -> bool {
    hash(one).ct_eq(&hash(other)).into()
}

fn token_of(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(&format!("form:{id}")))
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn set_cookie(name: &str, value: &str, lasts: Duration, https: bool) -> String {
    let secure = if https { "; Secure" } else { "" };
    format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}", lasts.as_secs())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';'));
    let value = pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('=').map(str::to_owned))?;
    Some(value).filter(|value| !value.is_empty())
}
