//! Announcements as providers really make them, each with what is made of it.

use scimfleet_core::profile::{Origin, Profile};
use scimfleet_scim_client::{Discovery, ScimError};
use serde_json::{Value, json};

use crate::server::{Server, answer, client, context, error, json};

/// A path and what is found there.
type Stored = (&'static str, Value);

/// Answers by path; what is not listed is a SCIM 404.
async fn discover(pages: &[Stored]) -> Discovery {
    let pages: Vec<(&str, Value)> = pages.to_vec();
    let server = Server::start(move |request| {
        let path = request.uri.path().trim_start_matches("/scim/v2");
        match pages.iter().find(|(known, _)| *known == path) {
            Some((_, body)) => json(200, body.clone()),
            None => error(404, None, "no such page"),
        }
    })
    .await;
    let found = client(&server.base).discover(&context()).await;
    // Whatever was announced, it must be usable as a layer.
    Profile::resolve(&[(Origin::Announced, &found.layer)]).unwrap();
    found
}

fn whole_config() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": true, "maxOperations": 1000, "maxPayloadSize": 1_048_576},
        "filter": {"supported": true, "maxResults": 50},
        "changePassword": {"supported": true}, "sort": {"supported": false}, "etag": {"supported": true},
        "authenticationSchemes": []
    })
}

fn types(names: &[&str]) -> Value {
    let types: Vec<Value> = names.iter().map(|name| json!({"name": name, "endpoint": format!("/{name}s")})).collect();
    json!({"totalResults": types.len(), "Resources": types})
}

fn schemas() -> Value {
    let urn = "urn:ietf:params:scim:schemas:core:2.0:User";
    json!({"totalResults": 1, "Resources": [{"id": urn, "name": "User", "attributes": [{"name": "userName"}]}]})
}

#[tokio::test]
async fn a_whole_announcement_becomes_a_layer() {
    let found = discover(&[
        ("/ServiceProviderConfig", whole_config()),
        ("/ResourceTypes", types(&["User", "Group"])),
        ("/Schemas", schemas()),
    ])
    .await;
    let expected = json!({
        "update": "patch", "filter": true, "etag": true, "change_password": true, "page_size": 50,
        "bulk_operations": 1000, "bulk_payload_bytes": 1_048_576, "groups": true
    });
    assert_eq!(Value::Object(found.layer), expected);
    assert_eq!((found.resource_types.len(), found.schemas.len(), found.schemas_complete), (2, 1, true));
    assert_eq!(found.notes, Vec::<String>::new());
    assert!(found.config.is_some() && found.unreachable.is_none());
}

#[tokio::test]
async fn a_missing_part_takes_no_other_with_it() {
    let with = |key: &str, value: Value| {
        let mut config = whole_config();
        config[key] = value;
        config
    };
    // What is said, and the keys of the layer that it leads to.
    let cases: &[(Value, Value)] = &[
        (with("bulk", json!({"supported": true})), json!({"bulk_operations": 0, "bulk_payload_bytes": 0})),
        (
            with("bulk", json!({"supported": true, "maxOperations": "20"})),
            json!({"bulk_operations": 20, "bulk_payload_bytes": 1_048_576}),
        ),
        (with("bulk", json!({"supported": false, "maxOperations": 20})), json!({"bulk_operations": 0})),
        (with("bulk", json!(null)), json!({"bulk_operations": null})),
        (with("bulk", json!({"supported": true, "maxOperations": 1e12})), json!({"bulk_operations": u32::MAX})),
        (with("patch", json!({"supported": "false"})), json!({"update": "put"})),
        (with("patch", json!("yes")), json!({"update": null})),
        (with("filter", json!({"supported": true, "maxResults": 0})), json!({"filter": true, "page_size": null})),
        (with("filter", json!({"supported": true, "maxResults": 100_000})), json!({"page_size": 100})),
        (with("etag", json!([])), json!({"etag": null})),
        (json!({"patch": {"supported": true}}), json!({"update": "patch", "filter": null, "page_size": null})),
        (json!([whole_config()]), json!({"update": "patch", "bulk_operations": 1000})),
        (json!({"totalResults": 1, "Resources": [whole_config()]}), json!({"update": "patch"})),
    ];
    for (config, expected) in cases {
        let found = discover(&[("/ServiceProviderConfig", config.clone()), ("/ResourceTypes", types(&["User"]))]).await;
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(found.layer.get(key).unwrap_or(&Value::Null), value, "{key} of {config}");
        }
        assert!(found.config.is_some());
    }
}

