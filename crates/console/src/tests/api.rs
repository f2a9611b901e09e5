use std::collections::BTreeSet;

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_token_of_scope_admin_is_needed() {
    let console = console().await;
    let directory = console.token(TokenScope::Directory).await;
    for (token, status) in [(None, 401), (Some("wrong"), 401), (Some(directory.as_str()), 403)] {
        let mut request = Request::get("/api/v1/providers");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = console.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{token:?}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.json()["status"], status);
    }
    let admin = console.token(TokenScope::Admin).await;
    let request = Request::get("/api/v1/providers").header(header::AUTHORIZATION, format!("bearer {admin}"));
    assert_eq!(console.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
}

/// Every operation of the API's own description.
async fn operations(console: &Console) -> Vec<(String, String)> {
    let document = console.api("GET", "/openapi.json", None).await.json();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        all.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
    }
    all
}

#[tokio::test]
async fn every_described_operation_denies_without_an_admin_token() {
    let console = console().await;
    let tokens = [
        (None, 401),
        (Some("wrong".to_owned()), 401),
        (Some(console.token(TokenScope::Directory).await), 403),
        (Some(console.token(TokenScope::Metrics).await), 403),
    ];
    let operations = operations(&console).await;
    assert!(operations.len() > 30, "{operations:?}");
    for (index, (method, path)) in (0..).zip(&operations) {
        let address = format!("/api/v1{}", path.replace("{name}", "acme").replace("{id}", "x"));
        for (token, status) in &tokens {
            let mut request = Request::builder().method(method.as_str()).uri(&address);
            // Each from another place: wrong tokens slow their sender down.
            let peer = std::net::SocketAddr::from(([192, 0, 2, index], 1));
            request.extensions_mut().unwrap().insert(axum::extract::ConnectInfo(peer));
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let answer = console.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status.as_u16(), *status, "{method} {path} {token:?}");
            assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{method} {path}");
        }
        // Whoever may, comes through to the route: it says anything but "no token", "no such route", "no such method".
        let answer = console.api(method, address.strip_prefix("/api/v1").unwrap(), None).await;
        assert!(![401, 403, 405].contains(&answer.status.as_u16()), "{method} {path}: {}", answer.body);
        assert!(!answer.body.contains("there is no such path"), "{method} {path}: {}", answer.body);
    }
}

/// Every `$ref` of a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                found.insert(reference.clone());
            }
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_is_whole() {
    let console = console().await;
    let document = console.api("GET", "/openapi.json", None).await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 15, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let console = console().await;
    console.provider("acme").await;
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("DELETE", "/providers", 405),
        ("GET", "/providers/nobody", 404),
        ("GET", "/providers/NOT%20A%20NAME", 404),
        ("GET", "/runs/x", 404),
        ("GET", "/runs?before=x", 400),
        ("GET", "/runs?limit=0", 400),
        ("GET", "/runs?limit=many", 400),
        ("GET", "/holds/x", 404),
        ("GET", "/holds?state=sideways", 400),
        ("GET", "/parked", 400),
        ("GET", "/objects/x", 404),
        ("GET", "/objects?after=x", 400),
        ("GET", "/providers/acme/links?state=lost", 400),
        ("DELETE", "/tokens/x", 404),
        ("POST", "/tokens", 400),
    ] {
        let answer = console.api(method, path, None).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.body);
        let problem = answer.json();
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!((&problem["status"], &problem["type"]), (&json!(status), &json!("about:blank")));
        assert!(!problem["detail"].as_str().unwrap().is_empty() && !problem["title"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_provider_is_shown_without_secrets_and_changed_by_its_version() {
    let console = console().await;
    console.provider("acme").await;
    let answer = console.api("GET", "/providers/acme", None).await;
    let provider = answer.json();
    assert_eq!((&provider["state"], &provider["has_secret"]), (&json!("active"), &json!(true)));
    assert_eq!(provider["settings"]["base_url"], "https://x:***@127.0.0.1:1/v2");
    assert_eq!(provider["figures"]["queued"], json!({ "leavers": 0, "changes": 0, "sync": 0 }));
    let version = answer.headers[header::ETAG].to_str().unwrap().to_owned();
    let pause = |version: String| {
        Request::post("/api/v1/providers/acme/pause")
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
            .header(header::IF_MATCH, version)
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(console.send(pause("\"0-active-0\"".to_owned())).await.status, StatusCode::PRECONDITION_FAILED);
    let answer = console.send(pause(version.clone())).await;
    assert_eq!((answer.status, &answer.json()["state"]), (StatusCode::OK, &json!("paused")));
    assert_eq!(console.send(pause(version)).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(console.api("POST", "/providers/acme/pause", None).await.status, StatusCode::CONFLICT);
    assert_eq!(console.api("POST", "/providers/acme/disable", None).await.json()["state"], "disabled");
    assert_eq!(console.api("POST", "/providers/acme/pause", None).await.status, StatusCode::CONFLICT);
    assert_eq!(console.api("POST", "/providers/acme/resume", None).await.json()["state"], "active");
    let overview = console.api("GET", "/overview", None).await.json();
    assert_eq!(overview["sentence"], "All leavers are out. 1 provider in step.");
}

#[tokio::test]
async fn runs_are_started_read_and_cancelled() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let answer = console.api("POST", "/providers/acme/runs", None).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.location(), format!("/api/v1/runs/{id}"));
    let again = console.api("POST", "/providers/acme/runs", None).await;
    assert_eq!(again.json()["id"], *id, "one that is queued serves");
    assert_eq!(console.api("POST", &format!("/runs/{id}/cancel"), None).await.json()["state"], "cancelled");
    assert_eq!(console.api("POST", &format!("/runs/{id}/cancel"), None).await.status, StatusCode::CONFLICT);
    let run = console.run(provider, 3).await;
    let shown = console.api("GET", &format!("/runs/{run}"), None).await.json();
    assert_eq!(
        (&shown["state"], &shown["tasks"], &shown["provider"]),
        (&json!("users"), &json!({ "open": 3 }), &json!("acme"))
    );
    let page = console.api("GET", &format!("/runs/{run}/tasks?limit=2"), None).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let page = console.api("GET", &format!("/runs/{run}/tasks?limit=2&after={next}"), None).await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
    console.api("POST", "/providers/acme/disable", None).await;
    assert_eq!(console.api("POST", "/providers/acme/runs", None).await.status, StatusCode::CONFLICT);
}

/// Reads a list page by page.
async fn all(console: &Console, path: &str, cursor: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), None::<String>);
    loop {
        let more = next.map(|next| format!("&{cursor}={next}")).unwrap_or_default();
        let page = console.api("GET", &format!("{path}{more}"), None).await.json();
        items.extend(page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone());
        next = page["next"].as_str().map(str::to_owned);
        if next.is_none() {
            return items;
        }
    }
}

