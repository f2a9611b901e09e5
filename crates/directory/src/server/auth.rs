//! Who asks: a bearer token (RFC 6750), kept as a hash. Whoever has none, a wrong one or a revoked one gets
//! one and the same answer.

use axum::http::{HeaderMap, header};
use scimfleet_store::TokenScope;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::ServerState;
use super::answer::ScimError;

/// The name under which whoever has the token of the environment writes.
const ENVIRONMENT_NAME: &str = "directory";

/// What the source of everything begins with that a client writes (R2).
pub(super) const SOURCE_PREFIX: &str = "scim:";

/// The source of what this request writes (R2).
pub(super) async fn source_of(state: &ServerState, headers: &HeaderMap) -> Result<String, ScimError> {
    let refused = || ScimError::new(401, None, "a valid bearer token is needed");
    let presented = bearer(headers).ok_or_else(refused)?;
    if state.token.as_ref().is_some_and(|token| same(token, &presented)) {
        return Ok(format!("{SOURCE_PREFIX}{ENVIRONMENT_NAME}"));
    }
    let token = state.store.token_of(&presented).await?.ok_or_else(refused)?;
    match token.scope {
        TokenScope::Directory => Ok(format!("{SOURCE_PREFIX}{}", token.name)),
        TokenScope::Admin | TokenScope::Metrics => {
            Err(ScimError::new(403, None, "this token is of another scope; `directory` is needed"))
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| SecretString::from(token.to_owned()))
}

/// Digests are of one length, so that the time tells nothing.
fn same(left: &SecretString, right: &SecretString) -> bool {
    let digest = |secret: &SecretString| Sha256::digest(secret.expose_secret().as_bytes());
    !left.expose_secret().is_empty() && bool::from(digest(left).ct_eq(&digest(right)))
}
