//! Client credentials (RFC 6749 §4.4): one token for many requests, renewed once on a 401.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use scimfleet_core::ResourceKind::User;
use scimfleet_core::retry::Class;
use scimfleet_scim_client::{Authorization, ScimClient, ScimError};
use serde_json::{Value, json};

use crate::server::{Arrived, Server, config, context, empty, error, id, json, raw};

const SECRET: &str = "canary s3cret";

fn client(provider: &Server, tokens: &Server) -> ScimClient {
    let mut config = config(&provider.base);
    config.authorization = Authorization::OAuth2 {
        token_url: format!("{}/token?tenant=1", tokens.base).parse().unwrap(),
        client_id: "fleet:1".into(),
        client_secret: SECRET.into(),
        scope: Some("scim write".into()),
    };
    ScimClient::new(config).unwrap()
}

/// Hands out `t1`, `t2`, …
async fn token_server(expires_in: Value) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        json(200, json!({"access_token": format!("t{number}"), "token_type": "bearer", "expires_in": expires_in}))
    })
    .await
}

fn tokens_used(provider: &Server) -> Vec<String> {
    provider.requests().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn one_token_serves_many_requests_at_once() {
    let (provider, tokens) = (Server::start(|_| empty(204)).await, token_server(json!(3600)).await);
    let client = client(&provider, &tokens);
    let (context, one) = (context(), id("1"));
    let (first, second) =
        tokio::join!(client.delete(User, &one, None, &context), client.delete(User, &one, None, &context));
    first.and(second).unwrap();
    client.delete(User, &one, None, &context).await.unwrap();
    assert_eq!(tokens_used(&provider), ["Bearer t1"; 3]);
    let request = tokens.only_request();
    assert_eq!(request.line(), "POST /scim/v2/token?tenant=1");
    // base64 of `fleet%3A1:canary+s3cret`, each part form-encoded first (RFC 6749 §2.3.1).
    assert_eq!(request.header("authorization"), Some("Basic ZmxlZXQlM0ExOmNhbmFyeStzM2NyZXQ="));
    assert_eq!(request.body, "grant_type=client_credentials&scope=scim+write");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let (provider, tokens) = (
        Server::start(|request| match request.header("authorization") {
            Some("Bearer t1") => error(401, None, "expired"),
            _ => empty(204),
        })
        .await,
        token_server(json!("3600")).await,
    );
    client(&provider, &tokens).delete(User, &id("1"), None, &context()).await.unwrap();
    assert_eq!(tokens_used(&provider), ["Bearer t1", "Bearer t2"]);
    let (provider, tokens) = (Server::start(|_| error(401, None, "never")).await, token_server(json!(null)).await);
    let refused = client(&provider, &tokens).delete(User, &id("1"), None, &context()).await.unwrap_err();
    assert_eq!((refused.class(), provider.requests().len(), tokens.requests().len()), (Class::Credentials, 2, 2));
}

#[tokio::test]
async fn a_token_that_lives_no_time_is_fetched_for_each_request() {
    let (provider, tokens) = (Server::start(|_| empty(204)).await, token_server(json!(1e-9)).await);
    let client = client(&provider, &tokens);
    for _ in 0..2 {
        client.delete(User, &id("1"), None, &context()).await.unwrap();
    }
    assert_eq!(tokens_used(&provider), ["Bearer t1", "Bearer t2"]);
}

#[tokio::test]
async fn an_endpoint_that_knows_only_the_form_is_understood() {
    let by_form = |request: &Arrived| match request.header("authorization") {
        Some(_) => json(401, json!({"error": "invalid_client"})),
        None => json(200, json!({"access_token": String::from_utf8_lossy(&request.body)})),
    };
    let (provider, tokens) = (Server::start(|_| empty(204)).await, Server::start(by_form).await);
    client(&provider, &tokens).delete(User, &id("1"), None, &context()).await.unwrap();
    let form = "grant_type=client_credentials&scope=scim+write&client_id=fleet%3A1&client_secret=canary+s3cret";
    assert_eq!(tokens_used(&provider), [format!("Bearer {form}")]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let cases = [
        (401, json!({"error": format!("invalid_client {SECRET}"), "error_description": "x"}), Class::Credentials),
        (400, json!({"error": "invalid_scope"}), Class::Credentials),
        (429, json!({}), Class::Throttled),
        (503, json!("busy"), Class::Transient),
        (302, json!({"access_token": "t"}), Class::Transient),
        (200, json!({"access_token": 7}), Class::Transient),
        (200, json!({"access_token": "a\nb"}), Class::Transient),
    ];
    for (status, body, class) in cases {
        let provider = Server::start(|_| empty(204)).await;
        let answer = body.clone();
        let tokens = Server::start(move |_| json(status, answer.clone())).await;
        let error = client(&provider, &tokens).delete(User, &id("1"), None, &context()).await.unwrap_err();
        assert!(matches!(error, ScimError::Token { .. }), "{error}");
        assert_eq!((error.class(), error.may_have_been_applied()), (class, false), "{status} {body}: {error}");
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
        assert_eq!(provider.requests().len(), 0);
    }
}

#[tokio::test]
async fn a_silent_token_endpoint_costs_one_timeout_in_all() {
    let provider = Server::start(|_| empty(204)).await;
    let silent = raw(|_stream| std::future::pending()).await;
    let mut config = config(&provider.base);
    config.limits.request_timeout = Duration::from_secs(1);
    config.authorization = Authorization::OAuth2 {
        token_url: silent.parse().unwrap(),
        client_id: "a".into(),
        client_secret: "b".into(),
        scope: None,
    };
    let client = ScimClient::new(config).unwrap();
    let (context, one) = (context(), id("1"));
    let started = Instant::now();
    // The second waits for the first one's token, but no longer than its own time.
    let (first, second) =
        tokio::join!(client.delete(User, &one, None, &context), client.delete(User, &one, None, &context));
    assert!(started.elapsed() < Duration::from_millis(1_900), "{:?}", started.elapsed());
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!((error.class(), error.may_have_been_applied()), (Class::Transient, false), "{error}");
    }
    assert_eq!(provider.requests().len(), 0);
}

#[tokio::test]
async fn a_token_url_inside_is_not_called() {
    let (provider, tokens) = (Server::start(|_| empty(204)).await, token_server(json!(60)).await);
    let mut config = config(&provider.base);
    let mut with = |token_url: &str| {
        config.authorization = Authorization::OAuth2 {
            token_url: token_url.parse().unwrap(),
            client_id: "a".into(),
            client_secret: "b".into(),
            scope: None,
        };
        ScimClient::new(config.clone()).unwrap_err().to_string()
    };
    assert!(with("http://169.254.169.254/token").starts_with("token URL of `acme`: address 169.254.169.254"));
    assert!(with("https://a:b@x/token").starts_with("token URL of `acme` holds credentials"));
    assert!(with("ftp://x/token").starts_with("token URL of `acme`: scheme `ftp`"));
    assert_eq!(tokens.requests().len(), 0);
}
