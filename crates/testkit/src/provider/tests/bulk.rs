//! Bulk (RFC 7644 §3.7).

use super::*;

fn bulk(operations: Value) -> Option<Value> {
    Some(json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations }))
}

fn post(path: &str, bulk_id: &str, data: Value) -> Value {
    json!({ "method": "POST", "path": path, "bulkId": bulk_id, "data": data })
}

#[tokio::test]
async fn references_by_bulk_id_are_filled_in_whatever_the_order() {
    let provider = plain();
    let operations = json!([
        post("/Groups", "g", group("G", &["bulkId:a", "bulkId:b"])),
        post("/Users", "a", user("a")),
        post("/Users", "b", user("b")),
    ]);
    let reply = call(&provider, "POST", "/Bulk", bulk(operations)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let results = reply.json()["Operations"].as_array().unwrap().clone();
    assert_eq!(results.iter().map(|one| one["bulkId"].as_str().unwrap()).collect::<Vec<_>>(), ["g", "a", "b"]);
    assert!(results.iter().all(|one| one["status"] == "201" && one["location"].is_string()), "{results:?}");
    assert_eq!(provider.content().groups[0]["members"].as_array().unwrap().len(), 2);
    let journal = provider.journal();
    assert_eq!((journal.counts.of("POST"), journal.counts.bulk_operations, journal.entries[0].operations), (1, 3, 3));
    assert_eq!(provider.violations(), []);
}

#[tokio::test]
async fn every_verb_works_and_errors_stand_at_their_operation() {
    let provider = plain();
    let id = provider.seed_user(user("a")).unwrap();
    let operations = json!([
        { "method": "PATCH", "path": format!("/Users/{id}"), "version": "W/\"1\"", "data": patch(json!([{ "op": "add", "path": "title", "value": "x" }])) },
        post("/Users", "dup", user("A")),
        { "method": "DELETE", "path": format!("/Users/{id}") },
        { "method": "DELETE", "path": format!("/Users/{id}") },
        post("/Groups", "g", group("G", &["bulkId:none"])),
    ]);
    let results = call(&provider, "POST", "/Bulk", bulk(operations)).await.json()["Operations"].clone();
    let statuses: Vec<_> = results.as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, ["200", "409", "204", "404", "409"]);
    assert_eq!(results[1]["response"]["scimType"], "uniqueness");
    assert_eq!(results[0]["version"], "W/\"2\"");
}

#[tokio::test]
async fn it_stops_at_fail_on_errors() {
    let provider = plain();
    let mut body = bulk(json!([
        { "method": "DELETE", "path": "/Users/none" },
        post("/Users", "a", user("a")),
    ]))
    .unwrap();
    body["failOnErrors"] = 1.into();
    let results = call(&provider, "POST", "/Bulk", Some(body)).await.json()["Operations"].clone();
    assert_eq!(results.as_array().unwrap().len(), 1);
    assert_eq!(provider.users_count(), 0);
}

#[tokio::test]
async fn limits_are_413() {
    let provider = ServiceProvider::unbound(Behaviour { bulk_operations_max: 1, ..Behaviour::default() });
    let two = json!([post("/Users", "a", user("a")), post("/Users", "b", user("b"))]);
    assert_eq!(call(&provider, "POST", "/Bulk", bulk(two.clone())).await.status, 413);
    provider.change_behaviour(|habits| {
        habits.bulk_operations_max = 10;
        habits.bulk_payload_bytes_max = 100;
    });
    assert_eq!(call(&provider, "POST", "/Bulk", bulk(two.clone())).await.status, 413);
    provider.change_behaviour(|habits| habits.bulk = false);
    assert_eq!(call(&provider, "POST", "/Bulk", bulk(two)).await.status, 404);
    assert_eq!(provider.users_count(), 0);
}
