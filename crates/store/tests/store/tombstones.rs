//! What deleting leaves behind: who reported to whom, and tombstones until they are forgotten.

use std::convert::Infallible;

use scimfleet_core::ResourceKind;
use scimfleet_core::state::LinkState;
use scimfleet_store::{Edit, NewResource, ResourceRow, TaskRecord, Wanted};

use crate::support::{Database, in_sync, on_both, verdict};

fn report(name: &str, manager: &str) -> String {
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    serde_json::json!({"userName": name, "externalId": name, enterprise: {"manager": {"value": manager}}}).to_string()
}

async fn is_known(db: &Database, id: &scimfleet_core::ResourceId) -> bool {
    !db.store.resources(std::slice::from_ref(id)).await.unwrap().is_empty()
}

on_both! {
    async fn who_reported_to_a_deleted_manager_is_looked_at(db: &Database) {
        db.import(&[r#"{"id":"id-boss","userName":"Boss","externalId":"E-1"}"#, r#"{"userName":"other","externalId":"E-2"}"#]).await;
        let lines = [report("by-external-id", "E-1"), report("by-name", "bOSS"), report("by-id", "id-boss"), report("of-another", "E-2")];
        db.import(&lines.each_ref().map(String::as_str)).await;
        db.drain().await;
        let boss = db.id("E-1").await;
        db.store.delete_resources(std::slice::from_ref(&boss)).await.unwrap();
        assert_eq!(db.drain().await, ["Boss deleted", "by-external-id modified", "by-id modified", "by-name modified"]);
        db.store.delete_resources(&[db.id("by-name").await]).await.unwrap();
        assert_eq!(db.drain().await, ["by-name deleted"], "nobody reports to her");
    }

    async fn who_named_a_manager_before_there_was_one_is_looked_at(db: &Database) {
        let lines = [report("by-external-id", "E-1"), report("by-name", "bOSS"), report("by-id", "id-boss"), report("of-another", "E-2")];
        db.import(&lines.each_ref().map(String::as_str)).await;
        db.drain().await;
        db.import(&[r#"{"id":"id-boss","userName":"Boss","externalId":"E-1"}"#]).await;
        assert_eq!(db.drain().await, ["Boss created", "by-external-id modified", "by-id modified", "by-name modified"]);
        db.import(&[r#"{"id":"id-boss","userName":"Boss","externalId":"E-1","title":"Head"}"#]).await;
        assert_eq!(db.drain().await, ["Boss modified"], "she is named as before");
        db.import(&[r#"{"id":"id-boss","userName":"Chief","externalId":"E-1"}"#]).await;
        assert_eq!(db.drain().await, ["Chief modified", "by-external-id modified", "by-id modified"]);
    }

    async fn a_manager_who_is_created_one_by_one_is_found(db: &Database) {
        db.import(&[&report("early", "boss"), &report("late", "chief")]).await;
        db.drain().await;
        let document = |name: &str| serde_json::json!({ "userName": name }).as_object().unwrap().clone();
        let new = NewResource { kind: ResourceKind::User, document: document("boss"), members: Vec::new(), password: None };
        let boss = db.store.create_resource::<Infallible>("api", new).await.unwrap();
        assert_eq!(db.drain().await, ["boss created", "early modified"]);
        let edit = |_: &ResourceRow| Ok::<_, Infallible>(Edit { document: Some(document("chief")), ..Edit::default() });
        db.store.modify_resource("api", ResourceKind::User, &boss.id, edit).await.unwrap();
        assert_eq!(db.drain().await, ["chief modified", "late modified"]);
    }

    async fn a_tombstone_is_forgotten_when_every_account_is_gone(db: &Database) {
        let (acme, beta) = (db.provider("acme", &["anna", "ben"]).await, db.provider("beta", &["anna"]).await);
        let [anna, ben] = db.ids(&["anna", "ben"]).await.try_into().unwrap();
        for provider in [acme, beta] {
            db.settle(provider, &anna).await;
        }
        db.drain().await;
        db.store.delete_resources(std::slice::from_ref(&anna)).await.unwrap();
        assert_eq!(db.store.purge_tombstones(0, 10).await.unwrap(), 0, "the change was not relayed yet");
        db.drain().await;
        for provider in [acme, beta] {
            db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Deleted, true)]).await.unwrap();
            assert_eq!(db.store.purge_tombstones(0, 10).await.unwrap(), 0, "an account is left");
            let link = db.claim(provider, &anna).await;
            assert_eq!(db.store.purge_tombstones(0, 10).await.unwrap(), 0, "somebody is at it");
            let mut result = in_sync(&link);
            (result.state, result.remote_id) = (LinkState::Gone, None);
            db.store.record(provider, &TaskRecord { results: vec![result], ..TaskRecord::default() }).await.unwrap();
        }
        assert_eq!(db.store.purge_tombstones(3_600_000, 10).await.unwrap(), 0, "she may come back");
        assert_eq!(db.store.purge_tombstones(0, 10).await.unwrap(), 1);
        assert!(!is_known(db, &anna).await && is_known(db, &ben).await);
        assert!(db.store.links_of(&anna).await.unwrap().is_empty());
        assert_eq!(db.store.purge_tombstones(0, 10).await.unwrap(), 0);
    }
}
