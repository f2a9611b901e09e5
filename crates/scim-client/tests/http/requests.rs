//! What is sent for each operation, and what is made of each answer.

use std::time::Duration;

use scimfleet_core::ResourceKind::{Group, User};
use scimfleet_core::retry::Class;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::{PatchOp, PatchOperation};
use scimfleet_scim_client::{Authorization, Lister, Listing, Projection, RequestContext, ScimClient, ScimError};
use serde_json::{Value, json};

use crate::server::{Arrived, Server, TOKEN, answer, client, config, context, empty, error, id, json, with};

fn anna() -> Document {
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "anna"}).as_object().unwrap().clone()
}

#[tokio::test]
async fn a_create_carries_token_types_agent_and_trace() {
    let server = Server::start(|_| with(json(201, json!({"id": 17, "userName": "anna"})), "etag", "W/\"1\"")).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context = RequestContext { traceparent: Some(trace.to_owned()) };
    let created = client(&server.base).create(User, &anna(), &context).await.unwrap();
    assert_eq!((created.status, created.remote_id, created.version.as_deref()), (201, Some(id("17")), Some("W/\"1\"")));
    let request = server.only_request();
    assert_eq!(request.line(), "POST /scim/v2/Users");
    assert_eq!(request.header("authorization").unwrap(), format!("Bearer {TOKEN}"));
    assert_eq!(request.header("content-type"), Some("application/scim+json"));
    assert_eq!(request.header("accept"), Some("application/scim+json, application/json;q=0.9"));
    assert!(request.header("user-agent").unwrap().starts_with("scimfleet/"));
    assert_eq!(request.header("traceparent"), Some(trace));
    assert_eq!(request.json(), Value::Object(anna()));
}

