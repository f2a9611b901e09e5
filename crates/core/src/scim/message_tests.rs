use serde_json::{Value, json};

use super::*;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn refused<T: serde::de::DeserializeOwned + std::fmt::Debug>(value: Value) -> String {
    serde_json::from_value::<T>(value).unwrap_err().to_string()
}

#[test]
fn list_responses_of_all_kinds() {
    let check = |value: Value, (ids, total, unreadable): (&[&str], Option<u64>, usize)| {
        let list: ListResponse = read(value);
        let read: Vec<_> = list.resources.iter().filter_map(|resource| resource["id"].as_str()).collect();
        assert_eq!((read.as_slice(), list.total_results, list.unreadable), (ids, total, unreadable));
    };
    check(json!({"totalResults": 1, "Resources": [{"id": "1"}]}), (&["1"], Some(1), 0));
    check(json!({"totalresults": "2", "resources": [{"id": "1"}, {"id": "2"}]}), (&["1", "2"], Some(2), 0));
    check(json!({"Resources": [{"id": "1"}, null, 7]}), (&["1"], None, 2));
    check(json!({"totalResults": 0}), (&[], Some(0), 0));
    check(json!({"totalResults": 5.0, "Resources": null}), (&[], Some(5), 0));
    for other in [json!({}), json!([]), json!({"Resources": {"id": "1"}}), json!({"detail": "Not Found"})] {
        assert!(refused::<ListResponse>(other).starts_with("not a list response (RFC 7644)"));
    }
}

#[test]
fn list_response_positions() {
    let list: ListResponse = read(json!({
        "Resources": [], "startIndex": "101", "ItemsPerPage": 100, "nextCursor": "abc", "previousCursor": "",
    }));
    assert_eq!((list.start_index, list.items_per_page), (Some(101), Some(100)));
    assert_eq!((list.next_cursor.as_deref(), list.previous_cursor), (Some("abc"), None));
    let written = serde_json::to_value(ListResponse { start_index: Some(1), ..ListResponse::default() }).unwrap();
    assert_eq!(written, json!({"schemas": [LIST_RESPONSE_URN], "totalResults": 0, "startIndex": 1, "Resources": []}));
}

#[test]
fn errors_of_all_kinds() {
    let check = |value: Value, is_scim: bool, status: Option<u16>, scim_type: Option<ScimType>| {
        let error: ErrorMessage = read(value.clone());
        assert_eq!((error.is_scim, error.status, error.scim_type), (is_scim, status, scim_type), "{value}");
    };
    check(json!({"schemas": [ERROR_URN], "status": "404"}), true, Some(404), None);
    check(json!({"schemas": ERROR_URN.to_lowercase(), "status": 404}), true, Some(404), None);
    check(json!({"status": 409, "scimType": "Uniqueness"}), true, Some(409), Some(ScimType::Uniqueness));
    check(json!({"status": 409, "scimType": "odd"}), false, Some(409), Some(ScimType::Other("odd".into())));
    check(json!({"schemas": [ERROR_URN], "status": "teapot"}), true, None, None);
    check(json!({"schemas": [ERROR_URN], "status": 70_000}), true, None, None);
    check(json!({"Errors": [{"description": "gone", "code": "404"}]}), true, Some(404), None);
    check(json!({"Errors": {"description": "gone", "code": 404}}), true, Some(404), None);
    // What frameworks and gateways answer for a wrong path.
    check(json!({"detail": "Not Found"}), false, None, None);
    check(json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "x"}), false, Some(404), None);
    check(json!({"errors": ["x"]}), false, None, None);
}

#[test]
fn errors_are_written_with_a_status_as_text() {
    let error = ErrorMessage::new(400, Some(ScimType::InvalidFilter), "no");
    let expected = json!({"schemas": [ERROR_URN], "status": "400", "scimType": "invalidFilter", "detail": "no"});
    assert_eq!(serde_json::to_value(&error).unwrap(), expected);
    assert_eq!(read::<ErrorMessage>(expected), error);
}

#[test]
fn every_scim_type_is_read_as_it_is_written() {
    let words = "invalidFilter tooMany uniqueness mutability invalidSyntax invalidPath noTarget invalidValue \
                 invalidVers sensitive invalidCursor expiredCursor invalidCount";
    for word in words.split_whitespace() {
        let read = ScimType::from(word.to_uppercase());
        assert_eq!(read.as_str(), word);
        assert!(!matches!(read, ScimType::Other(_)), "{word}");
    }
    assert_eq!(ScimType::from("Own".to_owned()).to_string(), "Own");
}

