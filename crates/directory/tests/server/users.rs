//! Creating, reading, replacing and deleting users; versions, uniqueness, sources, tokens.

use scimfleet_core::ResourceKind;
use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::{ProviderName, ResourceId};
use scimfleet_store::{IncomingResource, TokenScope};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::{TOKEN, on_both, send};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

on_both! {
    async fn a_user_lives_and_dies(server: &Server) {
        let created = server.post("/Users", json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "id": "mine", "meta": {"version": "x"}, "groups": [{"value": "g"}],
            "UserName": "anna", "externalId": "E-1", "active": "True",
            "name": {"givenName": "Anna"}, "emails": [{"value": "anna@a.example", "primary": true}],
            ENTERPRISE: {"department": "R&D", "manager": "9"},
            "urn:example:1.0:Thing": {"colour": "red"}, "attributes": {"kind": "staff"},
        })).await;
        let id = created.body["id"].as_str().unwrap().to_owned();
        assert_ne!(id, "mine");
        let location = format!("http://directory.example/scim/v2/Users/{id}");
        assert_eq!((created.status, created.header("location"), created.header("etag")), (201, location.as_str(), "W/\"1\""));
        let shown = server.get(&format!("/Users/{id}")).await.ok().body;
        assert_eq!(shown, created.body);
        assert_eq!(shown["schemas"], json!([
            "urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE, "urn:example:1.0:Thing",
        ]));
        assert_eq!((&shown["userName"], &shown["active"], &shown["groups"]), (&json!("anna"), &json!(true), &Value::Null));
        assert_eq!(shown[ENTERPRISE], json!({"department": "R&D", "manager": {"value": "9"}}));
        assert_eq!((&shown["attributes"]["kind"], &shown["urn:example:1.0:Thing"]["colour"]), (&json!("staff"), &json!("red")));
        assert_eq!((&shown["meta"]["version"], &shown["meta"]["location"]), (&json!("W/\"1\""), &json!(location)));
        assert_eq!(server.changes().await, ["anna created +0 -0"]);

        let replaced = server.put(&format!("/Users/{id}"), json!({"userName": "anna", "active": false})).await.ok();
        assert_eq!((replaced.header("etag"), &replaced.body["name"]), ("W/\"2\"", &Value::Null));
        assert_eq!(server.changes().await, ["anna deactivated +0 -0"]);

        assert_eq!(server.delete(&format!("/Users/{id}")).await.status, 204);
        assert_eq!(server.changes().await, ["anna deleted +0 -0"]);
        server.get(&format!("/Users/{id}")).await.refused(404, None);
        server.delete(&format!("/Users/{id}")).await.refused(404, None);
        server.put(&format!("/Users/{id}"), json!({"userName": "anna"})).await.refused(404, None);
        server.patch(&format!("/Users/{id}"), json!([{"op": "add", "path": "title", "value": "x"}])).await.refused(404, None);
    }

    async fn nothing_differs_nothing_is_written(server: &Server) {
        let id = server.user("anna").await;
        server.changes().await;
        let same = server.put(&format!("/Users/{id}"), json!({"userName": "anna"})).await.ok();
        assert_eq!((same.header("etag"), server.changes().await.len()), ("W/\"1\"", 0));
    }

    async fn names_are_unique_whatever_their_case(server: &Server) {
        let first = server.post("/Users", json!({"userName": "Anna", "externalId": "e1"})).await.created();
        server.post("/Users", json!({"userName": "anna"})).await.refused(409, Some("uniqueness"));
        server.post("/Users", json!({"userName": "bob", "externalId": "e1"})).await.refused(409, Some("uniqueness"));
        let second = server.user("bob").await;
        server.put(&format!("/Users/{second}"), json!({"userName": "ANNA"})).await.refused(409, Some("uniqueness"));
        let taken = json!([{"op": "replace", "path": "externalId", "value": "e1"}]);
        server.patch(&format!("/Users/{second}"), taken).await.refused(409, Some("uniqueness"));
        server.put(&format!("/Users/{first}"), json!({"userName": "ANNA", "externalId": "e1"})).await.ok();
        server.group("anna", &[]).await;
        server.group("anna", &[]).await;
    }

    async fn a_rejoiner_comes_back_as_the_same(server: &Server) {
        let first = server.post("/Users", json!({"userName": "anna", "externalId": "e1", "title": "old"})).await.created();
        server.delete(&format!("/Users/{first}")).await;
        let again = server.post("/Users", json!({"userName": "anna.b", "externalId": "e1"})).await;
        assert_eq!((again.body["id"].as_str(), &again.body["title"]), (Some(first.as_str()), &Value::Null));
        let other = server.post("/Users", json!({"userName": "anna", "externalId": "e2"})).await.created();
        assert_ne!(other, first);
    }

    async fn only_the_version_that_was_seen_is_written_over(server: &Server) {
        let id = server.user("anna").await;
        let path = format!("/Users/{id}");
        let body = || Some(json!({"userName": "anna", "title": "x"}));
        let stale = [("if-match", "W/\"7\"")];
        server.send("PUT", &path, &stale, body()).await.refused(412, None);
        server.send("PATCH", &path, &stale, Some(json!({"Operations": [{"op": "remove", "path": "title"}]}))).await.refused(412, None);
        server.send("DELETE", &path, &stale, None).await.refused(412, None);
        assert_eq!(server.send("PUT", &path, &[("if-match", "\"9\", W/\"1\"")], body()).await.status, 200);
        assert_eq!(server.send("GET", &path, &[("if-none-match", "W/\"2\"")], None).await.status, 304);
        assert_eq!(server.send("GET", &path, &[("if-none-match", "W/\"1\"")], None).await.status, 200);
        assert_eq!(server.send("DELETE", &path, &[("if-match", "*")], None).await.status, 204);
    }

    async fn bad_resources_are_refused_with_the_place(server: &Server) {
        let cases = [
            json!({"displayName": "nameless"}),
            json!({"userName": " "}),
            json!({"userName": "a", "active": "maybe"}),
            json!({"userName": "a", "emails": [{"value": 7}]}),
            json!({"userName": "a", "emails": [{"value": "x", "primary": true}, {"value": "y", "primary": true}]}),
            json!({"userName": "a", "title": ["x", "y"]}),
            json!({"userName": "a", "title": "U+0000 \u{0}"}),
            json!({"userName": "a", "externalId": 7}),
            json!({"userName": "a", "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"]}),
        ];
        for body in cases {
            server.post("/Users", body).await.refused(400, Some("invalidValue"));
        }
        server.post("/Users", json!([])).await.refused(400, Some("invalidSyntax"));
        let told = server.post("/Users", json!({"userName": "a", "emails": [{"value": 7}]})).await;
        assert!(told.body["detail"].as_str().unwrap().contains("`emails[0].value`"), "{}", told.body);
        server.post("/Groups", json!({"members": []})).await.refused(400, Some("invalidValue"));
        assert!(server.changes().await.is_empty());
    }

    async fn a_password_is_sealed_for_who_takes_it_and_never_shown(server: &Server) {
        let mut settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://acme.example/scim/v2");
        settings.passwords = true;
        let (acme, _) = server.store.put_provider(&settings).await.unwrap();
        let owed = async |id: &str| {
            let id: ResourceId = id.parse().unwrap();
            let found = server.store.pending_passwords(acme, std::slice::from_ref(&id)).await.unwrap();
            found.get(&id).map(|pending| pending.secret.expose_secret().to_owned())
        };
        let created = server.post("/Users", json!({"userName": "b", "password": "t0p-s3cret"})).await;
        let id = created.body["id"].as_str().unwrap().to_owned();
        assert_eq!(owed(&id).await.as_deref(), Some("t0p-s3cret"));
        server.changes().await;
        let path = format!("/Users/{id}");
        let patched = server.patch(&path, json!([{"op": "Replace", "value": {"password": "n3w-s3cret"}}])).await.ok();
        assert_eq!((owed(&id).await.as_deref(), patched.header("etag")), (Some("n3w-s3cret"), "W/\"2\""));
        assert_eq!(server.changes().await, ["b password +0 -0"]);
        server.put(&path, json!({"userName": "b", "Password": "put-s3cret"})).await.ok();
        assert_eq!(owed(&id).await.as_deref(), Some("put-s3cret"));
        server.put(&path, json!({"userName": "b", "password": 7})).await.refused(400, Some("invalidValue"));
        server.post("/Users", json!({"userName": "c", "password": ""})).await.refused(400, Some("invalidValue"));
        let listed = server.get("/Users?filter=password pr").await;
        let kept = server.store.find_resources("b").await.unwrap();
        for text in [created.body.to_string(), patched.body.to_string(), listed.body.to_string(), format!("{kept:?}")] {
            assert!(!text.contains("s3cret"), "{text}");
        }
        server.delete(&path).await;
        assert!(!server.store.has_secrets().await.unwrap());
    }

    async fn active_is_given_and_can_be_taken_away(server: &Server) {
        let id = server.user("anna").await;
        let path = format!("/Users/{id}");
        assert_eq!(server.get(&path).await.ok().body["active"], true);
        let patched = server.patch(&path, json!([{"op": "remove", "path": "active"}])).await.ok();
        assert_eq!((&patched.body["active"], &server.get(&path).await.body["active"]), (&Value::Null, &Value::Null));
        let replaced = server.put(&path, json!({"userName": "anna", "active": null})).await.ok();
        assert_eq!(replaced.body["active"], true);
        let attributes = json!({"userName": "ben"}).as_object().unwrap().clone();
        let ben = IncomingResource { kind: ResourceKind::User, id: None, attributes, members: None, password: None };
        server.store.import("import:hr", vec![ben]).await.unwrap();
        let found = server.get("/Users?filter=userName eq \"ben\"").await.ok();
        assert_eq!(found.body["Resources"][0]["active"], true, "who came another way is active, too");
    }

    async fn a_password_that_nobody_takes_is_neither_kept_nor_shown(server: &Server) {
        let created = server.post("/Users", json!({"userName": "a", "password": "t0p-s3cret", "attributes": {"Password": "t0p-s3cret"}})).await;
        let id = created.body["id"].as_str().unwrap().to_owned();
        let patched = server.patch(&format!("/Users/{id}"), json!([{"op": "replace", "path": "password", "value": "t0p-s3cret"}])).await.ok();
        let asked = server.get(&format!("/Users/{id}?attributes=password")).await.ok();
        let kept = server.store.find_resources("a").await.unwrap();
        for text in [created.body.to_string(), patched.body.to_string(), asked.body.to_string(), format!("{kept:?}")] {
            assert!(!text.contains("t0p-s3cret"), "{text}");
        }
        assert_eq!(patched.header("etag"), "W/\"1\"");
    }

    async fn what_another_source_brought_is_its_own(server: &Server) {
        let bring = |name: &str| IncomingResource {
            kind: ResourceKind::User,
            id: None,
            attributes: json!({"userName": name}).as_object().unwrap().clone(),
            members: None,
            password: None,
        };
        server.store.import("import:hr", vec![bring("anna")]).await.unwrap();
        server.store.import("api", vec![bring("open")]).await.unwrap();
        let id_of = async |name: &str| server.store.find_resources(name).await.unwrap()[0].id.to_string();
        let (theirs, open) = (id_of("anna").await, id_of("open").await);
        for answer in [
            server.put(&format!("/Users/{theirs}"), json!({"userName": "anna"})).await,
            server.patch(&format!("/Users/{theirs}"), json!([{"op": "add", "path": "title", "value": "x"}])).await,
            server.delete(&format!("/Users/{theirs}")).await,
        ] {
            answer.refused(403, Some("mutability"));
            assert!(answer.body["detail"].as_str().unwrap().contains("import:hr"), "{}", answer.body);
        }
        server.get(&format!("/Users/{theirs}")).await.ok();
        server.patch(&format!("/Users/{open}"), json!([{"op": "add", "path": "title", "value": "x"}])).await.ok();
        assert_eq!(server.store.find_resources("open").await.unwrap()[0].source, "api");
        // Its own group may hold somebody else's user.
        server.group("Staff", &[&theirs]).await;
    }

    async fn a_token_opens_and_names_the_source(server: &Server) {
        let call = async |token: Option<&str>| send(&server.router, token, "GET", "/Users", &[], None).await;
        let mut bodies = Vec::new();
        for token in [None, Some(""), Some("wrong"), Some("sf_directory_wrong")] {
            let answer = call(token).await;
            answer.refused(401, None);
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            bodies.push(answer.body.to_string());
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1);
        let (row, okta) = server.store.create_token("okta", TokenScope::Directory).await.unwrap();
        let (_, admin) = server.store.create_token("root", TokenScope::Admin).await.unwrap();
        call(Some(admin.expose_secret())).await.refused(403, None);
        let body = Some(json!({"userName": "anna"}));
        let answer = send(&server.router, Some(okta.expose_secret()), "POST", "/Users", &[], body).await;
        assert_eq!(answer.status, 201);
        assert_eq!(server.store.find_resources("anna").await.unwrap()[0].source, "scim:okta");
        let id = answer.body["id"].as_str().unwrap();
        let theirs = send(&server.router, Some(TOKEN), "DELETE", &format!("/Users/{id}"), &[], None).await;
        theirs.refused(403, Some("mutability"));
        server.store.revoke_token(&row.id).await.unwrap();
        call(Some(okta.expose_secret())).await.refused(401, None);
    }
}
