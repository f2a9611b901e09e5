use super::*;

/// The worst that a directory or a provider may call something.
const ODD: &str = "<script>alert(1)</script>\"'&";

#[tokio::test]
async fn an_empty_console_teaches() {
    let console = console().await;
    let mut browser = console.signed_in().await;
    assert!(browser.page("/").await.contains("scimfleet apply fleet.toml"));
    for (path, words) in [
        ("/providers", "No provider here"),
        ("/runs", "No run yet"),
        ("/holds", "Nothing is withheld"),
        ("/parked", "Nothing is parked"),
        ("/leavers", "All leavers are out"),
        ("/workers", "No worker is alive"),
        ("/dead-letters", "There is none"),
        ("/log", "Nothing was written that fits"),
        ("/objects", "The directory is empty"),
    ] {
        assert!(browser.page(path).await.contains(words), "{path}");
    }
}

#[tokio::test]
async fn what_things_are_called_is_never_markup() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let user = console.user(ODD).await;
    console.link(provider, std::slice::from_ref(&user)).await;
    console.store.park(provider, &user, ODD).await.unwrap();
    console
        .store
        .set_provider_state(provider, scimfleet_core::state::ProviderState::Degraded, Some(ODD))
        .await
        .unwrap();
    let hold = console.hold(provider, std::slice::from_ref(&user)).await;
    let run = console.run(provider, 2).await;
    let error = scimfleet_store::RunError {
        code: "invalid".to_owned(),
        message: ODD.to_owned(),
        object: Some(ODD.to_owned()),
        mapping: Some(ODD.to_owned()),
        violations: vec![serde_json::json!({ "path": ODD, "rule": ODD, "value_kind": ODD })],
    };
    console.store.end_run(run, RunState::Stopped, Some(&error)).await.unwrap();
    let mut browser = console.signed_in().await;
    let paths = [
        "/".to_owned(),
        "/providers".to_owned(),
        "/providers/acme".to_owned(),
        "/runs".to_owned(),
        format!("/runs/{run}"),
        "/holds".to_owned(),
        format!("/holds/{hold}"),
        "/parked".to_owned(),
        "/parked?provider=acme".to_owned(),
        format!("/objects/{user}"),
        "/objects?q=%3Cscript%3E".to_owned(),
        format!("/parked?provider=acme&reason={}", "%22%3E%3Cscript%3E"),
    ];
    for path in paths {
        let body = browser.page(&path).await;
        assert!(!body.contains("<script>") && !body.contains("alert(1)\""), "{path}: {body}");
    }
    let body = browser.page(&format!("/runs/{run}")).await;
    assert!(body.contains("alert(1)") && body.contains("What the schema does not allow"));
    assert!(browser.page("/").await.contains("1 provider degraded. 1 removal waits for approval. 1 object is parked."));
}

