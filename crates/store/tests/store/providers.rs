//! Providers and mappings: what a change of them makes due.

use scimfleet_core::provider::{MappingText, ProviderSettings};
use scimfleet_core::state::ProviderState;
use scimfleet_core::{ProviderName, ResourceKind};
use scimfleet_store::ProviderChange;
use serde_json::json;

use crate::support::{Database, on_both};

on_both! {
    async fn a_provider_is_put_once_and_changed_by_generation(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        db.settle(provider, &anna).await;
        let mut settings = row(db, "acme").await.settings;
        assert_eq!(db.store.put_provider(&settings).await.unwrap(), (provider, ProviderChange::Unchanged));
        assert!(!db.link(provider, &anna).await.dirty);
        settings.in_flight = 3;
        assert_eq!(db.store.put_provider(&settings).await.unwrap(), (provider, ProviderChange::Updated));
        let changed = row(db, "acme").await;
        assert_eq!((changed.generation, changed.settings.in_flight), (2, 3));
        assert!(db.link(provider, &anna).await.dirty, "every link is looked at again");
    }

    async fn a_mapping_concerns_its_users_only(db: &Database) {
        let acme = db.provider("acme", &["anna"]).await;
        let other = db.provider("other", &[]).await;
        let anna = db.id("anna").await;
        let mut settings = row(db, "acme").await.settings;
        settings.mappings.push("50-department".to_owned());
        db.store.put_provider(&settings).await.unwrap();
        for provider in [acme, other] {
            db.settle(provider, &anna).await;
        }
        let mut mapping = MappingText {
            name: "50-department".to_owned(),
            resource: ResourceKind::User,
            expression: "return {}".to_owned(),
        };
        assert_eq!(db.store.put_mapping(&mapping, "fleet").await.unwrap(), ProviderChange::Created);
        assert!(db.link(acme, &anna).await.dirty, "it was named before it came");
        db.settle(acme, &anna).await;
        assert_eq!(db.store.put_mapping(&mapping, "fleet").await.unwrap(), ProviderChange::Unchanged);
        assert!(!db.link(acme, &anna).await.dirty);
        mapping.expression = "return None".to_owned();
        assert_eq!(db.store.put_mapping(&mapping, "fleet").await.unwrap(), ProviderChange::Updated);
        assert!(db.link(acme, &anna).await.dirty);
        assert!(!db.link(other, &anna).await.dirty);
        assert_eq!(row(db, "other").await.generation, 1);
        assert_eq!(db.store.mappings().await.unwrap()[0].text, mapping);
    }

    async fn states_profiles_and_lessons_are_kept(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        assert_eq!(row(db, "acme").await.state, ProviderState::Active);
        db.store.set_provider_state(provider, ProviderState::Paused, Some("by hand")).await.unwrap();
        let paused = row(db, "acme").await;
        assert_eq!((paused.state, paused.state_reason.as_deref()), (ProviderState::Paused, Some("by hand")));
        db.store.put_announced(provider, &json!({"patch": true})).await.unwrap();
        let lessons = (0..8).map(|n| {
            let store = db.store.clone();
            tokio::spawn(async move { store.remember(provider, &format!("k{n}"), &json!(n)).await })
        });
        for lesson in futures::future::join_all(lessons).await {
            lesson.unwrap().unwrap();
        }
        let known = row(db, "acme").await;
        assert_eq!((known.announced.as_deref().unwrap().clone(), known.remembered.len()), (json!({"patch": true}), 8));
        let mut settings = known.settings;
        settings.base_url = "https://elsewhere.example/v2".to_owned();
        db.store.put_provider(&settings).await.unwrap();
        let moved = row(db, "acme").await;
        assert_eq!((moved.announced, moved.remembered.len()), (None, 0), "another place, other abilities");
        assert!(moved.scope_due);
        db.store.scope_is_current(provider).await.unwrap();
        assert!(!row(db, "acme").await.scope_due);
    }

    async fn removing_a_provider_forgets_its_links_only(db: &Database) {
        let acme = db.provider("acme", &["anna"]).await;
        let other = db.provider("other", &[]).await;
        let anna = db.id("anna").await;
        db.store.remove_provider(acme).await.unwrap();
        let providers: Vec<_> = db.store.links_of(&anna).await.unwrap().iter().map(|link| link.provider_id).collect();
        assert_eq!(providers, [other]);
        let names: Vec<String> = db.store.providers().await.unwrap().iter().map(|row| row.name().to_string()).collect();
        assert_eq!(names, ["other"]);
        let settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://acme.example");
        let (again, change) = db.store.put_provider(&settings).await.unwrap();
        assert_eq!((again == acme, change), (false, ProviderChange::Created));
    }
}

async fn row(db: &Database, name: &str) -> scimfleet_store::ProviderRow {
    db.store.provider(&ProviderName::parse(name).unwrap()).await.unwrap().unwrap()
}
