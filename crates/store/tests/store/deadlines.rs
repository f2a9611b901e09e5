//! Leases on names, and signals from one handle to another.

use std::time::Duration;

use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::{ProviderId, ProviderName};
use scimfleet_store::{Opening, RunKind, Signal};

use crate::support::{LONG, PATIENCE, arrival, on_both};

on_both! {
    async fn a_lease_is_held_by_one(db: &Database) {
        let other = db.other().await;
        let first = db.store.take_lease("scheduler", "one", LONG).await.unwrap().unwrap();
        assert!(other.take_lease("scheduler", "two", LONG).await.unwrap().is_none());
        let renewed = db.store.take_lease("scheduler", "one", LONG).await.unwrap().unwrap();
        assert_eq!(renewed.token, first.token);
        assert!(renewed.expires_at_ms >= first.expires_at_ms);
        assert_eq!(other.lease_holder("scheduler").await.unwrap().as_deref(), Some("one"));
        other.release_lease("scheduler", "two").await.unwrap();
        assert_eq!(other.lease_holder("scheduler").await.unwrap().as_deref(), Some("one"), "only one's own");
        db.store.release_lease("scheduler", "one").await.unwrap();
        assert_eq!(other.lease_holder("scheduler").await.unwrap(), None);
        let second = other.take_lease("scheduler", "two", LONG).await.unwrap().unwrap();
        assert!(second.token > first.token, "a fencing token");
        other.close().await;
    }

    async fn an_expired_lease_is_taken_over_by_one(db: &Database) {
        let first = db.store.take_lease("scheduler", "one", Duration::ZERO).await.unwrap().unwrap();
        let takers = (0..6).map(|n| {
            let store = db.store.clone();
            tokio::spawn(async move { store.take_lease("scheduler", &format!("taker {n}"), LONG).await.unwrap() })
        });
        let taken = futures::future::join_all(takers).await;
        let taken: Vec<_> = taken.into_iter().filter_map(|lease| lease.unwrap()).collect();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].token, first.token + 1);
        assert!(db.store.take_lease("scheduler", "one", LONG).await.unwrap().is_none());
    }

    async fn signals_reach_other_handles(db: &Database) {
        let other = db.other().await;
        let settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://acme.example");
        let mut provider: Option<ProviderId> = None;
        for signal in [Signal::Outbox, Signal::Providers, Signal::Runs] {
            let mut receiver = other.signals().subscribe(signal);
            settled(&other, &mut receiver).await;
            match signal {
                Signal::Outbox => drop(db.store.import("test", vec![arrival("anna")]).await.unwrap()),
                Signal::Providers => provider = Some(db.store.put_provider(&settings).await.unwrap().0),
                Signal::Runs => {
                    db.store.queue_run(provider.unwrap(), RunKind::Full, Opening::Asked).await.unwrap();
                }
            }
            let noticed = tokio::time::timeout(PATIENCE, receiver.changed()).await;
            assert!(noticed.is_ok(), "{signal:?} was not noticed");
        }
        other.close().await;
    }

    async fn signals_reach_their_own_handle_at_once(db: &Database) {
        let mut receiver = db.store.signals().subscribe(Signal::Outbox);
        receiver.mark_unchanged();
        db.store.import("test", vec![arrival("anna")]).await.unwrap();
        assert!(receiver.has_changed().unwrap());
    }
}

/// A handle that has just begun to listen tells everything once; what counts is what comes after. The
/// listener is up once it tells of its own handle's write.
async fn settled(store: &scimfleet_store::Store, receiver: &mut tokio::sync::watch::Receiver<u64>) {
    if !store.is_embedded() {
        tokio::time::timeout(PATIENCE, receiver.wait_for(|count| *count > 0)).await.unwrap().unwrap();
    }
    receiver.mark_unchanged();
}
