//! PATCH over the wire; what it makes of a document is proven in the core.

use serde_json::{Value, json};

use crate::support::on_both;

on_both! {
    async fn one_request_changes_many_attributes(server: &Server) {
        let id = server.post("/Users", json!({
            "userName": "anna", "emails": [{"value": "a@w", "type": "work"}, {"value": "a@h", "type": "home"}],
        })).await.created();
        server.changes().await;
        let patched = server.patch(&format!("/Users/{id}"), json!([
            {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "b@w"},
            {"op": "Remove", "path": "emails[type eq \"home\"]"},
            {"op": "Add", "value": {"name.givenName": "Anna", "active": "False"}},
        ])).await.ok();
        assert_eq!(patched.body["emails"], json!([{"value": "b@w", "type": "work"}]));
        assert_eq!((&patched.body["name"]["givenName"], &patched.body["active"]), (&json!("Anna"), &json!(false)));
        assert_eq!((patched.header("etag"), server.changes().await), ("W/\"2\"", vec!["anna deactivated +0 -0".to_owned()]));
    }

    async fn all_of_it_or_nothing(server: &Server) {
        let id = server.user("anna").await;
        server.changes().await;
        for (bad, word) in [
            (json!({"op": "remove", "path": "userName"}), "mutability"),
            (json!({"op": "replace", "path": "userName", "value": ""}), "invalidValue"),
            (json!({"op": "replace", "path": "emails[type eq \"x\"].value", "value": "x"}), "noTarget"),
            (json!({"op": "replace", "path": "nosuch", "value": "x"}), "invalidPath"),
            (json!({"op": "replace", "path": "active", "value": "maybe"}), "invalidValue"),
            (json!({"op": "jump", "path": "title"}), "invalidSyntax"),
        ] {
            let good = json!({"op": "add", "path": "title", "value": "x"});
            server.patch(&format!("/Users/{id}"), json!([good, bad])).await.refused(400, Some(word));
        }
        server.patch(&format!("/Users/{id}"), json!([])).await.refused(400, Some("invalidSyntax"));
        let shown = server.get(&format!("/Users/{id}")).await.ok();
        assert_eq!((&shown.body["title"], server.changes().await.len()), (&Value::Null, 0));
    }

    async fn many_writers_at_once_lose_nothing(server: &Server) {
        let id = server.user("anna").await;
        let path = format!("/Users/{id}");
        let writes = (0..20).map(|n| {
            let (router, token, path) = (server.router.clone(), server.token.clone(), path.clone());
            tokio::spawn(async move {
                let operation = json!({"op": "add", "path": "emails", "value": [{"value": format!("{n}@a.example")}]});
                let body = Some(json!({"Operations": [operation]}));
                crate::support::send(&router, Some(&token), "PATCH", &path, &[], body).await.status
            })
        });
        for write in writes.collect::<Vec<_>>() {
            assert_eq!(write.await.unwrap(), 200);
        }
        let shown = server.get(&path).await.ok();
        assert_eq!((shown.body["emails"].as_array().unwrap().len(), shown.header("etag")), (20, "W/\"21\""));
    }
}
