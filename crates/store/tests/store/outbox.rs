//! The outbox (R6, R7): written with the change, deleted by exactly the ids that were read.

use scimfleet_store::Wanted;

use crate::support::{arrival, on_both, verdict};

on_both! {
    async fn every_change_leaves_a_row(db: &Database) {
        db.import(&[r#"{"userName":"anna"}"#, r#"{"displayName":"G","members":["anna"]}"#]).await;
        assert_eq!(db.drain().await, ["G created", "G members +anna", "anna created"]);
        db.import(&[r#"{"userName":"anna"}"#, r#"{"userName":"","externalId":"bad"}"#]).await;
        assert_eq!(db.drain().await, [""; 0], "unchanged and rejected lines leave none");
        db.import(&[r#"{"userName":"anna","title":"x"}"#]).await;
        assert_eq!(db.drain().await, ["anna modified"]);
        db.import(&[r#"{"userName":"anna","active":false}"#]).await;
        assert_eq!(db.drain().await, ["anna deactivated"]);
        db.import(&[r#"{"userName":"anna","title":"y"}"#]).await;
        assert_eq!(db.drain().await, ["anna modified"], "deactivated only once");
        db.store.delete_resources(&[db.id("anna").await]).await.unwrap();
        assert_eq!(db.drain().await, ["G members -anna", "anna deleted"]);
        db.import(&[r#"{"userName":"anna"}"#]).await;
        assert_eq!(db.drain().await, ["anna created"]);
    }

    async fn what_takes_access_away_is_read_before_a_large_import(db: &Database) {
        db.import(&[r#"{"userName":"anna"}"#, r#"{"userName":"bert"}"#, r#"{"displayName":"G","members":["bert"]}"#]).await;
        db.drain().await;
        let newcomers: Vec<String> = (0..30).map(|n| format!(r#"{{"userName":"new{n}"}}"#)).collect();
        db.import(&newcomers.iter().map(String::as_str).collect::<Vec<_>>()).await;
        db.import(&[r#"{"userName":"anna","active":false}"#, r#"{"displayName":"G","members":[]}"#]).await;
        let first = db.store.outbox(10).await.unwrap();
        assert_eq!(first.len(), 10);
        assert!(first[..2].iter().all(scimfleet_store::OutboxRow::takes_away), "{first:?}");
        assert!(!first[2..].iter().any(scimfleet_store::OutboxRow::takes_away), "{first:?}");
        db.store.relay(&first, &[]).await.unwrap();
        assert_eq!(db.store.count_outbox().await.unwrap(), 22);
        db.store.delete_resources(&[db.id("bert").await]).await.unwrap();
        assert!(db.store.outbox(1).await.unwrap()[0].takes_away());
    }

    async fn a_change_that_fails_leaves_no_row(db: &Database) {
        db.import(&[r#"{"id":"x","userName":"anna","externalId":"1"}"#]).await;
        db.drain().await;
        let other = db.other().await;
        sql(&db.url, "ALTER TABLE memberships RENAME TO elsewhere").await;
        let batch = vec![arrival("bert"), crate::support::incoming(r#"{"displayName":"G","members":["x"]}"#)];
        assert!(other.import("test", batch).await.is_err());
        sql(&db.url, "ALTER TABLE elsewhere RENAME TO memberships").await;
        assert_eq!(other.count_outbox().await.unwrap(), 0);
        assert!(other.find_resources("bert").await.unwrap().is_empty());
        other.close().await;
    }

    async fn relaying_marks_and_deletes_what_was_read(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        db.settle(provider, &anna).await;
        db.drain().await;
        db.import(&[r#"{"userName":"anna","externalId":"anna","title":"x"}"#]).await;
        let read = db.store.outbox(10).await.unwrap();
        db.import(&[r#"{"userName":"anna","externalId":"anna","title":"y"}"#]).await;
        db.store.relay(&read, &[(provider, vec![verdict(&anna, Wanted::Yes, true)])]).await.unwrap();
        assert_eq!(db.store.count_outbox().await.unwrap(), 1, "the later one stays");
        assert!(db.link(provider, &anna).await.dirty);
    }
}

async fn sql(url: &str, text: &'static str) {
    use sqlx::Connection;
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    sqlx::query(text).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
