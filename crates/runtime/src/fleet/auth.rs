//! `auth` of a provider: how requests are authorised, and where the secret is. A secret is never
//! repeated in a message.

use scimfleet_core::provider::AuthMethod;
use secrecy::SecretString;

use super::Reading;
use super::provider::check_url;
use crate::mistake::suggest;
use crate::reading::{Located, Span, Table};

/// A token of a few kilobytes exists; a larger file is a wrong path.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

const SOURCE_HINT: &str = "write `{ env = \"NAME\" }` or `{ file = \"path\" }`";

impl Reading<'_> {
    /// Reads the method into `method` and returns the secret, if one is named.
    pub(super) fn auth(&mut self, table: &Table<'_, '_>, method: &mut AuthMethod) -> Option<SecretString> {
        let mut auth = table.table("auth")?;
        auth.rename(format!("`auth` of {}", table.place()));
        let kind = match auth.text("kind") {
            Some(kind) => kind,
            None => Located { value: "bearer".to_owned(), span: 0..0 },
        };
        let secret_key = match kind.value.as_str() {
            "bearer" => {
                *method = AuthMethod::Bearer;
                "token"
            }
            "basic" => {
                *method = AuthMethod::Basic { username: needed(&auth, "username", "basic") };
                "password"
            }
            "oauth2" => {
                *method = self.oauth2(&auth);
                "client_secret"
            }
            _ => {
                let hint = suggest(&kind.value, &["bearer", "basic", "oauth2"]);
                auth.note_value("kind", kind.span, format!("unknown word `{}`", kind.value), Some(hint));
                return None;
            }
        };
        let secret = self.secret(&auth, secret_key);
        auth.finish();
        secret
    }

    fn oauth2(&mut self, auth: &Table<'_, '_>) -> AuthMethod {
        const HINT: &str = "such as `https://login.example/oauth2/token`";
        let token_url = auth.needed_text("token_url", HINT).and_then(|found| {
            let url = check_url(auth, "token_url", &found, HINT)?;
            self.warn_if_open(auth, "token_url", &url, &found.span);
            Some(found.value.trim().to_owned())
        });
        AuthMethod::OAuth2 {
            token_url: token_url.unwrap_or_default(),
            client_id: needed(auth, "client_id", "oauth2"),
            scope: auth.text("scope").map(|found| found.value),
        }
    }

    fn secret(&mut self, auth: &Table<'_, '_>, key: &'static str) -> Option<SecretString> {
        let entry = auth.entry(key)?;
        if entry.get_ref().is_str() {
            auth.note_value(key, entry.span(), "a secret does not stand here by itself", Some(SOURCE_HINT.to_owned()));
            return None;
        }
        let mut source = auth.table(key)?;
        source.rename(format!("`{key}` of {}", auth.place()));
        let (env, file, value) = (source.text("env"), source.text("file"), source.text("value"));
        let place = source.place().to_owned();
        source.finish();
        let named = [env.is_some(), file.is_some(), value.is_some()].into_iter().filter(|named| *named).count();
        if named != 1 {
            let what = if named == 0 { "names no source" } else { "names more than one source" };
            auth.note_value(key, entry.span(), what, Some(SOURCE_HINT.to_owned()));
            return None;
        }
        if let Some(found) = &value {
            let message = format!("{place} stands in the file for all to read; {SOURCE_HINT}");
            self.warn(auth.document(), &found.span, &message);
        }
        let (text, span) = match (env, file, value) {
            (Some(name), _, _) => (self.in_environment(auth, key, &name)?, name.span),
            (_, Some(path), _) => (self.in_file(auth, key, &path)?, path.span),
            (_, _, value) => value.map(|found| (found.value, found.span))?,
        };
        sealed(auth, key, &text, span)
    }

    fn in_environment(&self, auth: &Table<'_, '_>, key: &str, name: &Located<String>) -> Option<String> {
        let found = self.context.environment.get(&name.value);
        if found.is_none() {
            let what = format!("the environment variable `{}` is not set", name.value);
            let hint = Some(format!("export {}=… and run again", name.value));
            auth.note_value(key, name.span.clone(), what, hint);
        }
        found.cloned()
    }

    fn in_file(&self, auth: &Table<'_, '_>, key: &str, path: &Located<String>) -> Option<String> {
        let full = self.context.folder.join(&path.value);
        let refuse = |what: String| {
            let hint = Some("a relative path starts at the folder of the fleet file".to_owned());
            auth.note_value(key, path.span.clone(), what, hint);
        };
        match std::fs::metadata(&full) {
            Ok(data) if data.len() > SECRET_BYTES_MAX => {
                refuse(format!("`{}` is larger than 64 KiB", path.value));
                return None;
            }
            _ => {}
        }
        std::fs::read_to_string(&full).map_err(|error| refuse(format!("cannot read `{}`: {error}", path.value))).ok()
    }
}

/// A header cannot hold a line end, and an empty secret is always a mistake.
fn sealed(auth: &Table<'_, '_>, key: &str, text: &str, span: Span) -> Option<SecretString> {
    let text = text.trim();
    if text.is_empty() {
        auth.note_value(key, span, "the secret is empty", None);
        return None;
    }
    if text.chars().any(char::is_control) {
        let hint = Some("a secret is one line".to_owned());
        auth.note_value(key, span, "the secret holds a control character", hint);
        return None;
    }
    Some(SecretString::from(text))
}

fn needed(auth: &Table<'_, '_>, key: &'static str, kind: &str) -> String {
    let hint = format!("`kind = \"{kind}\"` needs it");
    auth.needed_text(key, &hint).map(|found| found.value).unwrap_or_default()
}
