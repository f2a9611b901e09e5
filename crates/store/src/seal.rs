//! Secrets at rest: XChaCha20-Poly1305 with a key that lives outside the database. The owner and the
//! name are authenticated with the secret, so that a row cannot be copied to another provider.

use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// Why a secret could not be sealed or opened. Never contains any of it.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Nobody gave a key.
    #[error("no sealing key: set SCIMFLEET_SECRETS_KEY (base64, 32 bytes) or `[secrets] key_file`")]
    NoKey,
    /// Not 32 bytes in base64.
    #[error("the sealing key is not 32 bytes in base64")]
    BadKey,
    /// The key file cannot be used.
    #[error("could not use the key file `{path}`: {source}")]
    KeyFile {
        /// The file.
        path: String,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// Sealed rows exist, the key does not: making a new one would lose them (R34).
    #[error("the key file `{path}` is missing, but the database holds sealed secrets: restore the file")]
    KeyLost {
        /// The file.
        path: String,
    },
    /// The row was sealed with another key, or changed.
    #[error("the secret `{name}` of `{owner}` was sealed with another key (id {key_id}) or was changed")]
    Unopenable {
        /// Whose secret.
        owner: String,
        /// Which.
        name: String,
        /// The id of the key that it was sealed with.
        key_id: String,
    },
}

/// Seals and opens secrets with one key.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    key_id: String,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sealer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Sealer {
    /// From a key in base64 (`SCIMFLEET_SECRETS_KEY`).
    pub fn from_base64(key: &SecretString) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(key.expose_secret().trim()).map_err(|_| SealError::BadKey)?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let key = Key::<XChaCha20Poly1305>::try_from(bytes).map_err(|_| SealError::BadKey)?;
        let key_id = hex::encode(&Sha256::digest(bytes)[..4]);
        Ok(Self { cipher: XChaCha20Poly1305::new(&key), key_id })
    }

    /// From a key file; makes the file (mode 0600) when it is missing and `may_create` says that no
    /// sealed row exists yet.
    pub fn from_file(path: &Path, may_create: bool) -> Result<Self, SealError> {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_base64(&SecretString::from(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_create => create_key_file(path)
                .map_err(|source| SealError::KeyFile { path: shown, source })
                .and_then(|key| Self::from_bytes(&key)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SealError::KeyLost { path: shown }),
            Err(source) => Err(SealError::KeyFile { path: shown, source }),
        }
    }

    /// Which key it is, without saying anything of it.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(crate) fn seal(&self, owner: &str, name: &str, secret: &SecretString) -> Result<String, SealError> {
        let nonce = XNonce::generate();
        let bound = format!("{owner}\0{name}");
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: bound.as_bytes() };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| SealError::BadKey)?;
        Ok(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    pub(crate) fn open(&self, owner: &str, name: &str, key_id: &str, sealed: &str) -> Result<SecretString, SealError> {
        let unopenable =
            || SealError::Unopenable { owner: owner.to_owned(), name: name.to_owned(), key_id: key_id.to_owned() };
        let bytes = STANDARD.decode(sealed).map_err(|_| unopenable())?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(unopenable)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| unopenable())?;
        let bound = format!("{owner}\0{name}");
        let payload = Payload { msg: ciphertext, aad: bound.as_bytes() };
        let plain = self.cipher.decrypt(&nonce, payload).map_err(|_| unopenable())?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| unopenable())
    }
}

fn create_key_file(path: &Path) -> std::io::Result<[u8; KEY_BYTES]> {
    use std::os::unix::fs::OpenOptionsExt;
    let key: [u8; KEY_BYTES] = rand::random();
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    file.sync_all()?;
    Ok(key)
}

impl Store {
    pub(crate) fn sealer(&self) -> Result<&Sealer, StoreError> {
        Ok(self.inner.sealer.as_ref().ok_or(SealError::NoKey)?)
    }

    /// Seals a secret in place of the one of the same name.
    pub async fn put_secret(&self, owner: &str, name: &str, secret: &SecretString) -> Result<(), StoreError> {
        let sealer = self.sealer()?;
        let sealed = sealer.seal(owner, name, secret)?;
        let sql = "INSERT INTO sealed_secrets (owner, name, key_id, sealed, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (owner, name) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed, \
             created_at = excluded.created_at";
        sqlx::query(sql)
            .bind(owner)
            .bind(name)
            .bind(sealer.key_id.as_str())
            .bind(sealed)
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        Ok(())
    }

    /// Opens a secret; `None` when there is none of that name.
    pub async fn secret(&self, owner: &str, name: &str) -> Result<Option<SecretString>, StoreError> {
        let sql = "SELECT key_id, sealed FROM sealed_secrets WHERE owner = $1 AND name = $2";
        let Some(row) = sqlx::query(sql).bind(owner).bind(name).fetch_optional(self.read()).await? else {
            return Ok(None);
        };
        let key_id: String = row.try_get("key_id")?;
        let sealed: String = row.try_get("sealed")?;
        Ok(Some(self.sealer()?.open(owner, name, &key_id, &sealed)?))
    }

    /// Whether any sealed row exists: then the key must never be made anew (R34).
    pub async fn has_secrets(&self) -> Result<bool, StoreError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT CAST(count(*) AS BIGINT) FROM (SELECT 1 FROM sealed_secrets LIMIT 1) AS any_row",
        )
        .fetch_one(self.read())
        .await?;
        Ok(count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::from_bytes(&[byte; KEY_BYTES]).unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_only_for_its_owner_and_key() {
        let secret = SecretString::from("canary-token");
        let sealed = sealer(1).seal("acme", "token", &secret).unwrap();
        assert!(!sealed.contains("canary"));
        assert_eq!(sealer(1).open("acme", "token", "k", &sealed).unwrap().expose_secret(), "canary-token");
        assert!(sealer(1).open("other", "token", "k", &sealed).is_err());
        assert!(sealer(2).open("acme", "token", "k", &sealed).is_err());
        assert!(sealer(1).open("acme", "token", "k", "AAAA").is_err());
        assert_ne!(sealed, sealer(1).seal("acme", "token", &secret).unwrap(), "nonces differ");
    }

    #[test]
    fn a_key_file_is_made_once_and_never_replaced_when_rows_exist() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scimfleet.key");
        assert!(matches!(Sealer::from_file(&path, false), Err(SealError::KeyLost { .. })));
        let first = Sealer::from_file(&path, true).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Sealer::from_file(&path, false).unwrap().key_id, first.key_id);
    }
}
