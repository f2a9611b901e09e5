//! Claims (R19) and intents (R20): one object is never held twice, and a lost token writes nothing.

use std::time::Duration;

use scimfleet_core::ResourceId;
use scimfleet_store::Store;

use crate::support::{LONG, on_both};

on_both! {
    async fn two_holders_never_get_one_object(db: &Database) {
        let names: Vec<String> = (0..60).map(|n| format!("u{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let provider = db.provider("acme", &names).await;
        let ids = db.ids(&names).await;
        let other = db.other().await;
        let claim = |store: Store, holder: &'static str, from: usize| {
            let ids: Vec<ResourceId> = ids[from..from + 40].to_vec();
            tokio::spawn(async move { store.claim(provider, holder, &ids, LONG).await.unwrap() })
        };
        let tasks = [
            claim(db.store.clone(), "one", 0),
            claim(other.clone(), "two", 20),
            claim(db.store.clone(), "three", 10),
            claim(other.clone(), "one", 5),
        ];
        let mut got: Vec<ResourceId> = Vec::new();
        for task in tasks {
            let (claimed, held) = task.await.unwrap();
            assert_eq!(claimed.len() + held.len(), 40, "what is not ours is somebody's");
            assert!(held.iter().all(|(_, wait)| (1..=610_000).contains(wait)));
            got.extend(claimed.into_iter().map(|link| link.resource_id));
        }
        got.sort();
        let unique: std::collections::BTreeSet<_> = got.iter().collect();
        assert_eq!((got.len(), unique.len()), (60, 60));
        other.close().await;
    }

    async fn a_lease_expires_and_the_token_grows(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let ids = db.ids(&["anna"]).await;
        let (first, _) = db.store.claim(provider, "one", &ids, Duration::ZERO).await.unwrap();
        let (second, held) = db.store.claim(provider, "two", &ids, LONG).await.unwrap();
        assert_eq!((second.len(), held.len()), (1, 0));
        assert!(second[0].fencing > first[0].fencing);
        let (third, held) = db.store.claim(provider, "two", &ids, LONG).await.unwrap();
        assert_eq!((third.len(), held.len()), (0, 1), "its own other task is told, too");
        assert_eq!(db.store.renew(provider, "one", &first, LONG).await.unwrap(), []);
        assert_eq!(db.store.renew(provider, "two", &second, Duration::ZERO).await.unwrap(), ids);
        assert_eq!(db.store.claim(provider, "one", &ids, LONG).await.unwrap().0.len(), 1);
    }

    async fn objects_without_a_link_are_left_out(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let ids = [db.id("anna").await, "unknown".parse().unwrap()];
        let (claimed, held) = db.store.claim(provider, "one", &ids, LONG).await.unwrap();
        assert_eq!((claimed.len(), held.len()), (1, 0));
        let (claimed, held) = db.store.claim(provider, "one", &[], LONG).await.unwrap();
        assert_eq!((claimed.len(), held.len()), (0, 0));
    }

    async fn an_intent_needs_the_current_token(db: &Database) {
        let provider = db.provider("acme", &["anna", "bert"]).await;
        let ids = db.ids(&["anna", "bert"]).await;
        let (stale, _) = db.store.claim(provider, "one", &ids[..1], Duration::ZERO).await.unwrap();
        let current = db.claim(provider, &ids[0]).await;
        let bert = db.claim(provider, &ids[1]).await;
        let text = r#"{"operation":"create"}"#.to_owned();
        assert_eq!(db.store.intend(provider, &[(&stale[0], text.clone())], LONG).await.unwrap(), []);
        let intents = [(&current, text.clone()), (&stale[0], "stale".to_owned()), (&bert, "b".to_owned())];
        let mut may = db.store.intend(provider, &intents, Duration::ZERO).await.unwrap();
        may.sort();
        let mut expected = ids.clone();
        expected.sort();
        assert_eq!(may, expected);
        let next = db.claim(provider, &ids[0]).await;
        assert_eq!(next.intent.as_deref(), Some(text.as_str()), "the next holder sees it");
    }
}
