//! Bringing the schema up to date, also from several processes at once.

use futures::future::join_all;
use scimfleet_store::StoreOptions;

use crate::support::{Database, Kind, run_empty};

async fn migrate_at_once(db: &Database) {
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(db.other().await);
    }
    let tasks = stores.iter().cloned().map(|store| tokio::spawn(async move { store.migrate().await }));
    for outcome in join_all(tasks).await {
        outcome.unwrap().unwrap();
    }
    db.store.migrate().await.unwrap();
    db.store.migrate().await.unwrap();
    assert_eq!(db.store.count_outbox().await.unwrap(), 0);
    db.store.healthy().await.unwrap();
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_migrate_at_once_on_sqlite() {
    run_empty(Kind::Sqlite, async |db| migrate_at_once(db).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_migrate_at_once_on_postgres() {
    run_empty(Kind::Postgres, async |db| migrate_at_once(db).await).await;
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_named_without_its_password() {
    for url in ["mysql://root:hunter2@x/y", "hunter2", "postgres://u:hunter2@["] {
        let error = scimfleet_store::Store::connect(&StoreOptions::new(url), None).await.unwrap_err();
        let words = format!("{error} {error:?}");
        assert!(words.contains("URL") || words.contains("Url"), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}
