use super::*;

#[tokio::test]
async fn nothing_is_shown_without_a_session() {
    let console = console().await;
    let mut browser = console.browser();
    browser.cookies.push("scimfleet_session=made-up".to_owned());
    for path in [
        "/",
        "/providers",
        "/runs",
        "/runs/x",
        "/holds",
        "/objects?q=a",
        "/parked",
        "/leavers",
        "/workers",
        "/dead-letters",
        "/log",
        "/live/overview",
    ] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/sign-in"), "{path}");
        assert_eq!(answer.body, "");
    }
}

#[tokio::test]
async fn only_an_admin_token_signs_in() {
    let console = console().await;
    let directory = console.token(TokenScope::Directory).await;
    let admin = console.token(TokenScope::Admin).await;
    let mut browser = console.browser();
    assert_eq!(browser.sign_in("wrong").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.sign_in("").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.sign_in(&directory).await.status, StatusCode::FORBIDDEN);
    let answer = browser.sign_in(&format!("{admin}%0A")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    for flag in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
}

#[tokio::test]
async fn a_session_ends_by_sign_out_and_when_its_token_is_revoked() {
    let console = console().await;
    let mut browser = console.signed_in().await;
    browser.page("/").await;
    assert_eq!(browser.post("/sign-out", "").await.location(), "/sign-in");
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);

    let token = console.token(TokenScope::Admin).await;
    let mut browser = console.browser();
    browser.sign_in(&token).await;
    browser.page("/").await;
    console.store.revoke_token("stored").await.unwrap();
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let console = console().await;
    let provider = console.provider("acme").await;
    let mut browser = console.signed_in().await;
    let good = browser.form_token.clone();
    let state = || async { console.store.providers().await.unwrap().remove(0).state };
    for (form_token, site) in
        [("", "same-origin"), ("made-up", "same-origin"), (good.as_str(), "cross-site"), (good.as_str(), "same-site")]
    {
        let answer = browser.ask("POST", "/providers/acme/pause", format!("form_token={form_token}"), site).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{form_token} {site}");
        assert_eq!(state().await.as_str(), "active");
    }
    // Another session's token is not ours.
    let other = console.signed_in().await.form_token.clone();
    let answer = browser.ask("POST", "/providers/acme/pause", format!("form_token={other}"), "same-origin").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(console.store.runs(Some(provider), 9).await.unwrap().len(), 0);
    assert_eq!(browser.post("/providers/acme/pause", "").await.location(), "/providers/acme");
    assert_eq!(state().await.as_str(), "paused");
}

#[tokio::test]
async fn nobody_signs_a_browser_in_from_elsewhere() {
    let console = console().await;
    let mut browser = console.browser();
    let answer = browser.ask("POST", "/sign-in", format!("form_token=x&token={ADMIN}"), "same-origin").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    browser.get("/sign-in").await;
    let body = format!("form_token={}&token={ADMIN}", browser.form_token);
    assert_eq!(browser.ask("POST", "/sign-in", body, "cross-site").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn trying_tokens_in_a_loop_is_refused() {
    let console = console().await;
    let mut browser = console.browser();
    for _ in 0..10 {
        assert_eq!(browser.sign_in("wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(browser.sign_in(ADMIN).await.status, StatusCode::TOO_MANY_REQUESTS);
    let answer = console.api("GET", "/providers", None).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn wrong_tokens_of_one_address_do_not_lock_others_out() {
    let console = console().await;
    let from = |host: u8, token: &str| {
        let mut request = Request::get("/api/v1/providers").header(header::AUTHORIZATION, format!("Bearer {token}"));
        let peer = std::net::SocketAddr::from(([192, 0, 2, host], 1));
        request.extensions_mut().unwrap().insert(axum::extract::ConnectInfo(peer));
        request.body(Body::empty()).unwrap()
    };
    for _ in 0..10 {
        assert_eq!(console.send(from(1, "wrong")).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(console.send(from(1, ADMIN)).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(console.send(from(2, ADMIN)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_empty_token_in_the_environment_opens_nothing() {
    let console = console().await;
    let state = ConsoleState::new(console.store.clone(), Some(SecretString::from("")));
    let request = Request::get("/api/v1/providers").header(header::AUTHORIZATION, "Bearer ");
    let answer = router(state).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_answer_forbids_inline_script_and_frames() {
    let console = console().await;
    let mut browser = console.signed_in().await;
    for path in ["/", "/sign-in", "/nowhere-at-all", "/runs/none"] {
        let answer = browser.get(path).await;
        if answer.status == StatusCode::NOT_FOUND && path == "/nowhere-at-all" {
            continue;
        }
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for inline in ["<script>", " style=", " onclick=", "javascript:"] {
            assert!(!answer.body.contains(inline), "{path} has {inline}");
        }
    }
}
