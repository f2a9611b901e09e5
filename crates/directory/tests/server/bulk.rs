//! Many requests in one.

use serde_json::{Value, json};

use crate::support::on_both;

fn statuses(body: &Value) -> Vec<&str> {
    body["Operations"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect()
}

on_both! {
    async fn operations_name_one_another_wherever_they_stand(server: &Server) {
        let answer = server.post("/Bulk", json!({"Operations": [
            {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "Staff", "members": [{"value": "bulkId:u"}]}},
            {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"userName": "anna"}},
            {"method": "PATCH", "path": "/Users/bulkId:u", "data": {"Operations": [{"op": "add", "path": "title", "value": "x"}]}},
        ]})).await.ok();
        assert_eq!(statuses(&answer.body), ["201", "201", "200"]);
        let first = &answer.body["Operations"][0];
        assert_eq!((&first["bulkId"], &first["version"], &first["response"]), (&json!("g"), &json!("W/\"1\""), &Value::Null));
        let location = first["location"].as_str().unwrap().strip_prefix("http://directory.example/scim/v2").unwrap();
        let group = server.get(location).await.ok();
        let user = group.body["members"][0]["value"].as_str().unwrap();
        assert_eq!(server.get(&format!("/Users/{user}")).await.ok().body["title"], "x");
    }

    async fn a_circle_is_closed_in_two_steps(server: &Server) {
        let answer = server.post("/Bulk", json!({"Operations": [
            {"method": "POST", "path": "/Groups", "bulkId": "a", "data": {"displayName": "A", "members": [{"value": "bulkId:b"}]}},
            {"method": "POST", "path": "/Groups", "bulkId": "b", "data": {"displayName": "B", "members": [{"value": "bulkId:a"}]}},
        ]})).await.ok();
        assert_eq!(statuses(&answer.body), ["201", "201"]);
        let groups = server.get("/Groups").await.ok();
        for group in groups.body["Resources"].as_array().unwrap() {
            assert_eq!(group["members"].as_array().unwrap().len(), 1, "{group}");
        }
    }

    async fn one_that_fails_harms_no_other(server: &Server) {
        let id = server.user("anna").await;
        let operations = json!([
            {"method": "POST", "path": "/Users", "bulkId": "1", "data": {"userName": "ANNA"}},
            {"method": "POST", "path": "/Groups", "bulkId": "2", "data": {"displayName": "x", "members": [{"value": "bulkId:1"}]}},
            {"method": "PUT", "path": format!("/Users/{id}"), "version": "W/\"9\"", "data": {"userName": "anna"}},
            {"method": "POST", "path": "/Users", "bulkId": "3", "data": {"userName": "bob"}},
            {"method": "DELETE", "path": format!("/Users/{id}")},
            {"method": "DELETE", "path": format!("/Users/{id}")},
        ]);
        let answer = server.post("/Bulk", json!({"Operations": operations})).await.ok();
        assert_eq!(statuses(&answer.body), ["409", "409", "412", "201", "204", "404"]);
        assert_eq!(answer.body["Operations"][0]["response"]["scimType"], "uniqueness");
        assert_eq!(server.names("/Users").await, ["bob"]);
    }

    async fn it_stops_where_it_is_told_to(server: &Server) {
        let post = |n: u8, name: &str| json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": {"userName": name}});
        let operations = [post(1, "a"), post(2, "A"), post(3, "c")];
        let answer = server.post("/Bulk", json!({"failOnErrors": 1, "Operations": operations})).await.ok();
        assert_eq!((statuses(&answer.body), server.names("/Users").await), (vec!["201", "409"], vec!["a".to_owned()]));
        let nameless = json!({"Operations": [{"method": "POST", "path": "/Users", "data": {}}]});
        server.post("/Bulk", nameless).await.refused(400, Some("invalidSyntax"));
        let many: Vec<Value> = (0..1_001).map(|_| json!({"method": "DELETE", "path": "/Users/x"})).collect();
        server.post("/Bulk", json!({"Operations": many})).await.refused(413, Some("tooMany"));
    }
}
