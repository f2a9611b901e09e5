//! Secrets at rest and tokens of our own.

use scimfleet_core::ProviderName;
use scimfleet_core::provider::ProviderSettings;
use scimfleet_store::{ProviderChange, Resealed, Store, StoreOptions, TokenScope};
use secrecy::{ExposeSecret, SecretString};

use crate::support::{on_both, sealer, sealers};

on_both! {
    async fn a_secret_comes_back_only_with_its_key(db: &Database) {
        assert!(!db.store.has_secrets().await.unwrap());
        assert!(db.store.secret("acme", "token").await.unwrap().is_none());
        for text in ["first", "canary"] {
            db.store.put_secret("acme", "token", &SecretString::from(text)).await.unwrap();
        }
        assert!(db.store.has_secrets().await.unwrap());
        let secret = db.store.secret("acme", "token").await.unwrap().unwrap();
        assert_eq!(secret.expose_secret(), "canary");
        let other = Store::connect(&StoreOptions::new(&db.url), Some(sealer('E'))).await.unwrap();
        let error = other.secret("acme", "token").await.unwrap_err();
        let words = format!("{error} {error:?}");
        assert!(words.contains("`token` of `acme` was sealed with another key"), "{words}");
        assert!(!words.contains("canary"));
        other.close().await;
        let keyless = Store::connect(&StoreOptions::new(&db.url), None).await.unwrap();
        let error = keyless.secret("acme", "token").await.unwrap_err();
        assert!(error.to_string().contains("SCIMFLEET_SECRETS_KEY"), "{error}");
        keyless.close().await;
    }

    async fn a_key_is_changed_while_everything_runs(db: &Database) {
        let token = SecretString::from("t-1");
        db.store.put_secret("acme", "token", &token).await.unwrap();
        let both = Store::connect(&StoreOptions::new(&db.url), Some(sealers("EA"))).await.unwrap();
        both.put_secret("other", "token", &SecretString::from("t-2")).await.unwrap();
        assert_eq!(both.reseal().await.unwrap(), Resealed { resealed: 1, unopenable: 0 }, "the other one is sealed so");
        assert_eq!(both.reseal().await.unwrap(), Resealed::default());
        let new = Store::connect(&StoreOptions::new(&db.url), Some(sealer('E'))).await.unwrap();
        for (owner, secret) in [("acme", "t-1"), ("other", "t-2")] {
            assert_eq!(new.secret(owner, "token").await.unwrap().unwrap().expose_secret(), secret);
        }
        assert!(db.store.secret("acme", "token").await.is_err(), "the old key opens nothing any more");
        assert_eq!(db.store.reseal().await.unwrap(), Resealed { resealed: 0, unopenable: 2 });
        assert_eq!(new.secret("acme", "token").await.unwrap().unwrap().expose_secret(), "t-1", "nothing was lost by that");
        new.close().await;
        both.close().await;
    }

    async fn values_of_headers_are_sealed_and_never_among_the_settings(db: &Database) {
        let with = |headers: &[(&str, &str)]| {
            let mut settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://acme.example");
            settings.headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            settings
        };
        let put = async |headers: &[(&str, &str)]| db.store.put_provider(&with(headers)).await.unwrap();
        let sent = async |id| {
            let headers = db.store.provider_headers(id).await.unwrap();
            let text = |(name, value): (&String, &SecretString)| format!("{name}={}", value.expose_secret());
            headers.iter().map(text).collect::<Vec<_>>()
        };
        let (id, change) = put(&[("X-Api-Key", "canary-1"), ("X-Tenant", "t")]).await;
        assert_eq!(change, ProviderChange::Created);
        assert_eq!(sent(id).await, ["X-Api-Key=canary-1", "X-Tenant=t"]);
        let row = db.store.providers().await.unwrap().remove(0);
        assert_eq!(row.settings, with(&[("X-Api-Key", ""), ("X-Tenant", "")]), "names only");
        for same in [[("X-Api-Key", "canary-1"), ("X-Tenant", "t")], [("X-Api-Key", ""), ("X-Tenant", "")]] {
            assert_eq!(put(&same).await.1, ProviderChange::Unchanged, "an empty value keeps what is sealed");
        }
        assert_eq!(put(&[("X-Api-Key", "canary-2"), ("X-Tenant", "")]).await.1, ProviderChange::Updated);
        assert_eq!(sent(id).await, ["X-Api-Key=canary-2", "X-Tenant=t"]);
        assert!(db.store.providers().await.unwrap()[0].generation > row.generation, "clients are made anew");
        assert_eq!(put(&[("X-Tenant", "")]).await.1, ProviderChange::Updated);
        assert_eq!(sent(id).await, ["X-Tenant=t"]);
    }

    async fn a_token_opens_until_it_is_revoked(db: &Database) {
        let (row, token) = db.store.create_token("hr", TokenScope::Directory).await.unwrap();
        let (admin, _) = db.store.create_token("ops", TokenScope::Admin).await.unwrap();
        assert_eq!(db.store.token_of(&token).await.unwrap(), Some(row.clone()));
        let mut wrong = token.expose_secret().to_owned();
        wrong.pop();
        assert_eq!(db.store.token_of(&SecretString::from(wrong)).await.unwrap(), None);
        assert_eq!(db.store.revoke_token("hr").await.unwrap(), 1);
        assert_eq!(db.store.token_of(&token).await.unwrap(), None);
        assert_eq!(db.store.revoke_token("hr").await.unwrap(), 0);
        assert_eq!(db.store.revoke_token(&admin.id).await.unwrap(), 1);
        let rows = db.store.tokens().await.unwrap();
        assert!(rows.len() == 2 && rows.iter().all(|row| row.revoked_at_ms.is_some()));
    }
}