#[tokio::test]
async fn a_provider_is_paused_resumed_and_synchronised_by_its_page() {
    let console = console().await;
    console.provider("acme").await;
    let mut browser = console.signed_in().await;
    let body = browser.page("/providers/acme").await;
    assert!(body.contains("Sync now") && body.contains("Pause acme") && body.contains("https://x:***@127.0.0.1"));
    browser.post("/providers/acme/pause", "").await;
    let body = browser.page("/providers/acme").await;
    assert!(body.contains("acme is paused.") && body.contains("by hand, admin") && !body.contains("<button>Sync now"));
    assert!(!browser.page("/providers/acme").await.contains("acme is paused."), "a notice is said once");
    browser.post("/providers/acme/sync", "").await;
    assert!(browser.page("/providers/acme").await.contains("`acme` is paused"));
    browser.post("/providers/acme/resume", "").await;
    let next = browser.post("/providers/acme/sync", "").await.location().to_owned();
    assert!(next.starts_with("/runs/"), "{next}");
    let body = browser.page(&next).await;
    assert!(body.contains("queued") && body.contains("data-live=\"/live/runs/"));
    browser.post(&format!("{next}/cancel"), "").await;
    let body = browser.page(&next).await;
    assert!(body.contains("cancelled by hand, admin") && !body.contains("data-live"));
    assert_eq!(browser.post("/providers/acme/explode", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/providers/NOBODY").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_hold_lists_what_each_would_lose_and_is_decided_once() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let users = [console.user("anna").await, console.user("bert").await];
    console.link(provider, &users).await;
    let hold = console.hold(provider, &users).await;
    let mut browser = console.signed_in().await;
    assert!(browser.page("/holds").await.contains("Delete 2 accounts at acme"));
    let body = browser.page(&format!("/holds/{hold}")).await;
    assert!(body.contains("name of") && body.contains("<button class=\"danger\">Delete 2 accounts at acme</button>"));
    browser.post(&format!("/holds/{hold}/approve"), "").await;
    let body = browser.page(&format!("/holds/{hold}")).await;
    assert!(body.contains("approved by admin") && !body.contains("<button class=\"danger\">"), "{body}");
    browser.post(&format!("/holds/{hold}/reject"), "").await;
    assert!(browser.page(&format!("/holds/{hold}")).await.contains("the hold is approved already"));
}

#[tokio::test]
async fn an_object_is_found_and_explained() {
    let console = console().await;
    let provider = console.provider("acme").await;
    console.provider("beta").await;
    let user = console.user("anna@example.com").await;
    console.user("annabel@example.com").await;
    console.link(provider, std::slice::from_ref(&user)).await;
    console.store.park(provider, &user, "the provider answered 400").await.unwrap();
    let mut browser = console.signed_in().await;
    let body = browser.page("/objects?q=ANNA").await;
    assert!(body.contains("anna@example.com") && body.contains("annabel@example.com"));
    let body = browser.page(&format!("/objects?q={user}")).await;
    assert!(!body.contains("annabel"), "an id means one");
    let body = browser.page(&format!("/objects/{user}")).await;
    for words in ["the provider answered 400", "exhausted", "Try again at acme", "Never considered at beta"] {
        assert!(body.contains(words), "{words}");
    }
    browser.post("/parked/retry", &format!("provider=acme&object={user}")).await;
    assert!(browser.page("/parked?provider=acme").await.contains("1 object is tried again."));
    let body = browser.page(&format!("/objects/{user}")).await;
    assert!(body.contains("Sync at acme"));
    browser.post(&format!("/objects/{user}/sync"), "provider=acme").await;
    assert!(browser.page(&format!("/objects/{user}")).await.contains("acme looks at anna@example.com next."));
}

#[tokio::test]
async fn the_log_is_shown_by_what_is_asked_for_and_parked_objects_are_given_up() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let user = console.user("anna").await;
    console.link(provider, std::slice::from_ref(&user)).await;
    console.write(provider, &user, "patch", None).await;
    console.store.park(provider, &user, "the provider answered 400").await.unwrap();
    let mut browser = console.signed_in().await;
    for (query, shown) in [("", true), ("?provider=acme&cause=change&hours=1", true), ("?cause=full", false)] {
        let page = browser.page(&format!("/log{query}")).await;
        assert_eq!(page.contains("<td data-label=\"What\""), shown, "{query}");
    }
    assert!(browser.page(&format!("/log?object={user}")).await.contains(">anna</a>"));
    assert!(browser.page("/parked").await.contains("Give 1 up at acme"));
    let other = "provider=acme&reason=exhausted&words=other";
    browser.post("/parked/drop", other).await;
    assert!(browser.page("/parked?provider=acme").await.contains("0 objects are given up"));
    browser.post("/parked/drop", "provider=acme&reason=exhausted&words=the+provider+answered+400").await;
    let page = browser.page("/parked?provider=acme").await;
    assert!(page.contains("1 object is given up") && page.contains("Nothing is parked there"), "{page}");
}

#[tokio::test]
async fn a_large_run_and_long_lists_stay_small() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let run = console.run(provider, 3_000).await;
    for n in 0..150 {
        console.provider(&format!("p-{n:03}")).await;
    }
    let mut users = Vec::new();
    for n in 0..120 {
        users.push(console.user(&format!("user-{n:03}")).await);
    }
    console.link(provider, &users).await;
    for user in &users {
        console.store.park(provider, user, &"long words ".repeat(200)).await.unwrap();
    }
    let hold = console.hold(provider, &users).await;
    let mut browser = console.signed_in().await;
    for path in ["/", "/providers", "/parked", "/parked?provider=acme", "/runs", "/holds", "/objects?q=user"] {
        browser.page(path).await;
    }
    let body = browser.page(&format!("/runs/{run}")).await;
    assert!(body.contains("a cell stands for 8 tasks"));
    browser.page(&format!("/holds/{hold}")).await;
    let body = browser.page("/providers?after=p-090").await;
    assert!(body.contains("p-091") && !body.contains("p-090"));
    let body = browser.page("/objects?q=user-&kind=user").await;
    let next = body.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    assert!(browser.page(&next).await.contains("user-050"));
}

#[tokio::test]
async fn dead_letters_are_shown_and_dropped() {
    let console = console().await;
    let queue = console.state.cluster.as_ref().unwrap().queue.clone();
    queue.publish_raw_job(b"not json").await.unwrap();
    let mut consumer = queue.consume(&scimfleet_core::ports::Source::Jobs).await.unwrap();
    consumer.next().await.unwrap().dead_letter("not JSON").await.unwrap();
    let mut browser = console.signed_in().await;
    assert!(browser.page("/dead-letters").await.contains("not JSON"));
    browser.post("/dead-letters/drop", "").await;
    assert!(browser.page("/dead-letters").await.contains("1 message was dropped."));
    for _ in 0..2 {
        queue.publish_raw_job(b"not json").await.unwrap();
        consumer.next().await.unwrap().dead_letter("twofold").await.unwrap();
    }
    queue.publish_raw_job(b"{}").await.unwrap();
    consumer.next().await.unwrap().dead_letter("alone").await.unwrap();
    let page = browser.page("/dead-letters").await;
    assert!(page.contains("Drop these"), "{page}");
    let (_, rest) = page.split_once("name=\"routing_key\" value=\"").unwrap();
    let key = rest.split('"').next().unwrap();
    browser.post("/dead-letters/drop", &format!("reason=twofold&routing_key={key}")).await;
    let page = browser.page("/dead-letters").await;
    assert!(
        page.contains("2 messages were dropped.") && page.contains("alone") && !page.contains("twofold<"),
        "{page}"
    );
}
