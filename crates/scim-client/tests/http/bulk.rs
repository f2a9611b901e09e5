//! Bulk requests, and answers that are in order, out of order, or not all there.

use scimfleet_core::retry::Class;
use scimfleet_core::scim::message::{BulkMethod, BulkOperation};
use scimfleet_scim_client::{Answer, ScimError};
use serde_json::{Value, json};

use crate::server::{Server, client, context, error, id, json};

fn operation(method: BulkMethod, path: &str, bulk_id: Option<&str>) -> BulkOperation {
    let data = (method != BulkMethod::Delete).then(|| json!({"userName": "x", "password": "canary-b"}));
    BulkOperation { method, bulk_id: bulk_id.map(str::to_owned), version: None, path: path.to_owned(), data }
}

fn operations() -> Vec<BulkOperation> {
    vec![
        operation(BulkMethod::Post, "/Users", Some("a")),
        operation(BulkMethod::Post, "/Users", Some("b")),
        operation(BulkMethod::Put, "/Users/7", None),
        operation(BulkMethod::Delete, "/Groups/9", None),
    ]
}

async fn outcomes(results: Value) -> Vec<Result<Answer, ScimError>> {
    let server = Server::start(move |_| json(200, json!({"Operations": results}))).await;
    client(&server.base).bulk(operations(), &context()).await.unwrap()
}

#[tokio::test]
async fn each_operation_gets_its_own_outcome() {
    let results = json!([
        {"method": "DELETE", "location": "https://x/scim/v2/Groups/9", "status": "204"},
        {"method": "POST", "bulkId": "b", "status": {"code": "409"}, "response":
            {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "scimType": "uniqueness", "detail": "no canary-b"}},
        {"method": "PUT", "location": "https://x/scim/v2/Users/7", "version": "W/\"2\"", "status": 200},
        {"method": "POST", "bulkId": "a", "location": "https://x/scim/v2/Users/1", "status": "201"},
    ]);
    let outcomes = outcomes(results).await;
    assert_eq!(outcomes[0].as_ref().unwrap().remote_id, Some(id("1")));
    let refused = outcomes[1].as_ref().unwrap_err();
    assert_eq!(refused.class(), Class::Conflict);
    assert_eq!(refused.to_string(), "POST /Users at `acme`: provider answered 409 (uniqueness): no [redacted]");
    assert_eq!(outcomes[2].as_ref().unwrap().version.as_deref(), Some("W/\"2\""));
    assert_eq!(outcomes[3].as_ref().unwrap().status, 204);
}

#[tokio::test]
async fn bare_results_count_by_their_place_only_if_all_are_there() {
    let bare = |status: &str| json!({"status": status});
    let all = outcomes(json!([bare("201"), bare("400"), bare("200"), bare("404")])).await;
    let statuses: Vec<u16> = all
        .iter()
        .map(|outcome| outcome.as_ref().map_or_else(|error| error.status().unwrap(), |answer| answer.status))
        .collect();
    assert_eq!(statuses, [201, 400, 200, 404]);
    for outcome in outcomes(json!([bare("201"), bare("201")])).await {
        let unknown = outcome.unwrap_err();
        assert_eq!((unknown.class(), unknown.may_have_been_applied()), (Class::Unknown, true), "{unknown}");
    }
}

#[tokio::test]
async fn a_result_of_another_operation_is_never_taken() {
    let results = json!([
        {"method": "POST", "bulkId": "z", "status": "201"}, {"method": "POST", "bulkId": "a", "status": "201"},
        {"method": "PUT", "location": "https://x/Users/8", "status": "200"}, {"method": "POST", "status": "204"},
    ]);
    let known: Vec<bool> = outcomes(results).await.iter().map(Result::is_ok).collect();
    assert_eq!(known, [true, false, false, false]);
}

#[tokio::test]
async fn the_request_is_one_message_and_a_refusal_is_of_the_whole() {
    let server = Server::start(|_| error(413, None, "too large")).await;
    let refused = client(&server.base).bulk(operations(), &context()).await.unwrap_err();
    assert_eq!(refused.class(), Class::Permanent);
    let request = server.only_request();
    assert_eq!(request.line(), "POST /scim/v2/Bulk");
    let body = request.json();
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]));
    assert_eq!(body["Operations"][0]["bulkId"], "a");
    assert_eq!(body["Operations"][3], json!({"method": "DELETE", "path": "/Groups/9"}));
}
