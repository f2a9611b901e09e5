use serde_json::json;

use super::*;

fn draft(expression: &str) -> Value {
    json!({ "resource": "user", "expression": expression })
}

async fn with_mapping(name: &str, origin: &str) -> Console {
    let console = console().await;
    let text = MappingText { name: name.to_owned(), resource: ResourceKind::User, expression: "return {}".to_owned() };
    console.store.put_mapping(&text, origin).await.unwrap();
    let mut settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://acme.example/v2");
    settings.mappings.push(name.to_owned());
    console.store.put_provider(&settings).await.unwrap();
    console
}

#[tokio::test]
async fn a_mapping_is_made_tried_and_changed_by_its_version() {
    let console = with_mapping("50-title", "console").await;
    let anna = console.user("anna").await;
    let shown = console.api("GET", "/mappings/50-title", None).await;
    assert_eq!(shown.json()["providers"], json!(["acme"]));
    let wrong = console.api("POST", "/mappings/50-title/impact", Some(draft("ab?"))).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.json()["detail"].as_str().unwrap().ends_with("ab?\n  ^"), "{}", wrong.body);
    let impact = console.api("POST", "/mappings/50-title/impact", Some(draft("new"))).await.json();
    assert_eq!((impact["items"][0]["changed"].as_u64(), impact["items"][0]["invalid"].as_u64()), (Some(2), Some(1)));
    let body = json!({ "resource": "user", "expression": "new", "provider": "acme", "object": anna.to_string() });
    let tried = console.api("POST", "/mappings/50-title/try", Some(body)).await.json();
    assert_eq!(tried["preview"]["mappings"][0]["payload"], json!({ "title": "new", "password": "•••" }));
    assert_eq!(tried["scope"], "in scope");

    assert_eq!(console.api("PUT", "/mappings/50-title", Some(draft("new"))).await.status, 428);
    let tag = shown.tag();
    let put = console.api_if("PUT", "/mappings/50-title", Some(draft("new")), Some(&tag)).await;
    assert_eq!((put.status, put.json()["expression"].as_str()), (StatusCode::OK, Some("new")));
    assert_eq!(console.api_if("PUT", "/mappings/50-title", Some(draft("late")), Some(&tag)).await.status, 412);
    assert_eq!(console.api("PUT", "/mappings/60-new", Some(draft("return {}"))).await.status, StatusCode::CREATED);
    let listed = console.api("GET", "/mappings", None).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_mapping_that_nobody_uses_is_removed_by_its_version() {
    let console = with_mapping("50-title", "console").await;
    let tag = console.api("GET", "/mappings/50-title", None).await.tag();
    let used = console.api_if("DELETE", "/mappings/50-title", None, Some(&tag)).await;
    assert_eq!((used.status, used.json()["detail"].as_str().unwrap().contains("acme")), (StatusCode::CONFLICT, true));
    console.api("PUT", "/mappings/60-free", Some(draft("return {}"))).await;
    let tag = console.api("GET", "/mappings/60-free", None).await.tag();
    assert_eq!(console.api("DELETE", "/mappings/60-free", None).await.status, StatusCode::PRECONDITION_REQUIRED);
    let stale = console.api_if("DELETE", "/mappings/60-free", None, Some("\"x\"")).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(console.api_if("DELETE", "/mappings/60-free", None, Some(&tag)).await.status, StatusCode::NO_CONTENT);
    let gone = console.api_if("DELETE", "/mappings/60-free", None, Some(&tag)).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn mappings_of_others_are_read_only() {
    for (name, origin) in [("50-theirs", "fleet"), ("10-user-default", "builtin")] {
        let console = with_mapping(name, origin).await;
        let path = format!("/mappings/{name}");
        let tag = console.api("GET", &path, None).await.tag();
        let answer = console.api_if("PUT", &path, Some(draft("mine")), Some(&tag)).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
        assert_eq!(console.api_if("DELETE", &path, None, Some(&tag)).await.status, StatusCode::CONFLICT);
        let mut browser = console.signed_in().await;
        let page = browser.page(&format!("/mappings/edit?name={name}")).await;
        assert!(page.contains("Read-only") && page.contains(" readonly") && !page.contains("value=\"save\""));
        assert!(page.contains("[[mapping]]"), "it can be copied as TOML");
        let fields = format!("name={name}&resource=user&expression=mine&action=save&shown=x");
        assert!(browser.post("/mappings/edit", &fields).await.body.contains("cannot be changed here"));
        let kept = crate::mappings::find(&console.store, name).await.unwrap().unwrap();
        assert_eq!(kept.text.expression, "return {}");
    }
}

/// The value of a hidden field of a page.
fn field(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {page}"));
    rest.split('"').next().unwrap().replace("&#34;", "%22").replace("&quot;", "%22")
}

#[tokio::test]
async fn the_editor_shows_what_a_text_gives_and_changes_before_it_saves() {
    let console = with_mapping("50-title", "console").await;
    console.user("anna").await;
    let mut browser = console.signed_in().await;
    let page = browser.page("/mappings/edit?name=50-title").await;
    let version = field(&page, "version");
    let fields = |expression: &str, action: &str, shown: &str| {
        format!(
            "name=50-title&resource=user&version={version}&object=anna&provider=acme&expression={expression}&action={action}&shown={shown}"
        )
    };
    let wrong = browser.post("/mappings/edit", &fields("ab?", "try", "")).await.body;
    assert!(wrong.contains("ab?\n  ^"), "{wrong}");
    let tried = browser.post("/mappings/edit", &fields("fresh", "try", "")).await.body;
    assert!(tried.contains("create anna at acme") && tried.contains("•••"), "{tried}");

    // Whoever saves without having seen what it changes, sees that first.
    let asked = browser.post("/mappings/edit", &fields("fresh", "save", "")).await.body;
    assert!(asked.contains("2 of 3 would be sent anew, 1 could not be sent any more"), "{asked}");
    let shown = field(&asked, "shown");
    let stored = || async { crate::mappings::find(&console.store, "50-title").await.unwrap().unwrap().text.expression };
    assert_eq!(stored().await, "return {}");
    browser.post("/mappings/edit", &fields("other", "save", &shown)).await;
    assert_eq!(stored().await, "return {}", "another text than the one that was looked at");
    let saved = browser.post("/mappings/edit", &fields("fresh", "save", &shown)).await;
    assert_eq!((saved.status, stored().await.as_str()), (StatusCode::SEE_OTHER, "fresh"));
    let late = browser.post("/mappings/edit", &fields("late", "save", &shown)).await.body;
    assert!(late.contains("Somebody changed this mapping meanwhile"), "{late}");
}

#[tokio::test]
async fn an_object_is_previewed_explained_and_offboarded() {
    let console = console().await;
    let acme = console.provider("acme").await;
    let anna = console.user("anna").await;
    console.link(acme, std::slice::from_ref(&anna)).await;
    let mut browser = console.signed_in().await;
    let page = browser.page(&format!("/objects/{anna}/preview/acme")).await;
    assert!(page.contains("create anna at acme") && page.contains("in scope"), "{page}");
    let preview = console.api("GET", &format!("/providers/acme/objects/{anna}/preview"), None).await.json();
    assert_eq!(preview["preview"]["operation"], "create anna at acme");
    let explained = console.api("GET", &format!("/objects/{anna}/explain"), None).await.json();
    assert_eq!(explained["items"][0]["scope"], "in scope");
    assert_eq!(explained["items"][0]["link"]["state"], "pending");

    let answer = console.api("POST", &format!("/objects/{anna}/offboard"), None).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    assert!(!console.store.find_resources("anna").await.unwrap()[0].active);
    let bert = console.user("bert").await;
    browser.page(&format!("/objects/{bert}")).await;
    browser.post(&format!("/objects/{bert}/offboard"), "").await;
    assert!(!console.store.find_resources("bert").await.unwrap()[0].active);
}
