//! Members: rows of their own, one as cheap in a large group as in a small one.

use scimfleet_directory::server::Limits;
use serde_json::{Value, json};

use crate::support::{Server, TOKEN, on_both, send};

/// The ids of a group's members, sorted.
async fn members(server: &Server, group: &str) -> Vec<String> {
    let shown = server.get(&format!("/Groups/{group}")).await.ok();
    let list = shown.body["members"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> = list.iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

on_both! {
    async fn members_join_and_leave(server: &Server) {
        let (a, b, c) = (server.user("a").await, server.user("b").await, server.user("c").await);
        let group = server.group("Staff", &[&a]).await;
        assert_eq!(server.changes().await[3..], ["Staff created +0 -0".to_owned(), "Staff members +1 -0".to_owned()]);
        let path = format!("/Groups/{group}");
        let patched = server.patch(&path, json!([{"op": "add", "path": "members", "value": [{"value": a}, {"value": b}]}])).await.ok();
        assert_eq!(patched.header("etag"), "W/\"2\"");
        let member = &patched.body["members"][0];
        assert_eq!(member, &json!({
            "value": a, "$ref": format!("http://directory.example/scim/v2/Users/{a}"), "type": "User",
        }));
        let asked = server.get(&format!("{path}?attributes=members.display")).await.ok();
        assert_eq!(asked.body["members"][0], json!({"display": "a"}), "who asks is told what they are called");
        assert_eq!(server.changes().await, ["Staff members +1 -0"]);

        let user = server.get(&format!("/Users/{b}")).await.ok();
        assert_eq!(user.body["groups"], json!([{
            "value": group, "$ref": format!("http://directory.example/scim/v2/Groups/{group}"), "display": "Staff", "type": "direct",
        }]));

        let habits = json!([
            {"op": "Remove", "path": "members", "value": [{"value": a}]},
            {"op": "remove", "path": format!("members[value eq \"{b}\"]")},
            {"op": "add", "path": "members", "value": {"value": c}},
        ]);
        server.patch(&path, habits).await.ok();
        assert_eq!(members(server, &group).await, std::slice::from_ref(&c));
        assert_eq!(server.changes().await, ["Staff members +1 -2"]);

        let back_and_forth = json!([
            {"op": "remove", "path": "members", "value": [{"value": c}]},
            {"op": "add", "path": "members", "value": [{"value": c}]},
        ]);
        let same = server.patch(&path, back_and_forth).await.ok();
        assert_eq!((same.header("etag"), server.changes().await.len()), ("W/\"3\"", 0));

        server.patch(&path, json!([{"op": "replace", "path": "members", "value": [{"value": a}, {"value": b}]}])).await.ok();
        server.patch(&path, json!([{"op": "remove", "path": "members[display eq \"A\"]"}])).await.ok();
        assert_eq!(members(server, &group).await, std::slice::from_ref(&b));
        server.patch(&path, json!([{"op": "remove", "path": "members"}])).await.ok();
        assert!(members(server, &group).await.is_empty());
    }

    async fn a_replacement_that_names_no_members_keeps_them(server: &Server) {
        let (a, b) = (server.user("a").await, server.user("b").await);
        let group = server.group("Staff", &[&a]).await;
        let path = format!("/Groups/{group}");
        server.put(&path, json!({"displayName": "All"})).await.ok();
        assert_eq!(members(server, &group).await, std::slice::from_ref(&a));
        server.put(&path, json!({"displayName": "All", "members": [{"value": b}]})).await.ok();
        assert_eq!(members(server, &group).await, [b]);
        server.put(&path, json!({"displayName": "All", "members": []})).await.ok();
        assert!(members(server, &group).await.is_empty());
    }

    async fn who_does_not_exist_is_no_member(server: &Server) {
        let group = server.group("Staff", &[]).await;
        let path = format!("/Groups/{group}");
        for id in ["nobody", &group, "with space", ""] {
            let operation = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
            server.patch(&path, operation).await.refused(400, Some("invalidValue"));
        }
        server.post("/Groups", json!({"displayName": "x", "members": [{"value": "nobody"}]})).await.refused(400, Some("invalidValue"));
        server.patch(&path, json!([{"op": "remove", "path": "members[value eq \"nobody\"]"}])).await.ok();
        assert_eq!(server.names("/Groups").await, ["Staff"]);
    }

    async fn groups_hold_groups_and_lose_the_deleted(server: &Server) {
        let user = server.user("a").await;
        let inner = server.group("Inner", &[&user]).await;
        let outer = server.group("Outer", &[&inner, &user]).await;
        let shown = server.get(&format!("/Groups/{outer}")).await.ok();
        let kinds: Vec<&Value> = shown.body["members"].as_array().unwrap().iter().map(|member| &member["type"]).collect();
        assert!(kinds.contains(&&json!("Group")) && kinds.contains(&&json!("User")), "{kinds:?}");
        server.changes().await;
        server.delete(&format!("/Users/{user}")).await;
        let after = server.get(&format!("/Groups/{outer}")).await.ok();
        assert_eq!(after.header("etag"), "W/\"2\"");
        assert_eq!(members(server, &outer).await, [inner]);
        let mut changes = server.changes().await;
        changes.sort();
        assert_eq!(changes, ["Inner members +0 -1", "Outer members +0 -1", "a deleted +0 -0"]);
    }

    async fn a_large_group_is_not_shown_after_a_patch(server: &Server) {
        let mut ids = Vec::new();
        for n in 0..4 {
            ids.push(server.user(&format!("u{n}")).await);
        }
        let all: Vec<&str> = ids.iter().map(String::as_str).collect();
        let group = server.group("Staff", &all).await;
        let path = format!("/Groups/{group}");
        let router = server.with_limits(Limits { patch_members_shown_max: 3, ..Limits::default() });
        let rename = || Some(json!({"Operations": [{"op": "replace", "path": "displayName", "value": "All"}]}));
        let silent = send(&router, Some(TOKEN), "PATCH", &path, &[], rename()).await;
        assert_eq!((silent.status, silent.header("etag")), (204, "W/\"2\""));
        let asked = send(&router, Some(TOKEN), "PATCH", &format!("{path}?attributes=displayName"), &[], rename()).await;
        assert_eq!((asked.status, &asked.body["displayName"], &asked.body["members"]), (200, &json!("All"), &Value::Null));
        let without = server.get(&format!("{path}?excludedAttributes=members")).await.ok();
        assert_eq!(without.body["members"], Value::Null);
    }

    async fn a_page_of_groups_ends_before_too_many_members(server: &Server) {
        let users = [server.user("a").await, server.user("b").await];
        let all: Vec<&str> = users.iter().map(String::as_str).collect();
        for name in ["g1", "g2", "g3"] {
            server.group(name, &all).await;
        }
        let router = server.with_limits(Limits { page_members_max: 3, ..Limits::default() });
        let mut names = Vec::new();
        for start in 1..=3 {
            let page = send(&router, Some(TOKEN), "GET", &format!("/Groups?startIndex={start}"), &[], None).await.ok();
            assert_eq!((&page.body["itemsPerPage"], &page.body["totalResults"]), (&json!(1), &json!(3)));
            names.extend(page.names());
        }
        assert_eq!(names, ["g1", "g2", "g3"]);
        let light = send(&router, Some(TOKEN), "GET", "/Groups?excludedAttributes=members", &[], None).await.ok();
        assert_eq!(light.names().len(), 3);
        let (mut cursor, mut walked) = (String::new(), Vec::new());
        loop {
            let page = send(&router, Some(TOKEN), "GET", &format!("/Groups?cursor={cursor}"), &[], None).await.ok();
            walked.extend(page.names());
            match page.body["nextCursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(walked, ["g1", "g2", "g3"]);
    }
}
