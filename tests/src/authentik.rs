//! The stand-in for authentik's API (`tests/interop/authentik`).

use serde_json::Value;

use crate::process::Interop;

/// A running stand-in.
#[derive(Debug)]
pub struct Authentik {
    server: Interop,
    /// authentik's own address.
    pub url: String,
    /// A token of its API.
    pub token: String,
}

impl Authentik {
    /// Starts one; `extra` is further environment, such as the number of `USERS`.
    ///
    /// # Panics
    /// When it does not come up in time.
    pub fn start(extra: &[(&str, &str)]) -> Self {
        let server = Interop::start("authentik", "", extra);
        Self { url: server.base_url.clone(), token: server.token.clone(), server }
    }

    /// Has it do something, or something to it.
    ///
    /// # Panics
    /// When it does not.
    pub fn control(&self, what: &str, body: &Value) -> Value {
        crate::loopback::exchange(&format!("{}/control/{what}", self.url), "POST", &self.server.token, Some(body))
    }
}
