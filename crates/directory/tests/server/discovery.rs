//! What the service provider says of itself, and what it has not.

use serde_json::json;

use crate::support::{Kind, Server};

#[tokio::test]
async fn it_says_what_it_does() {
    let server = Server::start(Kind::Sqlite).await;
    let config = server.get("/ServiceProviderConfig").await.ok().body;
    for feature in ["patch", "bulk", "filter", "sort", "etag"] {
        assert_eq!(config[feature]["supported"], true, "{feature}");
    }
    assert_eq!((&config["changePassword"]["supported"], &config["pagination"]["cursor"]), (&json!(true), &json!(true)));
    let types = server.get("/ResourceTypes").await.ok().body;
    assert_eq!((&types["totalResults"], &types["Resources"][0]["endpoint"]), (&json!(2), &json!("/Users")));
    assert_eq!(server.get("/ResourceTypes/Group").await.ok().body["name"], "Group");
    let schemas = server.get("/Schemas").await.ok().body;
    assert_eq!(schemas["totalResults"], 3);
    let group = server.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group").await.ok().body;
    let members = group["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "members").unwrap();
    let display = members["subAttributes"].as_array().unwrap().iter().find(|one| one["name"] == "display").unwrap();
    assert_eq!((&display["mutability"], &display["returned"]), (&json!("readOnly"), &json!("request")));
    let user = server.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:User").await.ok().body;
    assert_eq!(user["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:Schema"]));
    server.get("/Schemas?filter=id pr").await.refused(403, None);
    for path in ["/Schemas/nosuch", "/ResourceTypes/nosuch", "/Nosuch", "/Users/a/b", "/Users/nosuch", "/Users/%ff"] {
        server.get(path).await.refused(404, None);
    }
    server.get("/Me").await.refused(501, None);
    server.delete("/Users").await.refused(405, None);
    server.get("/Bulk").await.refused(405, None);
    server.send("HEAD", "/Users", &[], None).await.ok();
    server.end().await;
}
