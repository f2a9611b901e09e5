//! What a request costs the database, by statements and rows, which no other process disturbs: one member more
//! costs the same in a small group and in a large one (R1). A process of its own, because it listens to the
//! driver's log.

#![allow(clippy::unwrap_used, dead_code, reason = "a test that cannot go on has failed; the helpers are shared")]

#[path = "server/support.rs"]
mod support;

use scimfleet_core::ResourceKind;
use scimfleet_store::IncomingResource;
use scimfleet_testkit::statements::{self, Cost};
use serde_json::{Value, json};
use support::{Kind, Server};

/// Far beyond the page of members and the limit below which a PATCH shows them.
const LARGE: usize = 20_000;

/// A group of some users, by import: its id, and the ids of two more users.
async fn group(server: &Server, name: &str, size: usize) -> (String, [String; 2]) {
    let user = |n: usize| IncomingResource {
        kind: ResourceKind::User,
        id: None,
        attributes: json!({"userName": format!("{name}-{n}")}).as_object().unwrap().clone(),
        members: None,
        password: None,
    };
    let users: Vec<IncomingResource> = (0..size + 2).map(user).collect();
    for batch in users.chunks(2_000) {
        server.store.import("scim:directory", batch.to_vec()).await.unwrap();
    }
    let group = IncomingResource {
        kind: ResourceKind::Group,
        id: None,
        attributes: json!({"displayName": name}).as_object().unwrap().clone(),
        members: Some((0..size).map(|n| format!("{name}-{n}")).collect()),
        password: None,
    };
    server.store.import("scim:directory", vec![group]).await.unwrap();
    let id = async |name: String| server.store.find_resources(&name).await.unwrap()[0].id.to_string();
    (id(name.to_owned()).await, [id(format!("{name}-{size}")).await, id(format!("{name}-{}", size + 1)).await])
}

/// What one PATCH costs; its answer is asked for without members, as it comes by itself for a large group.
async fn patch(server: &Server, group: &str, operation: Value) -> Cost {
    statements::take();
    let path = format!("/Groups/{group}?excludedAttributes=members");
    let answer = server.patch(&path, json!([operation])).await;
    assert!(matches!(answer.status, 200 | 204), "{}", answer.body);
    statements::take()
}

async fn costs(server: &Server, group: &str, others: &[String; 2]) -> Vec<Cost> {
    let [one, two] = others;
    vec![
        patch(server, group, json!({"op": "add", "path": "members", "value": [{"value": one}]})).await,
        patch(server, group, json!({"op": "add", "path": "members", "value": [{"value": one}, {"value": two}]})).await,
        patch(server, group, json!({"op": "remove", "path": format!("members[value eq \"{one}\"]")})).await,
        patch(server, group, json!({"op": "Remove", "path": "members", "value": [{"value": two}]})).await,
        patch(server, group, json!({"op": "replace", "path": "displayName", "value": format!("{group} renamed")}))
            .await,
    ]
}

async fn on(kind: Kind) {
    let server = Server::start(kind).await;
    let (small, others) = group(&server, "small", 10).await;
    let small = costs(&server, &small, &others).await;
    let (id, others) = group(&server, "large", LARGE).await;
    let large = costs(&server, &id, &others).await;
    println!("{kind:?}: 10 members {small:?}, {LARGE} members {large:?}");
    for (few, many) in small.iter().zip(&large) {
        assert!(few.statements > 0 && few.rows > 0, "nothing was heard: {few:?}");
        // Whether it is large is found out by one statement, which counts no further than it must.
        assert!(many.statements <= few.statements + 1 && many.rows <= few.rows + 1, "{few:?} became {many:?}");
    }
    // By default the answer to a PATCH of a large group holds no members.
    let quiet =
        server.patch(&format!("/Groups/{id}"), json!([{"op": "add", "path": "externalId", "value": "x"}])).await;
    assert_eq!((quiet.status, quiet.body), (204, Value::Null));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_more_costs_the_same_in_a_large_group() {
    statements::listen();
    on(Kind::Sqlite).await;
    on(Kind::Postgres).await;
}
