use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::{ProviderName, ResourceKind};
use scimfleet_store::{IncomingResource, StoreOptions};
use tower::ServiceExt;

use super::*;

struct Console {
    router: Router,
    store: Store,
    _folder: tempfile::TempDir,
}

async fn console() -> Console {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("c.db").display());
    let store = Store::connect(&StoreOptions::new(url), None).await.unwrap();
    store.migrate().await.unwrap();
    let state = ConsoleState::new(store.clone(), Some(SecretString::from("canary-admin")));
    Console { router: router(state), store, _folder: folder }
}

impl Console {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        cookie: Option<&str>,
        body: &str,
    ) -> (StatusCode, Response<()>, String) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status, Response::from_parts(parts, ()), String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn sign_in(&self, token: &str) -> (StatusCode, Option<String>) {
        let (status, response, _) = self.ask("POST", "/sign-in", None, &format!("token={token}")).await;
        let cookie = response.headers().get(header::SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned());
        (status, cookie)
    }
}

type Response<T> = axum::http::Response<T>;

#[tokio::test]
async fn nothing_is_shown_without_an_admin_token() {
    let console = console().await;
    for path in ["/", "/runs/x", "/objects?q=a"] {
        let (status, response, body) = console.ask("GET", path, Some("scimfleet_session=made-up"), "").await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(response.headers()[header::LOCATION], "/sign-in");
        assert_eq!(body, "");
    }
    assert_eq!(console.sign_in("wrong").await.0, StatusCode::UNAUTHORIZED);
    let (_, directory) = console.store.create_token("d", scimfleet_store::TokenScope::Directory).await.unwrap();
    let wrong_scope = secrecy::ExposeSecret::expose_secret(&directory).to_owned();
    assert_eq!(console.sign_in(&wrong_scope).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_opens_pages_and_can_be_closed() {
    let console = console().await;
    let (status, cookie) = console.sign_in("canary-admin").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let cookie = cookie.unwrap();
    for flag in ["HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let (status, response, body) = console.ask("GET", "/", Some(&cookie), "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(body.contains("No provider yet"));
    assert!(!body.contains("canary"));
    console.ask("POST", "/sign-out", Some(&cookie), "").await;
    assert_eq!(console.ask("GET", "/", Some(&cookie), "").await.0, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn trying_tokens_in_a_loop_is_refused() {
    let console = console().await;
    for _ in 0..10 {
        assert_eq!(console.sign_in("wrong").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(console.sign_in("canary-admin").await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_people_are_called_is_never_markup() {
    let console = console().await;
    let settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "http://127.0.0.1:1/v2");
    console.store.put_provider(&settings).await.unwrap();
    let name = "<script>alert(1)</script>";
    let mut attributes = scimfleet_core::scim::Document::new();
    attributes.insert("userName".to_owned(), name.into());
    let person = IncomingResource { kind: ResourceKind::User, id: None, attributes, members: None };
    console.store.import("import:test", vec![person]).await.unwrap();
    let cookie = console.sign_in("canary-admin").await.1.unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let (_, _, body) = console.ask("GET", "/", Some(cookie), "").await;
    assert!(body.contains("acme") && body.contains("All leavers are out. 1 of 1 providers are active."), "{body}");
    let (_, _, body) = console.ask("GET", "/objects?q=%3Cscript%3Ealert(1)%3C/script%3E", Some(cookie), "").await;
    assert!(body.contains("alert(1)") && !body.contains("<script>"), "{body}");
    assert_eq!(console.ask("GET", "/runs/none", Some(cookie), "").await.0, StatusCode::NOT_FOUND);
}