#[tokio::test]
async fn the_plural_is_tried_where_the_singular_is_missing() {
    let found = discover(&[("/ServiceProviderConfigs", whole_config())]).await;
    assert_eq!(found.layer["update"], "patch");
    assert!(
        found.notes[0].contains("GET /ServiceProviderConfig at `acme`: provider answered 404"),
        "{:?}",
        found.notes
    );
}

#[tokio::test]
async fn arrays_are_read_as_lists() {
    let types = types(&["User", "Group"])["Resources"].clone();
    let found = discover(&[("/ResourceTypes", types), ("/Schemas", schemas()["Resources"].clone())]).await;
    assert_eq!(found.layer["groups"], true);
    assert!(found.schemas_complete);
}

#[tokio::test]
async fn groups_are_given_up_only_on_a_clear_word() {
    let no_groups = json!({"schemas": [], "totalResults": 0});
    let cases: &[(&[Stored], Option<bool>)] = &[
        (&[("/ResourceTypes", types(&["User"]))], Some(false)),
        (&[("/ResourceTypes", types(&["User", "Group"]))], Some(true)),
        // Nothing to be read, and /Groups is a SCIM 404.
        (&[], Some(false)),
        (&[("/ResourceTypes", types(&[]))], Some(false)),
        (&[("/Groups", no_groups.clone())], Some(true)),
        (&[("/ResourceTypes", types(&[])), ("/Groups", no_groups.clone())], Some(true)),
        (
            &[("/ResourceTypes", json!({"totalResults": 2, "Resources": [{"name": "User"}]})), ("/Groups", no_groups)],
            Some(true),
        ),
        (&[("/Groups", json!({"status": "UP"}))], None),
    ];
    for (pages, expected) in cases {
        let found = discover(pages).await;
        assert_eq!(found.layer.get("groups").and_then(Value::as_bool), *expected, "{pages:?}");
    }
}

#[tokio::test]
async fn schemas_that_are_not_all_readable_are_not_complete() {
    let one = schemas()["Resources"][0].clone();
    for broken in [
        json!({"totalResults": 2, "Resources": [one.clone()]}),
        json!({"totalResults": 2, "Resources": [one.clone(), {"name": "no id"}]}),
        json!({"totalResults": 2, "Resources": [one, 7]}),
        json!({"totalResults": 0}),
        json!({"hello": "world"}),
    ] {
        let found = discover(&[("/Schemas", broken.clone())]).await;
        assert!(!found.schemas_complete, "{broken}");
    }
}

#[tokio::test]
async fn a_page_for_people_everywhere_announces_nothing() {
    let server = Server::start(|_| answer(200, "text/html", "<html>hello</html>")).await;
    let found = client(&server.base).discover(&context()).await;
    assert!(found.layer.is_empty() && found.config.is_none() && found.unreachable.is_none());
    assert_eq!(found.notes.len(), 5, "{:?}", found.notes);
}

#[tokio::test]
async fn a_gateways_404_everywhere_does_not_take_groups_away() {
    let server = Server::start(|_| answer(404, "text/html", "<html>nginx</html>")).await;
    let found = client(&server.base).discover(&context()).await;
    assert!(found.layer.is_empty() && found.unreachable.is_none(), "{found:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_unreachable_and_asked_once() {
    for status in [401, 429, 500, 503] {
        let server = Server::start(move |_| error(status, None, "no")).await;
        let found = client(&server.base).discover(&context()).await;
        assert!(matches!(found.unreachable, Some(ScimError::Refused { status: seen, .. }) if seen == status));
        assert_eq!(server.requests().len(), 1);
    }
    let found = client("http://127.0.0.1:1/scim").discover(&context()).await;
    assert!(matches!(found.unreachable, Some(ScimError::Unreachable { .. })));
}
