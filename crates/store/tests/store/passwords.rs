//! Passwords on their way: sealed, delivered provider by provider, erased.

use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::{ProviderId, ProviderName, ResourceId, ResourceKind};
use scimfleet_store::{
    DeliveredPassword, Edit, Imported, NewResource, PASSWORD_KEPT_MS, Password, Store, StoreOptions, TaskRecord,
    WriteError,
};
use secrecy::ExposeSecret;

use crate::support::{Database, arrival, execute_on, in_sync, on_both};

async fn provider(db: &Database, name: &str, passwords: bool) -> ProviderId {
    let mut settings = ProviderSettings::new(ProviderName::parse(name).unwrap(), "https://acme.example/scim/v2");
    settings.passwords = passwords;
    db.store.put_provider(&settings).await.unwrap().0
}

/// What a provider lacks of one user: version and password.
async fn lacking(db: &Database, provider: ProviderId, user: &ResourceId) -> Option<(DeliveredPassword, String)> {
    let mut found = db.store.pending_passwords(provider, std::slice::from_ref(user)).await.unwrap();
    let pending = found.remove(user)?;
    let delivered = DeliveredPassword { resource_id: user.clone(), version: pending.version };
    Some((delivered, pending.secret.expose_secret().to_owned()))
}

async fn edit(store: &Store, user: &ResourceId, password: &str) -> Result<(), WriteError<()>> {
    let edit = Edit { password: Some(Password::new(password)), ..Edit::default() };
    store.modify_resource("test", ResourceKind::User, user, |_| Ok(edit)).await.map(drop)
}

