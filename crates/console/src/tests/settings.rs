use serde_json::json;

use super::*;

fn table() -> Value {
    json!({ "base_url": "https://acme.example/v2", "in_flight": 3,
        "auth": { "kind": "bearer", "token": { "value": SECRET } } })
}

#[tokio::test]
async fn a_provider_is_made_and_changed_by_its_version() {
    let console = console().await;
    let made = console.api("PUT", "/providers/acme", Some(table())).await;
    assert_eq!((made.status, made.json()["settings"]["in_flight"].as_u64()), (StatusCode::CREATED, Some(3)));
    assert_eq!(made.json()["has_secret"], true);
    let tag = made.tag();

    // What was read goes back as it is, and changes nothing.
    let settings = made.json()["settings"].clone();
    let same = console.api_if("PUT", "/providers/acme", Some(settings.clone()), Some(&tag)).await;
    assert_eq!((same.status, same.tag()), (StatusCode::OK, tag.clone()), "{}", same.body);

    let mut other = settings;
    other["rate"] = json!("5/s");
    let blind = console.api("PUT", "/providers/acme", Some(other.clone())).await;
    assert_eq!(blind.status, StatusCode::PRECONDITION_REQUIRED);
    let changed = console.api_if("PUT", "/providers/acme", Some(other.clone()), Some(&tag)).await;
    assert_eq!((changed.status, changed.json()["settings"]["rate"].as_str()), (StatusCode::OK, Some("5/s")));
    assert_eq!(changed.json()["has_secret"], true, "a token that is not named stays");
    let late = console.api_if("PUT", "/providers/acme", Some(other), Some(&tag)).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn settings_are_checked_as_in_a_file() {
    let console = console().await;
    let cases = [
        (json!({ "base_url": "nowhere" }), "base_url"),
        (json!({ "base_url": "https://a.example/v2", "in_flihgt": 1 }), "in_flight"),
        (json!({ "base_url": "https://a.example/v2", "mappings": ["50-nobody"] }), "50-nobody"),
        (json!({ "base_url": "https://a.example/v2", "scope": { "users": "?" } }), "scope.users"),
        (
            json!({ "base_url": "https://a.example/v2", "auth": { "kind": "bearer", "token": { "file": "/etc/passwd" } } }),
            "value",
        ),
        (json!({ "base_url": "https://a.example/v2", "name": "other" }), "name"),
    ];
    for (body, word) in cases {
        let answer = console.api("PUT", "/providers/acme", Some(body.clone())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{body}: {}", answer.body);
    }
    assert_eq!(console.store.providers().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_change_of_scope_is_planned_first() {
    let console = console().await;
    console.api("PUT", "/providers/acme", Some(table())).await;
    let after = json!({ "base_url": "https://other.example/v2", "in_flight": 3, "scope": { "users": "user.active" } });
    let plan = console.api("POST", "/providers/acme/plan", Some(after)).await.json();
    assert_eq!((plan["leavers"].as_u64(), plan["drops_links"].as_bool()), (Some(7), Some(true)));
    assert_eq!(plan["differences"]["base_url"][1], "https://other.example/v2");
    assert!(plan["differences"].get("in_flight").is_none(), "{plan}");
}

#[tokio::test]
async fn values_of_headers_are_shown_nowhere() {
    let console = console().await;
    let mut with_header = table();
    with_header["headers"] = json!({ "X-Api-Key": "canary-header" });
    let made = console.api("PUT", "/providers/acme", Some(with_header.clone())).await;
    assert_eq!(
        (made.status, made.json()["settings"]["headers"]["X-Api-Key"].as_str()),
        (StatusCode::CREATED, Some(""))
    );
    with_header["headers"] = json!({ "X-Api-Key": "canary-header-2", "X-Other": "canary-other" });
    let plan = console.api("POST", "/providers/acme/plan", Some(with_header)).await;
    assert_eq!(plan.json()["differences"]["headers"][1]["X-Other"], "");
    for answer in [made, plan, console.api("GET", "/providers/acme", None).await] {
        assert!(!answer.body.contains("canary-header") && !answer.body.contains("canary-other"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_token_is_sealed_and_a_provider_probed() {
    let console = console().await;
    let id = console.provider("acme").await;
    let answer =
        console.api("POST", "/providers/acme/token", Some(json!({ "token": "canary-provider-secret-2" }))).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::NO_CONTENT, ""));
    let kept = console.store.provider_secret(id).await.unwrap().unwrap();
    assert_eq!(kept.expose_secret(), "canary-provider-secret-2");
    for wrong in ["", "a\nb"] {
        let answer = console.api("POST", "/providers/acme/token", Some(json!({ "token": wrong }))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let probe = console.api("POST", "/providers/acme/probe", None).await.json();
    assert_eq!((probe["findings"][0]["result"].as_str(), probe["state"].as_str()), (Some("ok"), Some("active")));
    console.provider("dead").await;
    let answer = console.api("POST", "/providers/dead/probe", None).await;
    assert_eq!(
        (answer.status, answer.json()["detail"].as_str()),
        (StatusCode::BAD_GATEWAY, Some("`dead` does not answer"))
    );
}

#[tokio::test]
async fn a_worker_elsewhere_is_asked_to_end_and_ours_is_not() {
    let console = console().await;
    let coordination = console.state.cluster.clone().unwrap().coordination;
    let beat = |worker: &str, pid| scimfleet_core::ports::Heartbeat {
        worker: worker.to_owned(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned(),
        pid,
        version: "1".to_owned(),
        started_at_ms: 0,
        tasks_in_flight: 0,
        tasks_done: 0,
        draining: false,
    };
    let hour = std::time::Duration::from_secs(3600);
    coordination.heartbeat(&beat("far", 0), hour).await.unwrap();
    coordination.heartbeat(&beat("here", std::process::id()), hour).await.unwrap();
    assert_eq!(console.api("POST", "/workers/far/drain", None).await.status, StatusCode::ACCEPTED);
    assert!(coordination.is_asked_to_end("far").await.unwrap());
    for worker in ["here", "nobody"] {
        let answer = console.api("POST", &format!("/workers/{worker}/drain"), None).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{worker}");
        assert!(!coordination.is_asked_to_end(worker).await.unwrap());
    }
    let mut browser = console.signed_in().await;
    assert!(browser.page("/workers").await.contains("/workers/far/drain"));
}
