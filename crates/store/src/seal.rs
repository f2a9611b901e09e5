//! Secrets at rest: XChaCha20-Poly1305 with a key that lives outside the database. The owner and the
//! name are authenticated with the secret, so that a row cannot be copied to another provider.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;

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

/// Seals with one key, and opens with that and with older or coming ones, so that the key can be changed
/// while everything runs. A key file is read again before a secret is sealed, and when a secret turns up that
/// no known key fits.
#[derive(Clone)]
pub struct Sealer {
    keys: Arc<RwLock<Vec<SealKey>>>,
    file: Option<PathBuf>,
}

/// One key. Its id says which it is, and nothing of it.
#[derive(Clone)]
pub(crate) struct SealKey {
    cipher: XChaCha20Poly1305,
    pub(crate) id: String,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<String> = self.known().iter().map(|key| key.id.clone()).collect();
        out.debug_struct("Sealer").field("key_ids", &ids).finish_non_exhaustive()
    }
}

impl Sealer {
    /// From keys in base64 (`SCIMFLEET_SECRETS_KEY`), apart by white space or commas. The first one seals.
    ///
    /// # Errors
    /// [`SealError::BadKey`] when there is none, or one of them is not 32 bytes in base64.
    pub fn from_base64(keys: &SecretString) -> Result<Self, SealError> {
        Ok(Self { keys: Arc::new(RwLock::new(read_keys(keys.expose_secret())?)), file: None })
    }

    /// From a key file with a key a line, the sealing one first; makes the file (mode 0600) when it is missing
    /// and `may_create` says that no sealed row exists yet.
    ///
    /// # Errors
    /// [`SealError`] when the file cannot be used.
    pub fn from_file(path: &Path, may_create: bool) -> Result<Self, SealError> {
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => SecretString::from(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_create => {
                create_key_file(path).map_err(|source| SealError::KeyFile { path: shown, source })?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SealError::KeyLost { path: shown });
            }
            Err(source) => return Err(SealError::KeyFile { path: shown, source }),
        };
        Ok(Self { file: Some(path.to_owned()), ..Self::from_base64(&text)? })
    }

    /// The key that seals now.
    ///
    /// # Errors
    /// [`SealError::NoKey`]: never for a sealer that was made from a key.
    pub(crate) fn current(&self) -> Result<SealKey, SealError> {
        self.read_again();
        self.known().first().cloned().ok_or(SealError::NoKey)
    }

    pub(crate) fn open(&self, owner: &str, name: &str, key_id: &str, sealed: &str) -> Result<SecretString, SealError> {
        let of_id = || self.known().iter().find(|key| key.id == key_id).cloned();
        let key = of_id().or_else(|| {
            self.read_again();
            of_id()
        });
        let opened = key.and_then(|key| key.open(owner, name, sealed));
        opened.ok_or_else(|| SealError::Unopenable {
            owner: owner.to_owned(),
            name: name.to_owned(),
            key_id: key_id.to_owned(),
        })
    }

    /// A file that is gone or half written changes nothing: what is known goes on.
    fn read_again(&self) {
        let text = self.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).map(SecretString::from);
        if let Some(Ok(keys)) = text.map(|text| read_keys(text.expose_secret())) {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Vec<SealKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SealKey {
    fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let key = Key::<XChaCha20Poly1305>::try_from(bytes).map_err(|_| SealError::BadKey)?;
        let id = hex::encode(&Sha256::digest(bytes)[..4]);
        Ok(Self { cipher: XChaCha20Poly1305::new(&key), id })
    }

    pub(crate) fn seal(&self, owner: &str, name: &str, secret: &SecretString) -> Result<String, SealError> {
        let nonce = XNonce::generate();
        let bound = format!("{owner}\0{name}");
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: bound.as_bytes() };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| SealError::BadKey)?;
        Ok(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    fn open(&self, owner: &str, name: &str, sealed: &str) -> Option<SecretString> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let bound = format!("{owner}\0{name}");
        let payload = Payload { msg: ciphertext, aad: bound.as_bytes() };
        let plain = self.cipher.decrypt(&nonce, payload).ok()?;
        String::from_utf8(plain).map(SecretString::from).ok()
    }
}

fn read_keys(text: &str) -> Result<Vec<SealKey>, SealError> {
    let words = text.split(|letter: char| letter.is_whitespace() || letter == ',').filter(|word| !word.is_empty());
    let keys: Vec<SealKey> = words
        .map(|word| STANDARD.decode(word).map_err(|_| SealError::BadKey).and_then(|bytes| SealKey::from_bytes(&bytes)))
        .collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(SealError::BadKey) } else { Ok(keys) }
}

fn create_key_file(path: &Path) -> std::io::Result<SecretString> {
    use std::os::unix::fs::OpenOptionsExt;
    let key = STANDARD.encode(rand::random::<[u8; KEY_BYTES]>());
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{key}")?;
    file.sync_all()?;
    Ok(SecretString::from(key))
}

impl Store {
    pub(crate) fn sealer(&self) -> Result<&Sealer, StoreError> {
        Ok(self.inner.sealer.as_ref().ok_or(SealError::NoKey)?)
    }