on_both! {
    async fn a_password_is_kept_until_everybody_has_it(db: &Database) {
        let (acme, beta, gamma) = (provider(db, "acme", true).await, provider(db, "beta", true).await, provider(db, "gamma", false).await);
        db.store.import("test", vec![arrival("anna")]).await.unwrap();
        let anna = db.id("anna").await;
        db.drain().await;
        edit(&db.store, &anna, "canary-one").await.unwrap();
        assert_eq!(db.drain().await, ["anna password"], "the links are looked at, although the document is as before");
        assert!(lacking(db, gamma, &anna).await.is_none());
        let (first, text) = lacking(db, acme, &anna).await.unwrap();
        assert_eq!(text, "canary-one");
        // A newer one comes while the first is on its way: it stays owed.
        edit(&db.store, &anna, "canary-two").await.unwrap();
        db.store.passwords_delivered(acme, std::slice::from_ref(&first)).await.unwrap();
        let (second, text) = lacking(db, acme, &anna).await.unwrap();
        assert!(text == "canary-two" && second.version != first.version);
        db.store.passwords_delivered(acme, std::slice::from_ref(&second)).await.unwrap();
        assert!(lacking(db, acme, &anna).await.is_none());
        assert_eq!(lacking(db, beta, &anna).await.unwrap().1, "canary-two");
        assert!(db.store.has_secrets().await.unwrap());
        db.store.passwords_delivered(beta, &[second]).await.unwrap();
        assert!(!db.store.has_secrets().await.unwrap(), "erased when nobody lacks it");
    }

    async fn providers_that_are_done_at_once_erase_it_together(db: &Database) {
        let providers = [provider(db, "acme", true).await, provider(db, "beta", true).await];
        db.store.import("test", vec![arrival("anna")]).await.unwrap();
        let anna = db.id("anna").await;
        for round in 0..10 {
            edit(&db.store, &anna, &format!("canary-{round}")).await.unwrap();
            let version = lacking(db, providers[0], &anna).await.unwrap().0;
            let list = [version];
            let done = providers.map(|provider| db.store.passwords_delivered(provider, &list));
            futures::future::try_join_all(done).await.unwrap();
            assert!(!db.store.has_secrets().await.unwrap(), "round {round}");
        }
    }

    async fn a_task_that_lost_its_object_has_delivered_nothing(db: &Database) {
        let acme = provider(db, "acme", true).await;
        db.store.import("test", vec![arrival("anna")]).await.unwrap();
        db.store.want_everything(acme).await.unwrap();
        let anna = db.id("anna").await;
        edit(&db.store, &anna, "canary").await.unwrap();
        let link = db.claim(acme, &anna).await;
        let (delivered, _) = lacking(db, acme, &anna).await.unwrap();
        let mut stale = in_sync(&link);
        stale.fencing -= 1;
        let record = |result| TaskRecord { results: vec![result], passwords: vec![delivered.clone()], ..TaskRecord::default() };
        assert_eq!(db.store.record(acme, &record(stale)).await.unwrap().stale, std::slice::from_ref(&anna));
        assert!(lacking(db, acme, &anna).await.is_some());
        db.store.record(acme, &record(in_sync(&link))).await.unwrap();
        assert!(lacking(db, acme, &anna).await.is_none() && !db.store.has_secrets().await.unwrap());
    }

    async fn nobody_takes_it_so_nobody_keeps_it(db: &Database) {
        let gamma = provider(db, "gamma", false).await;
        let document = arrival("anna").attributes;
        let new = NewResource { kind: ResourceKind::User, document, members: Vec::new(), password: Some(Password::new("canary")) };
        let row = db.store.create_resource::<()>("test", new).await.unwrap();
        edit(&db.store, &row.id, "canary").await.unwrap();
        assert!(!db.store.has_secrets().await.unwrap() && lacking(db, gamma, &row.id).await.is_none());
        assert_eq!(db.drain().await, ["anna created"]);
        let keyless = Store::connect(&StoreOptions::new(&db.url), None).await.unwrap();
        edit(&keyless, &row.id, "canary").await.unwrap();
        provider(db, "acme", true).await;
        let refused = edit(&keyless, &row.id, "canary").await.unwrap_err();
        assert!(refused.to_string().contains("SCIMFLEET_SECRETS_KEY"), "{refused}");
        keyless.close().await;
    }

    async fn an_import_brings_passwords_too(db: &Database) {
        let acme = provider(db, "acme", true).await;
        let with = |name: &str, password: &str| {
            let mut incoming = arrival(name);
            incoming.password = Some(Password::new(password));
            incoming
        };
        let batch = vec![with("anna", "canary-a"), arrival("ben"), with("cleo", "canary-c")];
        db.store.import("test", batch).await.unwrap();
        let [anna, ben, cleo] = db.ids(&["anna", "ben", "cleo"]).await.try_into().unwrap();
        for (user, expected) in [(&anna, Some("canary-a")), (&ben, None), (&cleo, Some("canary-c"))] {
            assert_eq!(lacking(db, acme, user).await.map(|found| found.1).as_deref(), expected);
        }
        let outcomes = db.store.import("test", vec![with("anna", "canary-new"), arrival("ben")]).await.unwrap();
        assert_eq!(outcomes, [Imported::Updated(anna.clone()), Imported::Unchanged(ben)]);
        assert_eq!(lacking(db, acme, &anna).await.unwrap().1, "canary-new");
        db.store.delete_resources(&[anna.clone(), cleo]).await.unwrap();
        assert!(lacking(db, acme, &anna).await.is_none() && !db.store.has_secrets().await.unwrap());
    }

    async fn what_is_a_day_old_or_lacked_by_nobody_is_erased(db: &Database) {
        let (acme, _beta) = (provider(db, "acme", true).await, provider(db, "beta", true).await);
        db.store.import("test", vec![arrival("anna"), arrival("ben")]).await.unwrap();
        let [anna, ben] = db.ids(&["anna", "ben"]).await.try_into().unwrap();
        for user in [&anna, &ben] {
            assert!(db.store.seal_password(user, &Password::new("canary")).await.unwrap());
        }
        assert_eq!(db.store.erase_expired_passwords().await.unwrap(), 0);
        let sql = format!("UPDATE sealed_secrets SET created_at = created_at - {PASSWORD_KEPT_MS} WHERE owner = 'resource:{anna}'");
        execute_on(db, sql).await;
        assert_eq!(db.store.erase_expired_passwords().await.unwrap(), 1);
        assert!(lacking(db, acme, &anna).await.is_none());
        assert_eq!(lacking(db, acme, &ben).await.unwrap().1, "canary");
        provider(db, "acme", false).await;
        assert!(lacking(db, acme, &ben).await.is_none());
        provider(db, "beta", false).await;
        assert_eq!(db.store.erase_expired_passwords().await.unwrap(), 1);
        assert!(!db.store.has_secrets().await.unwrap());
        assert!(!db.store.takes_passwords().await.unwrap());
    }
}