#[tokio::test]
async fn a_create_succeeds_in_every_way_that_providers_answer() {
    let created = |response: fn() -> axum::http::Response<axum::body::Body>| async move {
        let server = Server::start(move |_| response()).await;
        let created = client(&server.base).create(User, &anna(), &context()).await.unwrap();
        (created.status, created.remote_id.map(String::from))
    };
    assert_eq!(created(|| json(200, json!({"id": "a"}))).await, (200, Some("a".into())));
    assert_eq!(created(|| answer(201, "text/plain", r#"{"id":"a"}"#)).await, (201, Some("a".into())));
    assert_eq!(created(|| with(empty(201), "location", "/scim/v2/Users/b%20c")).await, (201, Some("b c".into())));
    assert_eq!(created(|| empty(202)).await, (202, None));
    assert_eq!(created(|| empty(204)).await, (204, None));
    assert_eq!(created(|| answer(201, "application/json", " \r\n")).await, (201, None));
}

#[tokio::test]
async fn json_that_shows_no_resource_leaves_doubt_after_a_write() {
    for body in [r#"{"status":"UP"}"#, "[]", "\"ok\"", "true"] {
        let server = Server::start(move |_| answer(200, "application/json", body)).await;
        let error = client(&server.base).replace(User, &id("1"), &anna(), None, &context()).await.unwrap_err();
        assert!(matches!(error, ScimError::Malformed { .. }) && error.may_have_been_applied(), "{body}: {error}");
    }
    for body in ["{}", "null", r#"{"schemas":[]}"#, r#"{"username":"anna"}"#] {
        let server = Server::start(move |_| answer(200, "application/json", body)).await;
        client(&server.base).replace(User, &id("1"), &anna(), None, &context()).await.unwrap();
    }
}

#[tokio::test]
async fn requests_can_be_spawned() {
    let server = Server::start(|_| json(200, json!({"totalResults": 0}))).await;
    let client = client(&server.base);
    let one = client.clone();
    tokio::spawn(async move { one.find(User, "userName", "x", &context()).await }).await.unwrap().unwrap();
    let two = client.clone();
    tokio::spawn(async move { two.bulk(Vec::new(), &context()).await }).await.unwrap().unwrap_err();
    let mut lister = Lister::new(client.clone(), User);
    let listing = tokio::spawn(async move { lister.next_page(Projection::Default, &context()).await });
    assert!(listing.await.unwrap().unwrap().is_some());
    tokio::spawn(async move { client.discover(&context()).await.layer }).await.unwrap();
}

#[tokio::test]
async fn ids_stand_in_one_segment_and_the_base_path_stays() {
    for base in ["", "/"] {
        let server = Server::start(|_| empty(204)).await;
        let client = client(&format!("{}{base}", server.base));
        client.delete(User, &id("uid=a/b?c#d e,ou=ü"), Some("W/\"3\""), &context()).await.unwrap();
        let request = server.only_request();
        assert_eq!(request.line(), "DELETE /scim/v2/Users/uid%3Da%2Fb%3Fc%23d%20e%2Cou%3D%C3%BC");
        assert_eq!(request.header("if-match"), Some("W/\"3\""));
        // Entra refuses a DELETE that accepts plain JSON.
        assert_eq!(request.header("accept"), Some("application/scim+json"));
        assert_eq!(request.header("content-type"), None);
    }
}

#[tokio::test]
async fn an_id_of_dots_never_climbs_to_the_collection() {
    let server = Server::start(|_| empty(204)).await;
    for dots in [".", ".."] {
        let error = client(&server.base).delete(User, &id(dots), None, &context()).await.unwrap_err();
        assert!(matches!(error, ScimError::Unsendable { .. }) && error.class() == Class::Permanent, "{error}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_patch_and_a_put_say_what_the_rfc_says() {
    let server = Server::start(|_| empty(204)).await;
    let client = client(&server.base);
    let operation = |op, path: Option<&str>, value| PatchOperation { op, path: path.map(str::to_owned), value };
    let operations = [
        operation(PatchOp::Replace, Some("active"), Some(json!(false))),
        operation(PatchOp::Remove, Some("members[value eq \"x\"]"), None),
    ];
    let patched = client.patch(Group, &id("g"), &operations, Some("\"v\""), &context()).await.unwrap();
    assert_eq!((patched.status, patched.document), (204, None));
    client.replace(User, &id("u"), &anna(), None, &context()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].line(), "PATCH /scim/v2/Groups/g");
    assert_eq!(requests[0].header("if-match"), Some("\"v\""));
    let expected = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "replace", "path": "active", "value": false}, {"op": "remove", "path": "members[value eq \"x\"]"}]});
    assert_eq!(requests[0].json(), expected);
    assert_eq!((requests[1].line().as_str(), requests[1].header("if-match")), ("PUT /scim/v2/Users/u", None));
}

#[tokio::test]
async fn the_profile_sets_the_media_types() {
    let server = Server::start(|_| empty(204)).await;
    let mut config = config(&server.base);
    config.profile.content_type = "application/json".into();
    config.profile.accept = "*/*".into();
    ScimClient::new(config).unwrap().create(User, &anna(), &context()).await.unwrap();
    let request = server.only_request();
    assert_eq!((request.header("content-type"), request.header("accept")), (Some("application/json"), Some("*/*")));
}

#[tokio::test]
async fn a_look_up_escapes_and_checks_its_candidates() {
    let server = Server::start(|_| {
        let users = json!([{"id": "1", "userName": "A\"b"}, {"id": "2", "userName": "other"}, 7]);
        json(200, json!({"totalResults": 3, "Resources": users}))
    })
    .await;
    let found = client(&server.base).find(User, "userName", "a\"B", &context()).await.unwrap();
    assert_eq!((found.resources.len(), found.refused, found.more), (1, 2, false));
    assert_eq!(found.resources[0]["id"], "1");
    assert_eq!(server.only_request().line(), "GET /scim/v2/Users?filter=userName%20eq%20%22a%5C%22B%22&count=100");
}

