//! Who is meant by what arrives (R2, R3, R4), line by line and within a batch.

use scimfleet_core::ResourceKind;
use scimfleet_store::{Imported, Store};

use crate::support::{on_both, words};

on_both! {
    async fn a_line_is_created_then_unchanged_then_updated(db: &Database) {
        let line = r#"{"userName":"anna","externalId":"1","name":{"givenName":"Anna","familyName":"A"}}"#;
        let batch = [line, r#"{"userName":"","externalId":"2"}"#, r#"{"userName":"x","active":7}"#];
        let outcomes = words(&db.import(&batch).await);
        assert_eq!(outcomes, ["created", "`userName` is missing or empty", "`active` is not true or false"]);
        assert_eq!(words(&db.import(&[line]).await), ["unchanged"]);
        let change = r#"{"userName":"anna","externalId":"1","name":{"givenName":"Änne"}}"#;
        assert_eq!(words(&db.import(&[change]).await), ["updated"]);
        let row = db.store.find_resources("1").await.unwrap().remove(0);
        assert_eq!(row.document["name"]["familyName"], "A", "absent keeps");
        assert_eq!(row.generation, 2);
        assert_eq!(db.store.count_resources(ResourceKind::User).await.unwrap(), 1);
    }

    async fn absent_keeps_and_null_clears(db: &Database) {
        db.import(&[r#"{"userName":"anna","title":"Dr","name":{"givenName":"A","familyName":"B"}}"#]).await;
        let outcomes = db.import(&[r#"{"userName":"anna","title":null,"name":{"givenName":null}}"#]).await;
        assert_eq!(words(&outcomes), ["updated"]);
        let row = db.store.find_resources("anna").await.unwrap().remove(0);
        assert!(!row.document.contains_key("title"));
        assert_eq!(row.document["name"], serde_json::json!({"familyName": "B"}));
        let fresh = db.import(&[r#"{"userName":"new","title":null,"name":{"givenName":null}}"#]).await;
        assert_eq!(words(&fresh), ["created"]);
        let row = db.store.find_resources("new").await.unwrap().remove(0);
        assert_eq!(serde_json::Value::from(row.document), serde_json::json!({"userName": "new", "name": {}}));
    }

    async fn external_id_goes_before_id_before_name(db: &Database) {
        db.import(&[
            r#"{"id":"id-1","userName":"anna","externalId":"1"}"#,
            r#"{"id":"id-2","userName":"bert"}"#,
        ]).await;
        let outcomes = db.import(&[
            r#"{"id":"id-2","userName":"anna","externalId":"1","title":"by externalId"}"#,
            r#"{"id":"id-2","userName":"bertram","title":"by id"}"#,
            r#"{"userName":"BERTRAM","nickName":"by name"}"#,
        ]).await;
        assert_eq!(words(&outcomes), ["updated", "updated", "updated"]);
        let ids: Vec<_> = outcomes.iter().map(id_of).collect();
        assert_eq!(ids, ["id-1", "id-2", "id-2"]);
    }

    async fn another_external_id_is_another_person(db: &Database) {
        db.import(&[r#"{"userName":"anna","externalId":"1"}"#, r#"{"userName":"bert"}"#]).await;
        let outcomes = db.import(&[
            r#"{"userName":"ANNA","externalId":"2"}"#,
            r#"{"userName":"bert","externalId":"3"}"#,
        ]).await;
        assert_eq!(words(&outcomes), ["userName `ANNA` is taken by externalId `1`", "updated"]);
        assert_eq!(db.id("3").await, db.id("bert").await, "a namesake without externalId is meant");
    }

    async fn ambiguous_group_names_are_refused(db: &Database) {
        let outcomes = db.import(&[
            r#"{"displayName":"Sales","externalId":"1"}"#,
            r#"{"displayName":"sales","externalId":"2"}"#,
            r#"{"displayName":"SALES","description":"x"}"#,
            r#"{"displayName":"Sales","externalId":"2","description":"x"}"#,
        ]).await;
        let expected =
            ["created", "created", "more than one group is called `SALES`: give its externalId or id", "updated"];
        assert_eq!(words(&outcomes), expected);
    }

    async fn another_source_is_refused(db: &Database) {
        db.import_from("scim:hr", &[r#"{"userName":"anna","externalId":"1"}"#]).await;
        let outcomes = words(&db.import_from("import:x", &[r#"{"userName":"anna","title":"Dr"}"#]).await);
        assert!(outcomes[0].contains("belongs to the source `scim:hr`"), "{outcomes:?}");
        assert!(db.store.ids_of_source("import:x", None, 10).await.unwrap().is_empty());
        assert_eq!(db.store.ids_of_source("scim:hr", None, 10).await.unwrap(), [db.id("anna").await]);
    }

    async fn an_id_belongs_to_one_kind(db: &Database) {
        db.import(&[r#"{"id":"x","userName":"anna"}"#]).await;
        let outcomes = words(&db.import(&[r#"{"id":"x","displayName":"Sales"}"#]).await);
        assert_eq!(outcomes, ["the id `x` is a user's: give another, or none"]);
        let other = words(&db.import_from("else", &[r#"{"kind":"group","id":"x","displayName":"S"}"#]).await);
        assert!(other[0].starts_with("the id `x`"), "{other:?}");
        assert_eq!(db.store.find_resources("x").await.unwrap()[0].source, "test");
    }

    async fn names_change_hands_within_a_batch(db: &Database) {
        db.import(&[r#"{"userName":"a","externalId":"1"}"#, r#"{"userName":"b","externalId":"2"}"#]).await;
        let swap = [r#"{"userName":"b","externalId":"1"}"#, r#"{"userName":"a","externalId":"2"}"#];
        assert_eq!(words(&db.import(&swap).await), ["updated", "updated"]);
        assert_eq!((db.id("b").await, db.id("a").await), (db.id("1").await, db.id("2").await));
        let chain = [
            r#"{"userName":"a","externalId":"1"}"#,
            r#"{"userName":"c","externalId":"2"}"#,
            r#"{"userName":"b","externalId":"3"}"#,
        ];
        assert_eq!(words(&db.import(&chain).await), ["updated", "updated", "created"]);
    }

    async fn who_loses_a_name_loses_that_line_only(db: &Database) {
        db.import(&[r#"{"userName":"a","externalId":"1"}"#, r#"{"userName":"b","externalId":"2"}"#]).await;
        let outcomes = words(&db.import(&[
            r#"{"userName":"c","externalId":"1"}"#,
            r#"{"userName":"b","externalId":"9"}"#,
            r#"{"userName":"b","externalId":"1","title":"x"}"#,
            r#"{"userName":"d","externalId":"4"}"#,
            r#"{"userName":"D","externalId":"5"}"#,
            r#"{"externalId":"2","userName":"b","title":"y"}"#,
        ]).await);
        let taken = "userName `b` is taken by externalId `2`";
        assert_eq!(
            outcomes,
            ["updated", taken, taken, "created", "userName `D` is taken by externalId `4`", "updated"]
        );
        assert_eq!(db.id("c").await, db.id("1").await);
        assert!(db.store.find_resources("9").await.unwrap().is_empty());
    }

    async fn an_external_id_that_was_given_up_names_nobody(db: &Database) {
        db.import(&[r#"{"id":"i","userName":"a","externalId":"1"}"#]).await;
        let outcomes = db.import(&[
            r#"{"id":"i","userName":"a","externalId":"2"}"#,
            r#"{"userName":"b","externalId":"1"}"#,
        ]).await;
        assert_eq!(words(&outcomes), ["updated", "created"]);
        assert_ne!(db.id("1").await, db.id("2").await);
    }

    async fn names_are_folded_beyond_ascii(db: &Database) {
        db.import(&[r#"{"userName":"ÄNNE.Straße","title":"x"}"#, r#"{"userName":"Ωmega","externalId":"o"}"#]).await;
        let outcomes = words(&db.import(&[
            r#"{"userName":"änne.straße","title":"y"}"#,
            r#"{"userName":"ωMEGA","externalId":"p"}"#,
        ]).await);
        assert_eq!(outcomes, ["updated", "userName `ωMEGA` is taken by externalId `o`"]);
        assert_eq!(db.store.find_resources("ÄNNE.STRASSE").await.unwrap().len(), 0);
        assert_eq!(db.store.find_resources("Änne.Straße").await.unwrap().len(), 1);
    }

    async fn u0000_is_refused_and_finds_nothing(db: &Database) {
        let outcomes = words(&db.import(&[
            r#"{"userName":"a\u0000b"}"#,
            r#"{"displayName":"g","members":["a\u0000"]}"#,
            r#"{"userName":"ok","title":"\\u0000"}"#,
        ]).await);
        assert_eq!(
            outcomes,
            ["a text contains U+0000", "a member's reference contains U+0000", "created"]
        );
        assert!(db.store.find_resources("a\0b").await.unwrap().is_empty());
        assert_eq!(db.store.find_resources("ok").await.unwrap()[0].document["title"], r"\u0000");
    }

    async fn a_tombstone_is_revived_with_its_id(db: &Database) {
        db.import(&[r#"{"userName":"anna","externalId":"1","title":"Dr"}"#, r#"{"userName":"bert"}"#]).await;
        let ids = db.ids(&["anna", "bert"]).await;
        assert_eq!(db.store.delete_resources(&ids).await.unwrap(), 2);
        assert_eq!(db.store.delete_resources(&ids).await.unwrap(), 0, "only once");
        assert!(db.store.find_resources("anna").await.unwrap().is_empty());
        let outcomes =
            db.import_from("other", &[r#"{"userName":"anna.new","externalId":"1"}"#, r#"{"userName":"Bert"}"#]).await;
        assert_eq!(words(&outcomes), ["created", "created"]);
        assert_eq!(db.ids(&["1", "bert"]).await, ids);
        let row = db.store.find_resources("1").await.unwrap().remove(0);
        assert!(!row.document.contains_key("title"), "nothing of the former life");
        assert_eq!(row.source, "other");
        assert_eq!(row.generation, 3);
    }

    async fn a_live_namesake_hides_tombstones(db: &Database) {
        db.import(&[r#"{"id":"t1","displayName":"Sales"}"#, r#"{"id":"t2","displayName":"Else"}"#]).await;
        db.store.delete_resources(&["t1".parse().unwrap()]).await.unwrap();
        db.import(&[r#"{"id":"t2","displayName":"Sales"}"#]).await;
        assert_eq!(words(&db.import(&[r#"{"displayName":"Sales","description":"y"}"#]).await), ["updated"]);
        db.store.delete_resources(&["t2".parse().unwrap()]).await.unwrap();
        assert_eq!(words(&db.import(&[r#"{"displayName":"Sales"}"#]).await), ["created"]);
        assert_eq!(words(&db.import(&[r#"{"displayName":"sales","description":"z"}"#]).await), ["updated"]);
    }

    async fn two_writers_at_once_make_one_resource(db: &Database) {
        let other = db.other().await;
        for round in 0..20 {
            let line = format!(r#"{{"userName":"u{round}","externalId":"{round}"}}"#);
            let of = |store: Store| {
                let batch = vec![crate::support::incoming(&line)];
                async move { store.import("test", batch).await }
            };
            let (one, two) = tokio::join!(of(db.store.clone()), of(other.clone()));
            let mut words = [words(&one.unwrap()), words(&two.unwrap())].concat();
            words.sort();
            assert_eq!(words, ["created", "unchanged"]);
        }
        other.close().await;
    }

    async fn an_overlay_changes_what_stays_somebody_elses(db: &Database) {
        db.import_from("import:hr", &[r#"{"userName":"anna","externalId":"1","title":"Dr"}"#]).await;
        let line = r#"{"userName":"anna","externalId":"1","nickName":"An"}"#;
        assert!(words(&db.import_from("import:payroll", &[line]).await)[0].contains("belongs to the source `import:hr`"));
        let store = db.other().await.with_overlays(vec!["import:payroll".to_owned(), "scim:okta".to_owned()]);
        let outcomes = store.import("import:payroll", vec![crate::support::incoming(line)]).await.unwrap();
        assert_eq!(words(&outcomes), ["updated"]);
        let anna = db.id("anna").await;
        let row = || async { db.store.resources(std::slice::from_ref(&anna)).await.unwrap().remove(0) };
        assert_eq!((row().await.source.as_str(), row().await.document["title"].as_str()), ("import:hr", Some("Dr")));
        let edit = |before: &scimfleet_store::ResourceRow| {
            let mut document = before.document.clone();
            document.insert("title".to_owned(), "Prof".into());
            Ok::<_, ()>(scimfleet_store::Edit { document: Some(document), ..Default::default() })
        };
        store.modify_resource("scim:okta", ResourceKind::User, &anna, edit).await.unwrap();
        assert_eq!((row().await.source.as_str(), row().await.document["title"].as_str()), ("import:hr", Some("Prof")));
        let refused = store.delete_resource::<()>("scim:okta", ResourceKind::User, &anna, |_| Ok(())).await;
        assert!(matches!(refused, Err(scimfleet_store::WriteError::Foreign { .. })), "{refused:?}");
        let new = r#"{"userName":"new","externalId":"2"}"#;
        store.import("import:payroll", vec![crate::support::incoming(new)]).await.unwrap();
        let new = db.id("new").await;
        assert_eq!(db.store.resources(&[new]).await.unwrap()[0].source, "import:payroll", "what it brings is its own");
        store.close().await;
    }

    async fn lists_are_in_the_order_of_bytes(db: &Database) {
        let ids = ["b", "B", "a", "A", "_", "~", "a-b", "aB", "1"];
        let lines: Vec<String> = ids.iter().map(|id| format!(r#"{{"id":"{id}","userName":"user{}"}}"#, hex(id))).collect();
        db.import(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut seen = Vec::new();
        loop {
            let page = db.store.resources_after(ResourceKind::User, seen.last(), 2).await.unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|row| row.id));
        }
        let mut expected = ids.map(str::to_owned);
        expected.sort();
        assert_eq!(seen.iter().map(scimfleet_core::ResourceId::as_str).collect::<Vec<_>>(), expected);
        assert_eq!(db.store.ids_of_source("test", None, 100).await.unwrap(), seen);
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn id_of(outcome: &Imported) -> String {
    match outcome {
        Imported::Created(id) | Imported::Updated(id) | Imported::Unchanged(id) => id.to_string(),
        Imported::Rejected(rejection) => panic!("{rejection}"),
    }
}
