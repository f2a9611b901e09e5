//! Whatever a provider answers: no panic, a class, and no more than its words in the error.

use std::time::Duration;

use proptest::prelude::*;
use scimfleet_core::ResourceKind::{Group, User};
use scimfleet_core::scim::Document;
use scimfleet_scim_client::{Lister, Projection, ScimClient, ScimError};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::server::{config, context, id, raw};

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("id".to_owned()),
        Just("Resources".to_owned()),
        Just("totalResults".to_owned()),
        Just("meta".to_owned()),
        Just("schemas".to_owned()),
        Just("status".to_owned()),
        Just("detail".to_owned()),
        Just("Errors".to_owned()),
        Just("nextCursor".to_owned()),
        Just("supported".to_owned()),
        Just("bulk".to_owned()),
        Just("filter".to_owned()),
        Just("maxResults".to_owned()),
        Just("version".to_owned()),
        ".{0,4}",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        json_value().prop_map(|value| value.to_string().into_bytes()),
        json_value().prop_map(|value| json!({"totalResults": 3, "Resources": [value]}).to_string().into_bytes()),
        json_value().prop_map(|value| {
            let urn = "urn:ietf:params:scim:api:messages:2.0:Error";
            json!({"schemas": [urn], "detail": value}).to_string().into_bytes()
        }),
    ]
}

/// Printable header values, among them those that are read.
fn headers() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("location"),
        Just("etag"),
        Just("retry-after"),
        Just("content-type"),
        Just("content-encoding"),
        Just("x-y")
    ];
    let value =
        prop_oneof!["[ -~]{0,30}", Just("gzip".to_owned()), Just("//[::".to_owned()), Just("Users/%".to_owned())];
    prop::collection::vec((name, value), 0..5)
        .prop_map(|lines| lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect())
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let answer = (0_u16..1000, headers(), body(), -3_i64..4).prop_map(|(status, headers, body, off)| {
        let length = i64::try_from(body.len()).unwrap() + off;
        let mut bytes =
            format!("HTTP/1.1 {status:03} x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
        let mut bytes = std::mem::take(&mut bytes).into_bytes();
        bytes.extend(body);
        bytes
    });
    prop_oneof![9 => answer, 1 => prop::collection::vec(any::<u8>(), 0..100)]
}

async fn try_everything(bytes: Vec<u8>) -> Vec<ScimError> {
    let base = raw(move |mut stream| {
        let bytes = bytes.clone();
        async move { drop(stream.write_all(&bytes).await) }
    })
    .await;
    let mut config = config(&base);
    config.limits.request_timeout = Duration::from_secs(5);
    config.limits.listing_pages_max = 5;
    let client = ScimClient::new(config).unwrap();
    let (context, one) = (context(), id("1"));
    let mut errors: Vec<ScimError> = [
        client.create(User, &Document::new(), &context).await.err(),
        client.patch(Group, &one, &[], None, &context).await.err(),
        client.delete(User, &one, None, &context).await.err(),
        client.get(Group, &one, &context).await.err(),
        client.find(User, "userName", "x", &context).await.err(),
        client.discover(&context).await.unreachable,
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut lister = Lister::new(client, User);
    loop {
        match lister.next_page(Projection::Default, &context).await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                errors.push(error);
                break;
            }
        }
    }
    errors
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_provider_answers_makes_the_client_panic(bytes in answer()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for error in runtime.block_on(try_everything(bytes)) {
            let text = error.to_string();
            prop_assert!(text.len() < 3_000 && !text.contains(['\n', '\r', '\u{1b}']), "{}", text);
            prop_assert!(!error.class().as_str().is_empty());
        }
    }
}
