//! Sessions: an admin token opens one; the browser holds a random id, we keep its hash. Failed sign-ins
//! slow everybody down a little, so that nobody tries tokens in a loop.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scimfleet_store::{StoreError, TokenScope};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ConsoleState;

const COOKIE: &str = "scimfleet_session";
/// A working day; then the token is asked for again.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once; the oldest goes. Far more than a team has people.
const SESSIONS_MAX: usize = 1_000;
/// Failed sign-ins within a minute before further ones are refused unread.
const FAILURES_MAX: usize = 10;
const FAILURES_WINDOW: Duration = Duration::from_secs(60);

/// Who is signed in.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<[u8; 32], Instant>>,
    failures: Mutex<Vec<Instant>>,
}

/// What became of a sign-in.
pub(crate) enum SignIn {
    /// The cookie to set.
    Welcome(String),
    /// Not a token that opens this.
    Refused,
    /// Too many failures lately.
    Slower,
}

impl Sessions {
    fn open(&self) -> String {
        let id = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        if let Ok(mut open) = self.open.lock() {
            open.retain(|_, since| since.elapsed() < LASTS);
            if open.len() >= SESSIONS_MAX
                && let Some(oldest) = open.iter().min_by_key(|(_, since)| **since).map(|(id, _)| *id)
            {
                open.remove(&oldest);
            }
            open.insert(hash(&id), Instant::now());
        }
        format!("{COOKIE}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}", LASTS.as_secs())
    }

    /// Whether these headers carry a session that is open.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> bool {
        let Some(id) = cookie(headers) else { return false };
        self.open.lock().is_ok_and(|open| open.get(&hash(&id)).is_some_and(|since| since.elapsed() < LASTS))
    }

    /// Closes the session of these headers; the cookie that forgets it.
    pub(crate) fn close(&self, headers: &HeaderMap) -> String {
        if let (Some(id), Ok(mut open)) = (cookie(headers), self.open.lock()) {
            open.remove(&hash(&id));
        }
        format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")
    }

    fn too_many_failures(&self) -> bool {
        self.failures.lock().is_ok_and(|mut failures| {
            failures.retain(|at| at.elapsed() < FAILURES_WINDOW);
            failures.len() >= FAILURES_MAX
        })
    }

    fn failed(&self) {
        if let Ok(mut failures) = self.failures.lock() {
            failures.push(Instant::now());
        }
    }
}

impl ConsoleState {
    /// Signs in with an admin token: the one from the environment, or a stored one of scope `admin`.
    pub(crate) async fn sign_in(&self, presented: &SecretString) -> Result<SignIn, StoreError> {
        if self.sessions.too_many_failures() {
            return Ok(SignIn::Slower);
        }
        let known = self.admin_token.as_ref().is_some_and(|token| same(token, presented))
            || self.store.token_of(presented).await?.is_some_and(|token| token.scope == TokenScope::Admin);
        if known {
            return Ok(SignIn::Welcome(self.sessions.open()));
        }
        self.sessions.failed();
        Ok(SignIn::Refused)
    }
}

/// Compares hashes, so that neither length nor prefix of the token shows in the time that it takes.
fn same(one: &SecretString, other: &SecretString) -> bool {
    hash(one.expose_secret()).ct_eq(&hash(other.expose_secret())).into()
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::to_owned))
}
