//! The default provider keeps to RFC 7644.

use super::*;

#[tokio::test]
async fn a_bearer_token_is_demanded() {
    let provider = plain();
    for value in [None, Some("Bearer wrong"), Some("token")] {
        let mut asked = request(&provider, "GET", "/Users", None);
        asked.headers_mut().remove("authorization");
        if let Some(value) = value {
            asked.headers_mut().insert("authorization", value.parse().unwrap());
        }
        let reply = send(&provider, asked).await;
        assert_eq!(reply.status, 401, "{value:?}");
        assert_eq!(reply.json()["status"], "401");
    }
    provider.set_token("other");
    assert_eq!(get(&provider, "/Users").await.status, 200);
}

#[tokio::test]
async fn a_user_lives_and_dies() {
    let provider = plain();
    let made = call(&provider, "POST", "/Users", Some(user("ann"))).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("content-type"), Some("application/scim+json"));
    let id = made.id();
    assert!(made.header("location").unwrap().ends_with(&format!("/scim/v2/Users/{id}")));
    assert_eq!(made.header("etag"), Some("W/\"1\""));
    assert_eq!(made.json()["meta"]["version"], "W/\"1\"");
    assert_eq!(get(&provider, &format!("/Users/{id}")).await.json()["userName"], "ann");

    let mut changed = user("ann");
    changed["title"] = "Dr".into();
    let put = call(&provider, "PUT", &format!("/Users/{id}"), Some(changed)).await;
    assert_eq!((put.status, put.header("etag")), (200, Some("W/\"2\"")));
    let put = call(&provider, "PUT", &format!("/Users/{id}"), Some(user("ann"))).await;
    assert!(put.json().get("title").is_none(), "a PUT clears what it leaves out");

    assert_eq!(call(&provider, "DELETE", &format!("/Users/{id}"), None).await.status, 204);
    assert_eq!(get(&provider, &format!("/Users/{id}")).await.status, 404);
    assert_eq!(call(&provider, "DELETE", &format!("/Users/{id}"), None).await.status, 404);
    assert_eq!(provider.users_count(), 0);
    assert_eq!(provider.deleted()[0].external_id.as_deref(), Some("ext-ann"));
    assert_eq!(provider.violations(), []);
}

#[tokio::test]
async fn user_names_are_unique_without_regard_to_case() {
    let provider = plain();
    let first = call(&provider, "POST", "/Users", Some(user("Zoë"))).await.id();
    let second = call(&provider, "POST", "/Users", Some(user("zoË"))).await;
    assert_eq!((second.status, &second.json()["scimType"]), (409, &json!("uniqueness")));
    let other = call(&provider, "POST", "/Users", Some(user("bob"))).await.id();
    assert_eq!(call(&provider, "PUT", &format!("/Users/{other}"), Some(user("ZOË"))).await.status, 409);
    assert_eq!(call(&provider, "PUT", &format!("/Users/{first}"), Some(user("ZOË"))).await.status, 200);
    let rename = patch(json!([{ "op": "replace", "path": "userName", "value": "zoë" }]));
    assert_eq!(call(&provider, "PATCH", &format!("/Users/{other}"), rename).await.status, 409);
    assert_eq!(provider.users_count(), 2);
    assert_eq!(call(&provider, "POST", "/Users", Some(json!({ "schemas": [USER_URN] }))).await.status, 400);
}

#[tokio::test]
async fn versions_guard_against_lost_updates() {
    let provider = plain();
    let made = call(&provider, "POST", "/Users", Some(user("ann"))).await;
    let path = format!("/Users/{}", made.id());
    let with = |method: &str, header: &'static str, value: &str, body| {
        let mut asked = request(&provider, method, &path, body);
        asked.headers_mut().insert(header, value.parse().unwrap());
        asked
    };
    let title = || patch(json!([{ "op": "add", "path": "title", "value": "x" }]));
    assert_eq!(send(&provider, with("PATCH", "if-match", "W/\"9\"", title())).await.status, 412);
    assert_eq!(send(&provider, with("PATCH", "if-match", "W/\"1\"", title())).await.status, 200);
    assert_eq!(send(&provider, with("PUT", "if-match", "W/\"1\"", Some(user("ann")))).await.status, 412);
    assert_eq!(send(&provider, with("GET", "if-none-match", "W/\"2\"", None)).await.status, 304);
    assert_eq!(send(&provider, with("DELETE", "if-match", "W/\"1\"", None)).await.status, 412);
    assert_eq!(send(&provider, with("DELETE", "if-match", "*", None)).await.status, 204);
}

