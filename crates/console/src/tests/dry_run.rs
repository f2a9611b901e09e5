use serde_json::json;

use super::*;

/// Waits until a dry run is not going any more.
async fn ended(console: &Console, provider: &str) -> Value {
    loop {
        let shown = console.api("GET", &format!("/providers/{provider}/dry-run"), None).await.json();
        if shown["state"] != "going" {
            return shown;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dry_run_tells_numbers_and_the_first_differences() {
    let console = console().await;
    console.provider("acme").await;
    assert_eq!(console.api("GET", "/providers/acme/dry-run", None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(console.api("POST", "/providers/acme/dry-run", None).await.status, StatusCode::ACCEPTED);
    let result = ended(&console, "acme").await["result"].clone();
    assert_eq!(result["counts"], json!({ "deleted": 2, "updated": 118 }));
    assert_eq!((&result["unchanged"], &result["kept"], &result["parked"]), (&json!(5), &json!(1), &json!(1)));
    assert_eq!(result["plan"].as_array().unwrap().len(), 100);
    let changes = &result["plan"][0]["changes"];
    assert_eq!((&changes[0]["to"], &changes[1]["to"]), (&json!("Engineer"), &json!("•••")));

    let mut browser = console.signed_in().await;
    let page = browser.page("/providers/acme/dry-run").await;
    for words in ["<dt>deleted</dt><dd>2</dd>", "user-99", "The first writes", "no name"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("user-100") && !page.contains("http-equiv=\"refresh\" content=\"2\""));
    let next = browser.post("/providers/acme/dry-run", "").await;
    assert_eq!(next.location(), "/providers/acme/dry-run");
    assert!(browser.page("/providers/acme/dry-run").await.contains("The dry run has begun."));
}

#[tokio::test]
async fn one_dry_run_goes_on_at_a_time_and_says_how_far_it_is() {
    let console = console().await;
    console.provider("slow").await;
    console.provider("dead").await;
    assert_eq!(console.api("POST", "/providers/slow/dry-run", None).await.status, StatusCode::ACCEPTED);
    while console.api("GET", "/providers/slow/dry-run", None).await.json()["looked_at"] != 7 {
        tokio::task::yield_now().await;
    }
    assert_eq!(console.api("POST", "/providers/slow/dry-run", None).await.status, StatusCode::CONFLICT);
    let mut browser = console.signed_in().await;
    let page = browser.page("/providers/slow/dry-run").await;
    assert!(page.contains("7 objects looked at") && page.contains("http-equiv=\"refresh\" content=\"2\""), "{page}");
    console.api("POST", "/providers/dead/dry-run", None).await;
    let shown = ended(&console, "dead").await;
    assert_eq!((&shown["state"], &shown["error"]), (&json!("failed"), &json!("`dead` does not answer")));
}