#[tokio::test]
async fn an_ignored_filter_proves_no_absence() {
    let found = |body: Value| async move {
        let server = Server::start(move |_| json(200, body.clone())).await;
        client(&server.base).find(Group, "displayName", "staff", &context()).await.unwrap().proves_absence()
    };
    assert!(found(json!({"totalResults": 0})).await);
    assert!(found(json!([])).await);
    assert!(!found(json!({"totalResults": 1, "Resources": [{"id": "9", "displayName": "x"}]})).await);
    assert!(!found(json!({"totalResults": 500, "Resources": []})).await);
    assert!(!found(json!({"totalResults": 1, "Resources": [{"id": "9", "displayName": "Staff"}]})).await);
}

#[tokio::test]
async fn a_get_believes_only_a_resource() {
    let get = |body: &'static str| async move {
        let server = Server::start(move |_| answer(200, "application/json", body)).await;
        client(&server.base).get(User, &id("1"), &context()).await
    };
    assert_eq!(get(r#"{"id":"1","meta":{"version":"v"}}"#).await.unwrap().version.as_deref(), Some("v"));
    for nothing in ["", "[]", "{}", r#"{"status":"UP"}"#, "<html>", "null"] {
        let error = get(nothing).await.unwrap_err();
        assert!(
            matches!(error, ScimError::Malformed { .. }) && error.class() == Class::Transient,
            "{nothing}: {error}"
        );
        assert!(!error.may_have_been_applied());
    }
}

#[tokio::test]
async fn refusals_carry_the_decision() {
    // status, scimType, class, may have been applied
    let cases = [
        (400, None, Class::Permanent, false),
        (400, Some("uniqueness"), Class::Conflict, false),
        (401, None, Class::Credentials, false),
        (403, None, Class::Refused, false),
        (404, None, Class::Gone, false),
        (405, None, Class::Unsupported, false),
        (408, None, Class::Transient, true),
        (409, Some("uniqueness"), Class::Conflict, false),
        (412, None, Class::VersionMoved, false),
        (413, None, Class::Permanent, false),
        (429, None, Class::Throttled, false),
        (500, None, Class::Transient, true),
        (501, None, Class::Unsupported, false),
        (502, None, Class::Transient, true),
        (503, None, Class::Transient, true),
        (504, None, Class::Transient, true),
    ];
    for (status, scim_type, class, applied) in cases {
        let server = Server::start(move |_| error(status, scim_type, "no")).await;
        let client = client(&server.base);
        let refused = client.create(User, &anna(), &context()).await.unwrap_err();
        assert_eq!((refused.class(), refused.may_have_been_applied()), (class, applied), "{status}");
        let read = client.get(User, &id("1"), &context()).await.unwrap_err();
        assert_eq!((read.status(), read.may_have_been_applied()), (Some(status), false), "{status}");
    }
}

#[tokio::test]
async fn a_refusal_reads_like_a_sentence() {
    let server = Server::start(|_| error(409, Some("uniqueness"), "userName\r\n is taken")).await;
    let refused = client(&server.base).create(User, &anna(), &context()).await.unwrap_err();
    assert_eq!(refused.to_string(), "POST /Users at `acme`: provider answered 409 (uniqueness): userName   is taken");
    let server = Server::start(|_| answer(404, "text/html", "<h1>nginx</h1>")).await;
    let refused = client(&server.base).delete(User, &id("1"), None, &context()).await.unwrap_err();
    assert_eq!(refused.to_string(), "DELETE /Users/1 at `acme`: provider answered 404 without a SCIM error");
    assert!(!refused.is_believable_not_found());
}

#[tokio::test]
async fn only_a_scim_404_is_believed() {
    let server = Server::start(|_| error(404, None, "no such user")).await;
    let refused = client(&server.base).delete(User, &id("1"), None, &context()).await.unwrap_err();
    assert!(refused.is_believable_not_found());
    let server = Server::start(|_| json(404, json!({"detail": "Not Found"}))).await;
    let refused = client(&server.base).delete(User, &id("1"), None, &context()).await.unwrap_err();
    assert!(!refused.is_believable_not_found());
}

#[tokio::test]
async fn an_error_that_comes_with_a_success_is_an_error() {
    let server = Server::start(|_| {
        let urn = "urn:ietf:params:scim:api:messages:2.0:Error";
        json(200, json!({"schemas": [urn], "status": 409, "scimType": "uniqueness"}))
    })
    .await;
    let refused = client(&server.base).create(User, &anna(), &context()).await.unwrap_err();
    assert_eq!((refused.status(), refused.class()), (Some(409), Class::Conflict));
}

#[tokio::test]
async fn retry_after_is_handed_on() {
    for (value, expected) in [("7", Some(7)), ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)), ("soon", None)] {
        let server = Server::start(move |_| with(error(429, None, "slow down"), "retry-after", value)).await;
        let refused = client(&server.base).get(User, &id("1"), &context()).await.unwrap_err();
        assert_eq!(refused.retry_after(), expected.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    let elsewhere = Server::start(|_| json(200, json!({"id": "1"}))).await;
    let target = format!("{}/Users/1?session=s3cret#x", elsewhere.base);
    let server = Server::start(move |_| with(empty(302), "location", &target)).await;
    let redirected = client(&server.base).get(User, &id("1"), &context()).await.unwrap_err();
    let text = redirected.to_string();
    assert!(text.contains("a redirect to http://127.0.0.1:") && text.ends_with("into `base_url`"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    assert_eq!(redirected.class(), Class::Transient);
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_listing_reads_every_page_once() {
    let server = Server::start(|request| {
        let query = request.uri.query().unwrap();
        let start: usize = query.split(['=', '&']).nth(1).unwrap().parse().unwrap();
        let users: Vec<Value> = (start..=(start + 1).min(5)).map(|number| json!({"id": number})).collect();
        json(200, json!({"totalResults": "5", "startIndex": start, "Resources": users}))
    })
    .await;
    let mut config = config(&server.base);
    config.profile.page_size = 2;
    let mut lister = Lister::new(ScimClient::new(config).unwrap(), User);
    let mut ids = Vec::new();
    while let Some(page) = lister.next_page(Projection::Except("members"), &context()).await.unwrap() {
        ids.extend(page.resources.iter().map(|user| user["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
    assert_eq!(lister.listing(), Some(&Listing::Complete { resources: 5 }));
    let lines: Vec<String> = server.requests().iter().map(Arrived::line).collect();
    let expected =
        [1, 3, 5].map(|start| format!("GET /scim/v2/Users?startIndex={start}&count=2&excludedAttributes=members"));
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn requests_are_counted_and_timed() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let server = Server::start(|_| error(409, None, "taken")).await;
    let guard = metrics::set_default_local_recorder(&recorder);
    let client = client(&server.base);
    client.create(User, &anna(), &context()).await.unwrap_err();
    crate::server::client("http://127.0.0.1:1/").create(User, &anna(), &context()).await.unwrap_err();
    drop(guard);
    let text = handle.render();
    for line in [
        r#"scimfleet_requests_total{provider="acme",method="POST",status="409"} 1"#,
        r#"scimfleet_requests_total{provider="acme",method="POST",status="none"} 1"#,
        r#"scimfleet_request_seconds_count{provider="acme",method="POST"} 2"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn basic_authorisation_is_encoded() {
    let server = Server::start(|_| error(401, None, "no")).await;
    let mut config = config(&server.base);
    config.authorization = Authorization::Basic { username: "Aladdin".into(), password: "open sesame".into() };
    ScimClient::new(config.clone()).unwrap().get(User, &id("1"), &context()).await.unwrap_err();
    assert_eq!(server.only_request().header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    config.authorization = Authorization::Basic { username: "a:b".into(), password: "x".into() };
    assert!(ScimClient::new(config.clone()).unwrap_err().to_string().contains("colon"));
    config.authorization = Authorization::Bearer(" ".into());
    assert!(ScimClient::new(config.clone()).unwrap_err().to_string().contains("empty"));
    config.authorization = Authorization::Bearer("one\ntwo".into());
    let text = ScimClient::new(config).unwrap_err().to_string();
    assert!(text.contains("line break") && !text.contains("one"), "{text}");
}