#[tokio::test]
async fn members_change_one_by_one() {
    let provider = plain();
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(provider.seed_user(user(name)).unwrap());
    }
    let made = call(&provider, "POST", "/Groups", Some(group("G", &[&ids[0]]))).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/Groups/{}", made.id());
    let members = |provider: &Running| -> Vec<String> {
        let group = &provider.content().groups[0];
        group["members"].as_array().unwrap().iter().map(|m| m["value"].as_str().unwrap().to_owned()).collect()
    };
    let add = patch(json!([{ "op": "add", "path": "members", "value": [{ "value": ids[1] }, { "value": ids[2] }] }]));
    let reply = call(&provider, "PATCH", &path, add.clone()).await;
    assert_eq!((reply.status, reply.header("etag")), (204, Some("W/\"2\"")));
    call(&provider, "PATCH", &path, add).await;
    assert_eq!(members(&provider), ids);
    let remove = patch(json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) }]));
    assert_eq!(call(&provider, "PATCH", &path, remove).await.status, 204);
    assert_eq!(members(&provider), ids[1..]);
    let both = patch(json!([{ "op": "replace", "value": { "displayName": "H", "members": [{ "value": ids[0] }] } }]));
    call(&provider, "PATCH", &path, both).await;
    assert_eq!(members(&provider), ids[..1]);
    assert_eq!(provider.content().groups[0]["displayName"], "H");
    let unknown = patch(json!([{ "op": "add", "path": "members", "value": [{ "value": "nobody" }] }]));
    assert_eq!(call(&provider, "PATCH", &path, unknown).await.status, 400);
    let labelled =
        patch(json!([{ "op": "replace", "path": format!("members[value eq \"{}\"].display", ids[0]), "value": "A" }]));
    assert_eq!(call(&provider, "PATCH", &path, labelled).await.status, 204);
    assert_eq!(provider.content().groups[0]["members"][0]["display"], "A");
    assert_eq!(get(&provider, &format!("/Users/{}", ids[0])).await.json()["groups"][0]["display"], "H");
    call(&provider, "DELETE", &format!("/Users/{}", ids[0]), None).await;
    assert!(members(&provider).is_empty(), "who is deleted is no member");
    assert_eq!(provider.violations(), []);
}

#[tokio::test]
async fn a_patch_is_all_or_nothing() {
    let provider = plain();
    let ann = provider.seed_user(user("ann")).unwrap();
    let id = provider.seed_group(group("G", &[])).unwrap();
    let half = patch(json!([
        { "op": "replace", "path": "displayName", "value": "H" },
        { "op": "add", "path": "members", "value": [{ "value": ann }] },
        { "op": "add", "path": "members", "value": [{ "value": "nobody" }] },
    ]));
    assert_eq!(call(&provider, "PATCH", &format!("/Groups/{id}"), half).await.status, 400);
    let group = provider.resource(ResourceKind::Group, &id).unwrap();
    assert_eq!((&group["displayName"], &group["members"]), (&json!("G"), &json!([])));
}