#[tokio::test]
async fn lists_are_read_page_by_page_without_gaps() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let mut users = Vec::new();
    for n in 0..7 {
        users.push(console.user(&format!("user-{n}")).await);
        console.provider(&format!("p-{n}")).await;
        let run = console.api("POST", "/providers/acme/runs", None).await.json();
        console.api("POST", &format!("/runs/{}/cancel", run["id"].as_str().unwrap()), None).await;
    }
    console.link(provider, &users).await;
    for user in &users {
        console.store.park(provider, user, "refused").await.unwrap();
    }
    let hold = console.hold(provider, &users).await;
    for (path, cursor, key, count) in [
        ("/providers?limit=3", "after", "name", 8),
        ("/runs?limit=3&provider=acme", "before", "id", 7),
        ("/providers/acme/links?limit=3", "after", "object", 7),
        ("/providers/acme/links?limit=3&state=parked", "after", "object", 7),
        ("/parked?provider=acme&limit=3", "after", "object", 7),
        ("/parked?provider=acme&limit=3&reason=invalid", "after", "object", 0),
        ("/objects?q=USER&kind=user&limit=3", "after", "id", 7),
        (&format!("/holds/{hold}/items?limit=3"), "after", "object", 7),
    ] {
        let items = all(&console, path, cursor).await;
        let keys: BTreeSet<&str> = items.iter().map(|item| item[key].as_str().unwrap()).collect();
        assert_eq!((items.len(), keys.len()), (count, count), "{path}");
    }
    assert_eq!(console.api("POST", "/parked/retry", Some(json!({ "provider": "acme" }))).await.json()["count"], 7);
    assert_eq!(
        console.api("POST", "/parked/retry", Some(json!({ "providr": "acme" }))).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn the_log_is_filtered_and_read_page_by_page() {
    let console = console().await;
    let (acme, beta) = (console.provider("acme").await, console.provider("beta").await);
    let (anna, bert) = (console.user("anna").await, console.user("bert").await);
    let run = console.run(acme, 1).await;
    for _ in 0..4 {
        console.write(acme, &anna, "patch", Some(run)).await;
    }
    console.write(beta, &anna, "create", None).await;
    console.write(acme, &bert, "create", None).await;
    let (long_ago, later) = (console.store.now_ms() - 60_000, console.store.now_ms() + 60_000);
    for (query, count) in [
        (String::new(), 6),
        ("&provider=acme".to_owned(), 5),
        (format!("&object={anna}"), 5),
        (format!("&object={anna}&provider=beta"), 1),
        (format!("&run={run}"), 4),
        ("&cause=change".to_owned(), 2),
        (format!("&since_ms={long_ago}&until_ms={later}"), 6),
        (format!("&since_ms={later}"), 0),
        (format!("&until_ms={long_ago}"), 0),
    ] {
        let lines = all(&console, &format!("/log?limit=2{query}"), "before").await;
        let ids: BTreeSet<&str> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
        assert_eq!((lines.len(), ids.len()), (count, count), "{query}: {lines:?}");
    }
    assert_eq!(console.api("GET", "/log?cause=weather", None).await.status, StatusCode::BAD_REQUEST);
    let nowhere = console.api("GET", "/log?run=00000000-0000-7000-8000-000000000000", None).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn parked_objects_are_grouped_and_given_up() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let users = [console.user("anna").await, console.user("bert").await, console.user("cora").await];
    console.link(provider, &users).await;
    for (user, words) in users.iter().zip(["name taken", "name taken", "too long"]) {
        console.store.park(provider, user, words).await.unwrap();
    }
    let groups = console.api("GET", "/parked/groups?provider=acme", None).await.json();
    assert_eq!(groups["items"][0], json!({ "reason": "exhausted", "words": "name taken", "objects": 2 }));
    assert_eq!(console.api("POST", "/parked/drop", Some(json!({}))).await.status, StatusCode::BAD_REQUEST);
    let body = json!({ "provider": "acme", "reason": "exhausted", "words": "name taken" });
    assert_eq!(console.api("POST", "/parked/drop", Some(body)).await.json()["count"], 2);
    let left = console.api("GET", "/parked?provider=acme", None).await.json();
    assert_eq!((left["items"].as_array().unwrap().len(), &left["items"][0]["error"]), (1, &json!("too long")));
}

#[tokio::test]
async fn holds_are_decided_once() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let users = [console.user("anna").await, console.user("bert").await];
    console.link(provider, &users).await;
    let id = console.hold(provider, &users).await;
    let hold = console.api("GET", &format!("/holds/{id}"), None).await.json();
    assert_eq!((&hold["objects"], &hold["deed"]), (&json!(2), &json!("Delete 2 accounts at acme")));
    assert_eq!(console.api("GET", "/holds?state=waiting", None).await.json()["items"].as_array().unwrap().len(), 1);
    let decided = console.api("POST", &format!("/holds/{id}/reject"), None).await.json();
    assert_eq!((&decided["state"], &decided["released"]), (&json!("rejected"), &json!(0)));
    assert_eq!(console.api("POST", &format!("/holds/{id}/approve"), None).await.status, StatusCode::CONFLICT);
    let hold = console.api("GET", &format!("/holds/{id}"), None).await.json();
    assert_eq!((&hold["state"], &hold["decided_by"]), (&json!("rejected"), &json!("admin")));
}

