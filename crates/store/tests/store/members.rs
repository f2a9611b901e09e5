//! Memberships (R1): named before they arrive, nested, in circles, and gone with whoever leaves.

use crate::support::{incoming, on_both, words};

on_both! {
    async fn members_are_named_by_external_id_name_or_id(db: &Database) {
        db.import(&[
            r#"{"userName":"anna","externalId":"1"}"#,
            r#"{"userName":"Bert@x","externalId":"2"}"#,
            r#"{"id":"c-3","userName":"carl"}"#,
            r#"{"displayName":"Inner","externalId":"g"}"#,
            r#"{"displayName":"Staff","members":["1","BERT@X","c-3","g","nobody","1"]}"#,
        ]).await;
        assert_eq!(db.members("Staff").await, ["Bert@x", "Inner", "anna", "carl"]);
        let unresolved = db.store.unresolved_members(10).await.unwrap();
        assert_eq!(unresolved, [("Staff".to_owned(), "nobody".to_owned())]);
    }

    async fn members_that_arrive_later_take_their_places(db: &Database) {
        db.import(&[r#"{"displayName":"Staff","members":["1","BERT@X","c-3","g","dora"]}"#]).await;
        assert_eq!(db.store.count_unresolved_members().await.unwrap(), 5);
        db.drain().await;
        db.import(&[r#"{"userName":"anna","externalId":"1"}"#, r#"{"userName":"bert@X"}"#]).await;
        db.import(&[r#"{"id":"c-3","userName":"carl"}"#, r#"{"displayName":"Inner","externalId":"g"}"#]).await;
        assert_eq!(db.members("Staff").await, ["Inner", "anna", "bert@X", "carl"]);
        let changes = db.drain().await;
        assert!(changes.contains(&"Staff members +anna +bert@X".to_owned()), "{changes:?}");
        db.import(&[r#"{"userName":"dörthe","externalId":"d"}"#]).await;
        db.import(&[r#"{"userName":"Dora","externalId":"d"}"#]).await;
        assert_eq!(db.store.count_unresolved_members().await.unwrap(), 0, "a new name is an arrival, too");
    }

    async fn one_reference_is_taken_by_one(db: &Database) {
        db.import(&[r#"{"displayName":"Staff","members":["7"]}"#]).await;
        db.import(&[r#"{"displayName":"Seven","externalId":"7"}"#, r#"{"userName":"anna","externalId":"7"}"#]).await;
        assert_eq!(db.members("Staff").await, ["anna"], "a user goes before a group");
    }

    async fn a_list_replaces_the_one_before(db: &Database) {
        db.import(&[r#"{"userName":"a"}"#, r#"{"userName":"b"}"#, r#"{"userName":"c"}"#]).await;
        db.import(&[r#"{"displayName":"G","members":["a","b","later"]}"#]).await;
        db.drain().await;
        assert_eq!(words(&db.import(&[r#"{"displayName":"G","description":"x"}"#]).await), ["updated"]);
        assert_eq!(db.members("G").await, ["a", "b"], "absent keeps");
        db.drain().await;
        assert_eq!(words(&db.import(&[r#"{"displayName":"G","members":["b","c"]}"#]).await), ["updated"]);
        assert_eq!(db.drain().await, ["G members +c -a"]);
        assert_eq!(words(&db.import(&[r#"{"displayName":"G","members":["c","b"]}"#]).await), ["unchanged"]);
        assert_eq!(db.drain().await, [""; 0]);
        assert_eq!(db.store.count_unresolved_members().await.unwrap(), 0);
        db.import(&[r#"{"displayName":"G","members":["a"]}"#, r#"{"displayName":"G","members":["c"]}"#]).await;
        assert_eq!(db.members("G").await, ["c"], "the later line of a batch counts");
    }

    async fn groups_nest_and_circles_end(db: &Database) {
        db.import(&[r#"{"userName":"anna"}"#, r#"{"userName":"bert"}"#]).await;
        let lines = [
            r#"{"displayName":"A","externalId":"A","members":["B","anna","A"]}"#,
            r#"{"displayName":"B","externalId":"B","members":["C"]}"#,
            r#"{"displayName":"C","externalId":"C","members":["A","bert"]}"#,
        ];
        db.import(&lines).await;
        db.import(&lines).await;
        assert_eq!(db.members("A").await, ["B", "anna"], "never in itself");
        let bert = db.id("bert").await;
        let groups = db.store.groups_of(std::slice::from_ref(&bert)).await.unwrap();
        let mut names: Vec<_> = groups.iter().map(|row| row.group.name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["A", "B", "C"]);
        let (closure, unknown) = db.store.group_closure(&["B".to_owned(), "none".to_owned()]).await.unwrap();
        assert_eq!((closure.len(), unknown), (3, vec!["none".to_owned()]));
        let users = db.store.users_under(&[db.id("B").await]).await.unwrap();
        assert_eq!(users.len(), 2);
        let c = db.id("C").await;
        assert_eq!(db.store.members_among(&[bert.clone(), db.id("anna").await], &[c]).await.unwrap(), [bert]);
    }

    async fn a_group_is_found_beside_a_user_of_its_name(db: &Database) {
        db.import(&[r#"{"userName":"u","externalId":"Staff"}"#, r#"{"displayName":"Staff"}"#]).await;
        let (closure, unknown) = db.store.group_closure(&["Staff".to_owned()]).await.unwrap();
        assert_eq!((closure.len(), unknown.len()), (1, 0));
    }

    async fn deletion_takes_memberships_with_it(db: &Database) {
        db.import(&[r#"{"userName":"anna"}"#, r#"{"userName":"bert"}"#]).await;
        db.import(&[
            r#"{"displayName":"One","members":["anna","bert","later"]}"#,
            r#"{"displayName":"Two","members":["anna"]}"#,
        ]).await;
        db.drain().await;
        let gone = db.ids(&["anna", "Two"]).await;
        assert_eq!(db.store.delete_resources(&gone).await.unwrap(), 2);
        assert_eq!(db.members("One").await, ["bert"]);
        assert!(db.store.members_after(&gone[1], None, 10).await.unwrap().is_empty());
        let changes = db.drain().await;
        assert!(changes.contains(&"One members -anna".to_owned()), "{changes:?}");
        assert!(changes.contains(&"anna deleted".to_owned()) && changes.contains(&"Two deleted".to_owned()));
        db.import(&[r#"{"userName":"anna"}"#]).await;
        assert_eq!(db.members("One").await, ["bert"], "who comes back is no member until named again");
    }

    async fn whoever_was_inside_of_a_deleted_group_left_those_around_it(db: &Database) {
        db.import(&[r#"{"userName":"anna"}"#, r#"{"userName":"bert"}"#]).await;
        db.import(&[
            r#"{"displayName":"Core","externalId":"Core","members":["anna"]}"#,
            r#"{"displayName":"Inner","externalId":"Inner","members":["Core","bert"]}"#,
            r#"{"displayName":"Outer","externalId":"Outer","members":["Inner"]}"#,
        ]).await;
        db.drain().await;
        db.store.delete_resources(&[db.id("Inner").await]).await.unwrap();
        let changes = db.drain().await;
        let outer: Vec<&str> = changes.iter().filter_map(|change| change.strip_prefix("Outer members ")).collect();
        let mut left: Vec<&str> = outer.iter().flat_map(|names| names.split(' ')).collect();
        left.sort_unstable();
        assert_eq!(left, ["-Core", "-Inner", "-anna", "-bert"], "{changes:?}");
    }

    async fn a_member_names_its_groups(db: &Database) {
        db.import(&[r#"{"userName":"anna"}"#, r#"{"userName":"bert"}"#, r#"{"displayName":"Old","externalId":"o"}"#]).await;
        db.import_from("else", &[r#"{"displayName":"Foreign","members":["anna"]}"#]).await;
        db.import(&[r#"{"displayName":"Twin","externalId":"1"}"#, r#"{"displayName":"twin","externalId":"2"}"#]).await;
        let ids = db.ids(&["anna", "bert"]).await;
        let wish = |id: &scimfleet_core::ResourceId, names: &[&str]| {
            (id.clone(), names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        db.drain().await;
        let wishes = [wish(&ids[0], &["o", "New", "Foreign"]), wish(&ids[1], &["NEW", "old", "Twin", "2"])];
        let set = db.store.set_groups("test", &wishes).await.unwrap();
        assert_eq!((set.named.len(), set.created.len(), set.changed.len()), (3, 1, 2));
        let mut refused: Vec<&str> = set.refused.iter().map(|(name, _)| name.as_str()).collect();
        refused.sort_unstable();
        assert_eq!(refused, ["Foreign", "Twin"]);
        assert_eq!(db.members("new").await, ["anna", "bert"]);
        assert_eq!(db.members("o").await, ["anna", "bert"]);
        assert_eq!(db.members("2").await, ["bert"]);
        let changes = db.drain().await;
        assert!(changes.contains(&"Old members +anna +bert".to_owned()), "{changes:?}");
        assert_eq!(db.store.set_groups("test", &wishes).await.unwrap().changed, []);
        assert_eq!(db.drain().await, [""; 0]);
        let set = db.store.set_groups("test", &[wish(&ids[0], &["o"]), wish(&ids[1], &[])]).await.unwrap();
        assert_eq!(set.changed.len(), 2);
        assert_eq!((db.members("NEW").await.len(), db.members("o").await), (0, vec!["anna".to_owned()]));
        assert_eq!(db.members("Foreign").await, ["anna"], "of another source");
    }

    async fn a_member_and_its_group_never_pass_each_other(db: &Database) {
        let other = db.other().await;
        for round in 0..40 {
            let user = incoming(&format!(r#"{{"userName":"u{round}"}}"#));
            let group = incoming(&format!(r#"{{"displayName":"g{round}","members":["U{round}"]}}"#));
            let (one, two) = tokio::join!(
                tokio::spawn({ let store = db.store.clone(); async move { store.import("test", vec![user]).await } }),
                tokio::spawn({ let store = other.clone(); async move { store.import("test", vec![group]).await } }),
            );
            assert_eq!((one.unwrap().unwrap().len(), two.unwrap().unwrap().len()), (1, 1));
            assert_eq!(db.members(&format!("g{round}")).await, [format!("u{round}")], "round {round}");
        }
        other.close().await;
    }
}
