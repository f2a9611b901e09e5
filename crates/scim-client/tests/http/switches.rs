//! The switches of a profile that show in a request, and what an operator adds to every request.

use scimfleet_core::ResourceKind::{Group, User};
use scimfleet_core::profile::Profile;
use scimfleet_core::scim::message::{PatchOp, PatchOperation};
use scimfleet_scim_client::{ScimClient, ScimError};
use serde_json::{Value, json};

use crate::server::{Server, config, context, empty, error, id, json as answer};

fn client(base: &str, switches: Value) -> ScimClient {
    let mut config = config(base);
    config.profile = serde_json::from_value::<Profile>(switches).unwrap();
    ScimClient::new(config).unwrap()
}

fn off() -> [PatchOperation; 1] {
    [PatchOperation { op: PatchOp::Replace, path: Some("active".to_owned()), value: Some(json!(false)) }]
}

#[tokio::test]
async fn a_patch_is_spoken_in_the_dialect_of_the_profile() {
    let cases = [
        (json!({}), json!({"op": "replace", "path": "active", "value": false})),
        (json!({"op_case": "capitalised"}), json!({"op": "Replace", "path": "active", "value": false})),
        (json!({"patch_booleans": "text"}), json!({"op": "replace", "path": "active", "value": "False"})),
        (json!({"patch_paths": "pathless"}), json!({"op": "replace", "value": {"active": false}})),
    ];
    for (switches, expected) in cases {
        let server = Server::start(|_| empty(204)).await;
        client(&server.base, switches).patch(User, &id("1"), &off(), None, &context()).await.unwrap();
        assert_eq!(server.only_request().json()["Operations"], json!([expected]));
    }
}

#[tokio::test]
async fn a_put_carries_its_id_where_that_is_wanted() {
    let document = json!({"userName": "anna"}).as_object().unwrap().clone();
    for (wanted, shown) in [(false, Value::Null), (true, json!("a/b"))] {
        let server = Server::start(|_| empty(204)).await;
        let client = client(&server.base, json!({ "put_with_id": wanted }));
        client.replace(User, &id("a/b"), &document, None, &context()).await.unwrap();
        assert_eq!(server.only_request().json()["id"], shown);
    }
}

#[tokio::test]
async fn paths_types_and_agent_follow_the_profile() {
    let server = Server::start(|_| empty(204)).await;
    let switches = json!({"trailing_slash": true, "user_agent": "acme-sync/1", "accept": "application/json",
        "accept_by_method": {"DELETE": "*/*"}, "content_type": "application/json"});
    let client = client(&server.base, switches);
    client.delete(Group, &id("1"), None, &context()).await.unwrap();
    client.patch(User, &id("2"), &off(), None, &context()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].line(), "DELETE /scim/v2/Groups/1/");
    assert_eq!((requests[0].header("accept"), requests[0].header("user-agent")), (Some("*/*"), Some("acme-sync/1")));
    assert_eq!(requests[1].line(), "PATCH /scim/v2/Users/2/");
    assert_eq!(requests[1].header("accept"), Some("application/json"));
    assert_eq!(requests[1].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_slash_stands_before_the_query() {
    let server = Server::start(|_| answer(200, json!({"totalResults": 0}))).await;
    let client = client(&server.base, json!({"trailing_slash": true}));
    client.find(User, "userName", "x", &context()).await.unwrap();
    assert!(server.only_request().line().starts_with("GET /scim/v2/Users/?filter="));
}

#[tokio::test]
async fn the_configuration_is_asked_for_where_the_profile_says() {
    let server = Server::start(|request| match request.uri.path() {
        "/scim/v2/ServiceProviderConfigs" => answer(200, json!({"patch": {"supported": true}})),
        _ => error(404, None, "no"),
    })
    .await;
    let found = client(&server.base, json!({"config_path": "/ServiceProviderConfigs"})).discover(&context()).await;
    assert_eq!(found.layer["update"], "patch");
    assert!(server.requests().iter().all(|request| request.uri.path() != "/scim/v2/ServiceProviderConfig"));
}

#[tokio::test]
async fn cursors_are_used_from_the_start_where_only_they_are_announced() {
    for (index, expected) in [(true, "index"), (false, "cursor")] {
        let server = Server::start(move |_| answer(200, json!({"pagination": {"cursor": true, "index": index}}))).await;
        let found = client(&server.base, json!({})).discover(&context()).await;
        assert_eq!(found.layer["paging"], expected);
    }
}

#[tokio::test]
async fn headers_of_the_operator_go_with_every_request_and_stay_out_of_errors() {
    let server = Server::start(|request| {
        let tenant = request.header("x-tenant").unwrap_or_default().to_owned();
        error(400, None, &format!("not for {tenant}"))
    })
    .await;
    let mut config = config(&server.base);
    config.headers.insert("X-Tenant".to_owned(), "canary-tenant".to_owned());
    assert!(!format!("{config:?}").contains("canary"));
    let client = ScimClient::new(config).unwrap();
    let error = client.delete(User, &id("1"), None, &context()).await.unwrap_err();
    assert!(matches!(&error, ScimError::Refused { .. }) && error.to_string().contains("not for [redacted]"), "{error}");
}

#[tokio::test]
async fn headers_that_a_request_needs_cannot_be_taken() {
    for (name, value) in [("Authorization", "x"), ("content-LENGTH", "1"), ("bad name", "x"), ("x-a", "a\nb")] {
        let mut config = config("http://127.0.0.1:1/scim");
        config.headers.insert(name.to_owned(), value.to_owned());
        let error = ScimClient::new(config).unwrap_err().to_string();
        assert!(error.starts_with(&format!("header `{name}` of `acme` cannot be set")), "{error}");
    }
}
