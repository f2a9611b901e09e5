//! `token`: what opens Scimfleet's own interfaces; printed once, stored hashed.

use scimfleet_runtime::Exit;
use scimfleet_store::TokenScope;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::args::{Scope, TokenAction, TokenArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::output::table;
use crate::times::utc;

pub(crate) async fn run(context: Context, args: TokenArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    match args.action {
        TokenAction::Create { scope, name } => {
            let scope = match scope {
                Scope::Directory => TokenScope::Directory,
                Scope::Admin => TokenScope::Admin,
                Scope::Metrics => TokenScope::Metrics,
            };
            let (row, token) = store.create_token(&name, scope).await?;
            let text = token.expose_secret();
            context
                .output
                .print(&json!({ "id": row.id, "name": row.name, "scope": scope.as_str(), "token": text }), || {
                    text.to_owned()
                })?;
        }
        TokenAction::List => {
            let tokens = store.tokens().await?;
            let documents: Vec<_> = tokens
                .iter()
                .map(|token| {
                    json!({ "id": token.id, "name": token.name, "scope": token.scope.as_str(),
                        "created_at_ms": token.created_at_ms, "revoked_at_ms": token.revoked_at_ms })
                })
                .collect();
            context.output.print(&json!({ "tokens": documents }), || {
                let lines = tokens.iter().map(|token| {
                    let state = if token.revoked_at_ms.is_some() { "revoked" } else { "valid" };
                    vec![
                        token.id.clone(),
                        token.name.clone(),
                        token.scope.as_str().to_owned(),
                        state.to_owned(),
                        utc(token.created_at_ms),
                    ]
                });
                table(&["TOKEN", "NAME", "SCOPE", "STATE", "CREATED"], lines)
            })?;
        }
        TokenAction::Revoke { token } => {
            let revoked = store.revoke_token(&token).await?;
            if revoked == 0 {
                return Err(CliError::usage(format!("there is no valid token `{token}`")));
            }
            context.output.print(&json!({ "revoked": revoked }), || format!("{revoked} revoked."))?;
        }
    }
    Ok(Exit::Done)
}