#[tokio::test]
async fn listings_filter_and_page() {
    let provider = plain();
    for index in 0..25 {
        provider.seed_user(user(&format!("user{index:02}"))).unwrap();
    }
    let page = get(&provider, "/Users?startIndex=11&count=10").await.json();
    assert_eq!(
        (&page["totalResults"], &page["itemsPerPage"], &page["startIndex"]),
        (&json!(25), &json!(10), &json!(11))
    );
    assert_eq!(page["Resources"][0]["userName"], "user10");
    assert_eq!(get(&provider, "/Users?startIndex=21&count=10").await.json()["itemsPerPage"], 5);
    assert_eq!(get(&provider, "/Users?startIndex=99").await.json()["Resources"], json!([]));
    assert_eq!(get(&provider, "/Users?count=0").await.json()["totalResults"], 25);
    assert_eq!(get(&provider, "/Users?count=x").await.status, 400);
    for (text, hits) in [
        (r#"userName eq "USER07""#, 1),
        (r#"externalId eq "ext-user07""#, 1),
        (r#"externalId eq "EXT-user07""#, 0),
        (r#"userName sw "user1""#, 10),
        (r#"userName eq "user07" and active eq true"#, 1),
        (r#"userName eq "user07" and active eq false"#, 0),
        (r#"userName eq "user07" or userName eq "user08""#, 2),
        (r#"meta.lastModified gt "2020-01-01T00:00:00Z""#, 25),
    ] {
        let found = get(&provider, &format!("/Users{}", filter(text))).await.json();
        assert_eq!(found["totalResults"], hits, "{text}");
    }
    let bad = get(&provider, &format!("/Users{}", filter("userName is good"))).await;
    assert_eq!((bad.status, &bad.json()["scimType"]), (400, &json!("invalidFilter")));
    let search = json!({ "filter": "userName eq \"user03\"", "attributes": ["userName"], "count": 5 });
    let found = call(&provider, "POST", "/Users/.search", Some(search)).await.json();
    assert_eq!(found["Resources"][0]["userName"], "user03");
    assert!(found["Resources"][0].get("active").is_none());
}

#[tokio::test]
async fn deletions_leave_no_hole_in_a_listing() {
    let provider = plain();
    let ids: Vec<String> = (0..10).map(|index| provider.seed_user(user(&format!("u{index}"))).unwrap()).collect();
    provider.remove(ResourceKind::User, &ids[0]).unwrap();
    provider.remove(ResourceKind::User, &ids[5]).unwrap();
    let page = get(&provider, "/Users?startIndex=4&count=3").await.json();
    let names: Vec<_> = page["Resources"].as_array().unwrap().iter().map(|one| one["userName"].clone()).collect();
    assert_eq!(names, ["u4", "u6", "u7"]);
    assert_eq!(page["totalResults"], 8);
}

#[tokio::test]
async fn groups_are_found_by_member() {
    let provider = plain();
    let ann = provider.seed_user(user("ann")).unwrap();
    provider.seed_group(group("with", &[&ann])).unwrap();
    provider.seed_group(group("without", &[])).unwrap();
    for text in [format!(r#"members.value eq "{ann}""#), format!(r#"members[value eq "{ann}"]"#)] {
        let found = get(&provider, &format!("/Groups{}&excludedAttributes=members", filter(&text))).await.json();
        assert_eq!(found["totalResults"], 1, "{text}");
        assert_eq!(found["Resources"][0]["displayName"], "with");
        assert!(found["Resources"][0].get("members").is_none());
    }
}

#[tokio::test]
async fn discovery_tells_the_truth() {
    let provider = plain();
    let config = get(&provider, "/ServiceProviderConfig").await.json();
    assert_eq!((&config["patch"]["supported"], &config["bulk"]["maxOperations"]), (&json!(true), &json!(1000)));
    assert_eq!(get(&provider, "/ResourceTypes").await.json()["totalResults"], 2);
    assert_eq!(get(&provider, "/ResourceTypes/Group").await.json()["endpoint"], "/Groups");
    let schemas = get(&provider, "/Schemas").await.json();
    assert_eq!(schemas["totalResults"], 3);
    let user = get(&provider, &format!("/Schemas/{USER_URN}")).await.json();
    let names: Vec<_> = user["attributes"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert!(names.contains(&json!("userName")) && names.contains(&json!("emails")));
    assert_eq!(get(&provider, "/Schemas/urn:none").await.status, 404);
    assert_eq!(get(&provider, "/Nonsense").await.status, 404);
}

#[tokio::test]
async fn a_password_is_kept_and_never_shown() {
    let provider = plain();
    let mut ann = user("ann");
    ann["password"] = "t0p".into();
    let made = call(&provider, "POST", "/Users", Some(ann)).await;
    assert!(!made.text.contains("t0p"));
    assert_eq!(provider.password(&made.id()).as_deref(), Some("t0p"));
    let change = patch(json!([{ "op": "replace", "path": "password", "value": "n3w" }]));
    let changed = call(&provider, "PATCH", &format!("/Users/{}", made.id()), change).await;
    assert!(!changed.text.contains("n3w"));
    assert_eq!(provider.password(&made.id()).as_deref(), Some("n3w"));
    assert!(!format!("{:?}", provider.content()).contains("n3w"));
}

#[tokio::test]
async fn violations_name_request_and_rule() {
    let provider = plain();
    call(&provider, "POST", "/Users", Some(json!({ "userName": "ann", "shoeSize": 9 }))).await;
    let found = provider.violations();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].method.as_str(), found[0].path.as_str(), found[0].rule), ("POST", "/Users", "RFC 7643 §3"));
    let mut asked = request(&provider, "POST", "/Users", Some(user("bob")));
    asked.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    send(&provider, asked).await;
    assert_eq!(provider.violations()[2].rule, "RFC 7644 §3.1");
}

#[tokio::test]
async fn beside_the_base_url_there_is_no_scim() {
    let provider = plain();
    for path in ["/Users", "/scim/v2Users", "/scim/v1/Users", "/"] {
        let mut asked = request(&provider, "GET", "", None);
        *asked.uri_mut() = path.parse().unwrap();
        let reply = send(&provider, asked).await;
        assert_eq!((reply.status, reply.header("content-type")), (404, Some("text/html; charset=utf-8")), "{path}");
    }
    assert_eq!(get(&provider, "/Users/").await.status, 404, "a trailing slash is another path");
}

#[tokio::test]
async fn a_put_of_a_group_says_who_is_in_it() {
    let provider = plain();
    let (ann, bob) = (provider.seed_user(user("ann")).unwrap(), provider.seed_user(user("bob")).unwrap());
    let id = provider.seed_group(group("G", &[&ann])).unwrap();
    let path = format!("/Groups/{id}");
    let members = || provider.resource(ResourceKind::Group, &id).unwrap()["members"].clone();
    assert_eq!(call(&provider, "PUT", &path, Some(group("G", &[&bob, "nobody"]))).await.status, 400);
    assert_eq!(members(), json!([{ "value": ann }]));
    assert_eq!(
        call(&provider, "PUT", &path, Some(group("G", &[&bob]))).await.json()["members"],
        json!([{ "value": bob }])
    );
    let mut without = group("G", &[]);
    without.as_object_mut().unwrap().shift_remove("members");
    assert_eq!(call(&provider, "PUT", &path, Some(without)).await.status, 200);
    assert_eq!(members(), json!([]));
}