    /// Seals a secret in place of the one of the same name.
    pub async fn put_secret(&self, owner: &str, name: &str, secret: &SecretString) -> Result<(), StoreError> {
        let mut connection = self.inner.write.acquire().await?;
        self.write_secret(&mut connection, owner, name, secret).await
    }

    pub(crate) async fn write_secret(
        &self,
        connection: &mut Connection,
        owner: &str,
        name: &str,
        secret: &SecretString,
    ) -> Result<(), StoreError> {
        let key = self.sealer()?.current()?;
        let sealed = key.seal(owner, name, secret)?;
        let sql = "INSERT INTO sealed_secrets (owner, name, key_id, sealed, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (owner, name) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed, \
             created_at = excluded.created_at";
        sqlx::query(sql)
            .bind(owner)
            .bind(name)
            .bind(key.id.as_str())
            .bind(sealed)
            .bind(self.now_ms())
            .execute(connection)
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

    /// Seals again, with the key that seals now, what another known key sealed. Providers keep what they have
    /// open: the secrets are the same. Returns how many were sealed again, and how many no known key opens.
    ///
    /// # Errors
    /// [`StoreError`] of the database; [`SealError::NoKey`] without a key.
    pub async fn reseal(&self) -> Result<Resealed, StoreError> {
        let (sealer, mut done) = (self.sealer()?, Resealed::default());
        let key = sealer.current()?;
        let sql = "SELECT owner, name, key_id, sealed FROM sealed_secrets WHERE key_id <> $1 ORDER BY owner, name";
        let rows = sqlx::query(sql).bind(key.id.as_str()).fetch_all(self.read()).await?;
        for row in rows {
            let (owner, name): (String, String) = (row.try_get("owner")?, row.try_get("name")?);
            let (key_id, sealed): (String, String) = (row.try_get("key_id")?, row.try_get("sealed")?);
            let Ok(secret) = sealer.open(&owner, &name, &key_id, &sealed) else {
                done.unopenable += 1;
                continue;
            };
            // Only in place of what was read: somebody may have put a new secret there meanwhile.
            let sql =
                "UPDATE sealed_secrets SET key_id = $1, sealed = $2 WHERE owner = $3 AND name = $4 AND sealed = $5";
            let query = sqlx::query(sql).bind(key.id.as_str()).bind(key.seal(&owner, &name, &secret)?);
            let query = query.bind(owner).bind(name).bind(sealed);
            done.resealed += query.execute(&self.inner.write).await?.rows_affected();
        }
        Ok(done)
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

/// What [`Store::reseal`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that are sealed with the current key now.
    pub resealed: u64,
    /// Secrets that no known key opens.
    pub unopenable: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; KEY_BYTES])
    }

    fn sealer(byte: u8) -> Sealer {
        Sealer::from_base64(&SecretString::from(key(byte))).unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_only_for_its_owner_and_key() {
        let secret = SecretString::from("canary-token");
        let current = sealer(1).current().unwrap();
        let sealed = current.seal("acme", "token", &secret).unwrap();
        let id = current.id.as_str();
        assert!(!sealed.contains("canary"));
        assert_eq!(sealer(1).open("acme", "token", id, &sealed).unwrap().expose_secret(), "canary-token");
        assert!(sealer(1).open("other", "token", id, &sealed).is_err());
        assert!(sealer(2).open("acme", "token", id, &sealed).is_err());
        assert!(sealer(1).open("acme", "token", id, "AAAA").is_err());
        assert_ne!(sealed, current.seal("acme", "token", &secret).unwrap(), "nonces differ");
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let old = sealer(1).current().unwrap();
        let sealed = old.seal("acme", "token", &SecretString::from("t")).unwrap();
        let both = Sealer::from_base64(&SecretString::from(format!("{}, {}", key(2), key(1)))).unwrap();
        assert_eq!(both.current().unwrap().id, sealer(2).current().unwrap().id);
        assert!(both.open("acme", "token", &old.id, &sealed).is_ok());
        for bad in ["", " , ", "AAAA", &format!("{} short", key(1))] {
            assert!(Sealer::from_base64(&SecretString::from(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_that_was_put_into_the_file_counts_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scimfleet.key");
        std::fs::write(&path, key(1)).unwrap();
        let running = Sealer::from_file(&path, false).unwrap();
        let new = sealer(2).current().unwrap();
        let sealed = new.seal("acme", "token", &SecretString::from("t")).unwrap();
        assert!(running.open("acme", "token", &new.id, &sealed).is_err());
        std::fs::write(&path, format!("{}\n{}\n", key(2), key(1))).unwrap();
        assert!(running.open("acme", "token", &new.id, &sealed).is_ok());
        assert_eq!(running.current().unwrap().id, new.id);
        std::fs::write(&path, "half a k").unwrap();
        assert_eq!(running.current().unwrap().id, new.id, "what is known goes on");
    }

    #[test]
    fn a_key_file_is_made_once_and_never_replaced_when_rows_exist() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scimfleet.key");
        assert!(matches!(Sealer::from_file(&path, false), Err(SealError::KeyLost { .. })));
        let first = Sealer::from_file(&path, true).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Sealer::from_file(&path, false).unwrap();
        assert_eq!(again.current().unwrap().id, first.current().unwrap().id);
    }
}