#[tokio::test]
async fn objects_are_found_with_links_and_without_secrets() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let user = console.user("anna").await;
    console.link(provider, std::slice::from_ref(&user)).await;
    let found = console.api("GET", "/objects?q=anna", None).await.json();
    assert_eq!((&found["items"][0]["id"], &found["items"][0]["attributes"]), (&json!(user), &Value::Null));
    let shown = console.api("GET", &format!("/objects/{user}"), None).await.json();
    assert_eq!(shown["attributes"]["userName"], "anna");
    let links = console.api("GET", &format!("/objects/{user}/links"), None).await.json();
    assert_eq!((&links["items"][0]["provider"], &links["items"][0]["state"]), (&json!("acme"), &json!("pending")));
    let log = console.api("GET", &format!("/objects/{user}/log?provider=acme"), None).await.json();
    assert_eq!(log["items"], json!([]));
    let answer = console.api("POST", &format!("/providers/acme/objects/{user}/sync"), None).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(console.api("GET", "/leavers", None).await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_token_is_shown_once_and_revoked() {
    let console = console().await;
    let made = console.api("POST", "/tokens", Some(json!({ "name": "ci", "scope": "admin" }))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let (id, token) =
        (made.json()["id"].as_str().unwrap().to_owned(), made.json()["token"].as_str().unwrap().to_owned());
    let listed = console.api("GET", "/tokens", None).await;
    assert!(listed.body.contains(&id) && !listed.body.contains(&token));
    let with = |token: &str| {
        let request = Request::get("/api/v1/tokens").header(header::AUTHORIZATION, format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(console.send(with(&token)).await.status, StatusCode::OK);
    assert_eq!(console.api("DELETE", &format!("/tokens/{id}"), None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(console.send(with(&token)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(console.api("DELETE", &format!("/tokens/{id}"), None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        console.api("POST", "/tokens", Some(json!({ "name": "x", "scope": "root" }))).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn dead_letters_go_only_when_named() {
    let console = console().await;
    assert_eq!(console.api("GET", "/dead-letters", None).await.json()["items"], json!([]));
    for (body, status) in [
        (json!({}), 400),
        (json!({ "ids": [] }), 400),
        (json!({ "ids": ["x"], "all": true }), 400),
        (json!({ "all": true }), 200),
    ] {
        assert_eq!(
            console.api("POST", "/dead-letters/drop", Some(body.clone())).await.status.as_u16(),
            status,
            "{body}"
        );
    }
    assert_eq!(console.api("GET", "/workers", None).await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_process_without_a_cluster_says_so() {
    let console = console().await;
    let state = ConsoleState::new(console.store.clone(), Some(SecretString::from(ADMIN)));
    let request = Request::get("/api/v1/workers").header(header::AUTHORIZATION, format!("Bearer {ADMIN}"));
    let answer = router(state).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}
