use std::time::Duration;

use futures::StreamExt;

use super::*;

/// Longer than a page waits before it is made anew.
const PATIENCE: Duration = Duration::from_secs(20);

async fn stream(console: &Console, browser: &Browser<'_>, path: &str) -> axum::body::BodyDataStream {
    let request = Request::get(path).header(header::COOKIE, browser.cookies.join("; "));
    let response = console.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    response.into_body().into_data_stream()
}

async fn next(stream: &mut axum::body::BodyDataStream) -> Option<String> {
    let chunk = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap()?;
    Some(String::from_utf8(chunk.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_change_shows_by_itself_and_the_drain_ends_the_stream() {
    let mut console = console().await;
    let drain = Drain::default();
    console.state = console.state.clone().until(&drain);
    console.router = router(console.state.clone());
    let provider = console.provider("acme").await;
    let browser = console.signed_in().await;
    let mut stream = stream(&console, &browser, "/live/overview").await;
    let first = next(&mut stream).await.unwrap();
    assert!(first.contains("event: parts") && first.contains("1 provider in step"), "{first}");
    let paused = scimfleet_core::state::ProviderState::Paused;
    console.store.set_provider_state(provider, paused, Some("by hand")).await.unwrap();
    let second = next(&mut stream).await.unwrap();
    assert!(second.contains("1 provider paused"), "{second}");
    drain.begin();
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_leaves_its_place() {
    let console = console().await;
    console.provider("acme").await;
    let mut browser = console.signed_in().await;
    let mut stream = stream(&console, &browser, "/live/providers/acme").await;
    assert!(next(&mut stream).await.unwrap().contains("acme"));
    browser.post("/sign-out", "").await;
    assert_eq!(next(&mut stream).await, None);
    drop(stream);
    assert_eq!(console.state.viewers.count(), 0);
}