#[test]
fn patches() {
    let request: PatchRequest = read(json!({"operations": [
        {"OP": "Replace", "path": "title", "value": null},
        {"op": "remove", "path": "members[value eq \"1\"]"},
        {"op": "ADD", "path": "", "Value": {"title": "x"}},
    ]}));
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({"schemas": [PATCH_OP_URN], "Operations": [
            {"op": "replace", "path": "title", "value": null},
            {"op": "remove", "path": "members[value eq \"1\"]"},
            {"op": "add", "value": {"title": "x"}},
        ]})
    );
    let check = |value, expected| assert_eq!(refused::<PatchRequest>(value), expected);
    check(json!({}), "not a patch request (RFC 7644): `Operations` is not a list");
    check(json!({"Operations": [7]}), "not a patch request (RFC 7644): an operation is not a JSON object");
    let unknown = "not a patch request (RFC 7644): `op` is not `add`, `remove` or `replace`";
    check(json!({"Operations": [{"op": "move"}]}), unknown);
    check(json!({"Operations": [{"path": "x"}]}), unknown);
    let path = "not a patch request (RFC 7644): `path` is not a text";
    check(json!({"Operations": [{"op": "remove", "path": ["members"]}]}), path);
}

#[test]
fn bulk_requests() {
    let value = json!({"schemas": [BULK_REQUEST_URN], "failOnErrors": 1, "Operations": [
        {"method": "POST", "bulkId": "q", "path": "/Users", "data": {"userName": "anna"}},
        {"method": "DELETE", "version": "W/\"1\"", "path": "/Users/1"},
    ]});
    let request: BulkRequest = read(value.clone());
    assert_eq!(request.operations[1].method, BulkMethod::Delete);
    assert_eq!(serde_json::to_value(&request).unwrap(), value);
    assert!(serde_json::from_value::<BulkRequest>(json!({"Operations": [{"method": "GET", "path": "/"}]})).is_err());
    assert!(serde_json::from_value::<BulkRequest>(json!({"Operations": [{"method": "POST"}]})).is_err());
}

#[test]
fn bulk_responses() {
    let response: BulkResponse = read(json!({"operations": [
        {"method": "post", "bulkId": "a", "status": "201", "location": "https://x/Users/1", "version": "1"},
        {"bulkId": "b", "status": 409, "response": {"status": "409"}},
        {"bulkId": "c", "status": {"code": "200"}},
        {"bulkId": "d", "status": "fine"},
        7,
    ]}));
    let statuses: Vec<_> = response.operations.iter().map(|result| result.status).collect();
    assert_eq!(statuses, [Some(201), Some(409), Some(200), None]);
    assert_eq!(response.operations[0].method, Some(BulkMethod::Post));
    let written = serde_json::to_value(&response).unwrap();
    assert_eq!(written["Operations"][1], json!({"bulkId": "b", "status": "409", "response": {"status": "409"}}));
    assert_eq!(written["Operations"][3], json!({"bulkId": "d"}));
}

#[test]
fn a_broken_part_of_a_configuration_costs_only_itself() {
    let config: ServiceProviderConfig = read(json!({
        "patch": {"supported": "True"}, "bulk": {"supported": true, "maxPayloadSize": "1048576"},
        "filter": {"supported": "maybe"}, "sort": [], "etag": true, "changePassword": null,
        "pagination": {"cursor": true, "maxPageSize": 500}, "authenticationSchemes": [{"type": "oauthbearertoken"}, 7],
    }));
    assert_eq!(config.patch, Some(Feature { supported: true }));
    let bulk = BulkFeature { supported: true, max_operations: None, max_payload_size: Some(1_048_576) };
    assert_eq!(config.bulk, Some(bulk));
    assert_eq!((config.filter, config.sort, config.change_password), (None, None, None));
    assert_eq!(config.etag, Some(Feature { supported: true }));
    let pagination = config.pagination.unwrap();
    assert_eq!((pagination.cursor, pagination.index, pagination.max_page_size), (true, false, Some(500)));
    assert_eq!(config.authentication_schemes.len(), 1);
    for other in [json!({}), json!([]), json!({"error": "no"})] {
        assert!(serde_json::from_value::<ServiceProviderConfig>(other).is_err());
    }
}

#[test]
fn a_written_configuration_has_every_required_part() {
    let written = serde_json::to_value(ServiceProviderConfig::default()).unwrap();
    for part in ["patch", "bulk", "filter", "changePassword", "sort", "etag"] {
        assert_eq!(written[part]["supported"], false, "{part}");
    }
    let full = ServiceProviderConfig {
        bulk: Some(BulkFeature { supported: true, max_operations: Some(1000), max_payload_size: Some(1) }),
        ..ServiceProviderConfig::default()
    };
    assert_eq!(read::<ServiceProviderConfig>(serde_json::to_value(&full).unwrap()).bulk, full.bulk);
}

#[test]
fn resource_types() {
    let value = json!({"schemas": [RESOURCE_TYPE_URN], "id": "User", "name": "User", "endpoint": "/Users",
        "schema": "urn:x", "schemaExtensions": [{"schema": "urn:y", "required": true}]});
    let kind: ResourceType = read(value.clone());
    assert_eq!(serde_json::to_value(&kind).unwrap(), value);
    let lean: ResourceType =
        read(json!({"Name": "Group", "schemaExtensions": [{"required": true}, {"schema": "urn:z"}]}));
    assert_eq!((lean.name.as_deref(), lean.endpoint), (Some("Group"), None));
    assert_eq!(lean.schema_extensions, [SchemaExtension { schema: "urn:z".into(), required: false }]);
    assert!(serde_json::from_value::<ResourceType>(json!({"id": "x"})).is_err());
}
