//! Filters, order and pages.

use std::collections::BTreeSet;

use scimfleet_directory::server::Limits;
use serde_json::{Value, json};

use crate::support::{Server, TOKEN, on_both, send};

async fn people(server: &Server) {
    for (name, title, active) in
        [("anna", "Engineer", true), ("Bob", "Manager", true), ("änne", "Engineer", false), ("carl", "Sales", true)]
    {
        let body = json!({
            "userName": name, "externalId": format!("E-{name}"), "title": title, "active": active,
            "emails": [{"value": format!("{name}@a.example"), "type": "work"}],
        });
        server.post("/Users", body).await.created();
    }
}

async fn found(server: &Server, filter: &str) -> BTreeSet<String> {
    server.post("/Users/.search", json!({"filter": filter})).await.ok().names().into_iter().collect()
}

/// All names by cursor, and how many pages it took.
async fn walk(server: &Server, query: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut names, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = server.get(&format!("/Users?cursor={cursor}&{query}")).await.ok();
        names.extend(page.names());
        pages += 1;
        match page.body["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return (names, pages),
        }
    }
}

on_both! {
    async fn filters_in_full(server: &Server) {
        people(server).await;
        let cases: &[(&str, &[&str])] = &[
            (r#"userName eq "ANNA""#, &["anna"]),
            (r#"userName eq "ÄNNE""#, &["änne"]),
            (r#"userName ne "anna""#, &["Bob", "änne", "carl"]),
            (r#"userName sw "AN""#, &["anna"]),
            (r#"userName co "nn""#, &["anna", "änne"]),
            (r#"userName ew "l""#, &["carl"]),
            (r#"userName gt "bob""#, &["carl", "änne"]),
            (r#"userName le "bob""#, &["anna", "Bob"]),
            (r#"externalId eq "E-Bob""#, &["Bob"]),
            (r#"externalId eq "e-bob""#, &[]),
            (r#"externalId ne "E-Bob""#, &["anna", "änne", "carl"]),
            (r#"title eq "engineer""#, &["anna", "änne"]),
            (r#"title eq "engineer" and active eq true"#, &["anna"]),
            (r#"title eq "sales" or userName eq "bob""#, &["carl", "Bob"]),
            (r#"not (title eq "engineer")"#, &["Bob", "carl"]),
            ("active eq false", &["änne"]),
            (r#"active eq "False""#, &["änne"]),
            (r#"emails[type eq "work" and value sw "bob"]"#, &["Bob"]),
            (r#"emails.value co "CARL""#, &["carl"]),
            ("title pr and nickName pr", &[]),
            (r#"meta.created gt "2020-01-01T00:00:00Z" and userName eq "bob""#, &["Bob"]),
            (r#"meta.lastModified lt "2020-01-01T00:00:00Z""#, &[]),
            (r#"meta.resourceType eq "User" and title eq "sales""#, &["carl"]),
            (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "bob""#, &["Bob"]),
            ("userName eq \"a\\u0000\"", &[]),
        ];
        for (filter, names) in cases {
            let expected: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(found(server, filter).await, expected, "{filter}");
        }
        for bad in ["userName eq", "active gt true", r#"emails[type eq "x""#] {
            server.post("/Users/.search", json!({"filter": bad})).await.refused(400, Some("invalidFilter"));
        }
        let by_url = server.get("/Users?filter=userName eq \"anna\"&attributes=title").await.ok();
        let shown: Vec<&String> = by_url.body["Resources"][0].as_object().unwrap().keys().collect();
        assert_eq!(shown, ["schemas", "id", "title"]);
    }

    async fn groups_and_members_find_one_another(server: &Server) {
        let (a, b) = (server.user("a").await, server.user("b").await);
        let staff = server.group("Staff", &[&a, &b]).await;
        server.group("Few", &[&a]).await;
        server.group("None", &[]).await;
        let groups = async |filter: String| server.names(&format!("/Groups?filter={filter}")).await;
        assert_eq!(groups(format!("members.value eq \"{b}\"")).await, ["Staff"]);
        assert_eq!(groups(format!("members eq \"{a}\" and displayName co \"e\"")).await, ["Few"]);
        assert_eq!(groups(format!("members[value eq \"{b}\"]")).await, ["Staff"]);
        assert_eq!(groups("not (members pr)".to_owned()).await, ["None"]);
        assert_eq!(groups("displayName eq \"few\"".to_owned()).await, ["Few"]);
        server.get("/Groups?filter=members.display eq \"a\"").await.refused(400, Some("invalidFilter"));
        let users = async |filter: String| server.names(&format!("/Users?filter={filter}")).await;
        assert_eq!(users(format!("groups.value eq \"{staff}\" and userName eq \"b\"")).await, ["b"]);
        assert_eq!(users("groups.display eq \"few\"".to_owned()).await, ["a"]);
    }

    async fn order_and_pages_by_index(server: &Server) {
        people(server).await;
        assert_eq!(server.names("/Users?sortBy=userName").await, ["anna", "Bob", "carl", "änne"]);
        assert_eq!(server.names("/Users?sortBy=userName&sortOrder=descending").await, ["änne", "carl", "Bob", "anna"]);
        assert_eq!(server.names("/Users?sortBy=emails.value&count=2").await, ["anna", "Bob"]);
        assert_eq!(server.names("/Users?sortBy=title&filter=active eq true").await, ["anna", "Bob", "carl"]);
        assert_eq!(server.names("/Users?sortBy=userName&filter=title eq \"engineer\"&sortOrder=descending").await, ["änne", "anna"]);
        let page = server.get("/Users?sortBy=userName&startIndex=2&count=2").await.ok();
        assert_eq!(page.names(), ["Bob", "carl"]);
        assert_eq!(page.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
        let positions = [&page.body["totalResults"], &page.body["startIndex"], &page.body["itemsPerPage"]];
        assert_eq!(positions, [&json!(4), &json!(2), &json!(2)]);
        let beyond = server.get("/Users?startIndex=99").await.ok();
        assert_eq!((beyond.names().len(), &beyond.body["totalResults"]), (0, &json!(4)));
        let none = server.get("/Users?count=0&filter=title eq \"engineer\"").await.ok();
        assert_eq!((none.names().len(), &none.body["totalResults"]), (0, &json!(2)));
        assert_eq!(server.get("/Users?startIndex=-5&count=-1").await.ok().body["totalResults"], json!(4));
        server.get("/Users?count=many").await.refused(400, Some("invalidValue"));
    }

    async fn a_listing_over_many_pages(server: &Server) {
        for n in 0..25 {
            server.user(&format!("user{n:02}")).await;
        }
        let all: Vec<String> = (0..25).map(|n| format!("user{n:02}")).collect();
        let mut by_index = Vec::new();
        for start in [1, 11, 21] {
            by_index.extend(server.names(&format!("/Users?startIndex={start}&count=10")).await);
        }
        assert_eq!(by_index, all);
        assert_eq!(walk(server, "count=10").await, (all.clone(), 3));
        assert_eq!(walk(server, "count=10&sortBy=userName").await, (all.clone(), 3));
        let filtered = walk(server, "count=4&filter=userName ew \"1\"").await;
        assert_eq!(filtered.0, ["user01", "user11", "user21"]);
        let first = server.get("/Users?cursor=&count=10").await.ok();
        assert_eq!((&first.body["totalResults"], &first.body["startIndex"]), (&json!(25), &Value::Null));
        let next = first.body["nextCursor"].as_str().unwrap();
        server.user("user00a").await;
        assert_eq!(server.names(&format!("/Users?cursor={next}&count=3")).await, ["user10", "user11", "user12"]);
        server.get(&format!("/Users?cursor={next}&filter=title pr")).await.refused(400, Some("invalidCursor"));
        server.get("/Users?cursor=nonsense").await.refused(400, Some("invalidCursor"));
    }

    async fn no_request_looks_at_everything(server: &Server) {
        for n in 0..1_200 {
            let title = if n == 1_100 { "rare" } else { "common" };
            let body = json!({"userName": format!("u{n:04}"), "title": title});
            server.post("/Users", body).await.created();
        }
        let router = server.with_limits(Limits { scan_max: 600, ..Limits::default() });
        let call = async |path: &str| send(&router, Some(TOKEN), "GET", path, &[], None).await;
        call("/Users?filter=title eq \"rare\"").await.refused(400, Some("tooMany"));
        call("/Users?sortBy=title").await.refused(400, Some("tooMany"));
        call("/Users?filter=userName eq \"u1100\" and title eq \"rare\"").await.ok();
        let (mut cursor, mut names, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let page = call(&format!("/Users?filter=title eq \"rare\"&cursor={cursor}")).await.ok();
            assert_eq!(page.body["totalResults"], Value::Null);
            names.extend(page.names());
            pages += 1;
            match page.body["nextCursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!((names, pages), (vec!["u1100".to_owned()], 2));
    }

    async fn both_kinds_at_once(server: &Server) {
        server.user("anna").await;
        server.user("bob").await;
        server.group("Staff", &[]).await;
        let all = server.get("/?count=2").await.ok();
        assert_eq!((all.names(), &all.body["totalResults"]), (vec!["anna".to_owned(), "bob".to_owned()], &json!(3)));
        assert_eq!(server.names("/?startIndex=3").await, ["Staff"]);
        let groups = server.post("/.search", json!({"filter": "meta.resourceType eq \"Group\""})).await.ok();
        assert_eq!(groups.names(), ["Staff"]);
        let first = server.get("/?cursor=&count=2").await.ok();
        let mut names = first.names();
        let mut next = first.body["nextCursor"].as_str().map(str::to_owned);
        while let Some(cursor) = next {
            let page = server.get(&format!("/?cursor={cursor}&count=2")).await.ok();
            names.extend(page.names());
            next = page.body["nextCursor"].as_str().map(str::to_owned);
        }
        assert_eq!(names, ["anna", "bob", "Staff"]);
    }
}
