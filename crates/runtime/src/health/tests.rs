use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

use super::*;

async fn get_page(checks: Checks, path: &str) -> (u16, String) {
    let router = router(checks, Metrics::install().unwrap(), Readers::Everybody);
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn fails(reason: &'static str) -> impl Fn() -> std::future::Ready<Result<(), String>> {
    move || std::future::ready(Err(reason.to_owned()))
}

fn works() -> std::future::Ready<Result<(), String>> {
    std::future::ready(Ok(()))
}

async fn hangs() -> Result<(), String> {
    std::future::pending().await
}

async fn breaks() -> Result<(), String> {
    panic!("as the test wants it")
}

#[tokio::test(start_paused = true)]
async fn readiness_needs_store_and_broker_only() {
    let drained = Drain::default();
    drained.begin();
    let cases = [
        (Checks::new(), 200, json!({})),
        (
            Checks::new().needed("store", works).needed("broker", works).helpful("coordination", works),
            200,
            json!({"store": "ok", "broker": "ok", "coordination": "ok"}),
        ),
        (
            Checks::new().needed("store", works).helpful("coordination", fails("connection refused")),
            200,
            json!({"store": "ok", "coordination": "degraded: connection refused"}),
        ),
        (
            Checks::new().needed("store", works).needed("broker", fails("connection refused")),
            503,
            json!({"store": "ok", "broker": "connection refused"}),
        ),
        (Checks::new().needed("store", hangs), 503, json!({"store": "no answer within 2 s"})),
        (Checks::new().needed("store", breaks), 503, json!({"store": "the check itself broke"})),
        (Checks::new().needed("store", works).until(&drained), 503, json!({"store": "ok", "drain": "shutting down"})),
        (Checks::new().needed("store", works).until(&Drain::default()), 200, json!({"store": "ok"})),
    ];
    for (checks, status, expected) in cases {
        let (found, body) = get_page(checks, "/readyz").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, &body), (status, &json!({"v": 1, "ready": status == 200, "checks": expected})));
    }
}

#[tokio::test]
async fn being_alive_asks_nobody() {
    let (status, body) = get_page(Checks::new().needed("store", fails("down")), "/healthz").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn metrics_are_rendered() {
    Metrics::install().unwrap();
    metrics::gauge!(crate::metrics::WORKERS).set(2.0);
    let (status, body) = get_page(Checks::new(), "/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("scimfleet_workers 2"), "{body}");
}

#[tokio::test]
async fn metrics_can_ask_for_a_token() {
    let opens = |token: SecretString| -> TokenFuture {
        Box::pin(std::future::ready(match secrecy::ExposeSecret::expose_secret(&token) {
            "right" => Ok(true),
            "broken" => Err("database".to_owned()),
            _ => Ok(false),
        }))
    };
    let cases = [
        ("/metrics", None, 401),
        ("/metrics", Some("Bearer wrong"), 401),
        ("/metrics", Some("Basic right"), 401),
        ("/metrics", Some("bearer right"), 200),
        ("/metrics", Some("Bearer broken"), 503),
        ("/healthz", None, 200),
        ("/readyz", None, 200),
    ];
    for (path, header, expected) in cases {
        let router = router(Checks::new(), Metrics::install().unwrap(), Readers::Holders(Arc::new(opens)));
        let mut request = Request::get(path);
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{path} {header:?}");
    }
}

#[tokio::test]
async fn the_listener_serves_until_the_drain_begins() {
    let drain = Drain::default();
    let listening = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listening.address();
    let taken = bind(address).await.unwrap_err().to_string();
    assert!(taken.starts_with(&format!("cannot listen on {address}: ")), "{taken}");
    let (router, serving) = (router(Checks::new(), Metrics::install().unwrap(), Readers::Everybody), drain.clone());
    let served = drain.spawn(async move { listening.serve(router, &serving).await });

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");

    drain.begin();
    assert_eq!(drain.finish().await, crate::drain::Drained::Finished);
    served.await.unwrap().unwrap();
}
