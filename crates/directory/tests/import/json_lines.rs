//! JSON Lines: which kind a line is, what is kept of it, and what is rejected alone.

use scimfleet_core::ResourceKind;
use serde_json::json;

use crate::support::{Directory, counts, rejected};

#[tokio::test]
async fn the_kind_is_told_or_shows() {
    let cases = [
        (r#"{"resourceType":"User","userName":"n1"}"#, Ok(ResourceKind::User)),
        (r#"{"resourcetype":"group","displayName":"n2"}"#, Ok(ResourceKind::Group)),
        (r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"n3"}"#, Ok(ResourceKind::User)),
        (r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"n4"}"#, Ok(ResourceKind::Group)),
        (r#"{"UserName":"n5","displayName":"x"}"#, Ok(ResourceKind::User)),
        (r#"{"displayName":"n6","members":[]}"#, Ok(ResourceKind::Group)),
        (r#"{"displayName":"n7"}"#, Err("user or group?")),
        (r#"{"resourceType":"Device","displayName":"n8"}"#, Err("neither `User` nor `Group`")),
        (
            r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:core:2.0:Group"]}"#,
            Err("names both"),
        ),
    ];
    let directory = Directory::create().await;
    for (n, (line, expected)) in cases.into_iter().enumerate() {
        let report = directory.import("a.jsonl", line).await;
        match expected {
            Ok(kind) => assert_eq!(directory.row(&format!("n{}", n + 1)).await.kind, kind, "{line}"),
            Err(reason) => assert!(rejected(&report)[0].1.contains(reason), "{line}: {report:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_read_only_or_secret_is_left_out() {
    let directory = Directory::create().await;
    let line = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "u-1",
        "userName": "anna",
        "externalId": "1",
        "name": {"givenName": "Anna", "familyName": null},
        "meta": {"version": "1"},
        "groups": [{"value": "x"}],
        "Password": "canary",
        "attributes": {"kind": "contractor", "password": "canary", "deep": {"list": [1, 2]}},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "2"}}
    });
    let report = directory.import("a.jsonl", line.to_string()).await;
    assert_eq!(counts(&report), [1, 0, 0, 0, 0]);
    assert_eq!(report.warnings, ["1 passwords were dropped: no provider has `passwords = true`"]);
    let row = directory.row("anna").await;
    assert_eq!((row.id.as_str(), row.source.as_str()), ("u-1", "import:default"));
    let expected = json!({
        "userName": "anna",
        "externalId": "1",
        "name": {"givenName": "Anna"},
        "attributes": {"kind": "contractor", "deep": {"list": [1, 2]}},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "2"}}
    });
    assert_eq!(directory.document("anna").await, expected);
}

#[tokio::test]
async fn a_bad_line_is_rejected_alone_and_told_by_number() {
    let directory = Directory::create().await;
    let long = format!(r#"{{"userName":"long","title":"{}"}}"#, "x".repeat(9 * 1024 * 1024));
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let lines: [&[u8]; 14] = [
        b"\xef\xbb\xbf{\"userName\":\"one\"}\r",
        b"",
        b"{\"userName\":\"secret",
        b"[1,2]",
        b"\"secret\"",
        long.as_bytes(),
        b"{\"userName\":\"two\"}",
        b"{\"userName\":\"\xff\"}",
        b"{\"userName\":\"x\",\"id\":\"a/b\"}",
        b"{\"userName\":\"x\",\"id\":7}",
        b"{\"userName\":\"x\",\"attributes\":7}",
        b"{\"resourceType\":\"Group\",\"displayName\":\"g\",\"members\":[{\"display\":\"x\"}]}",
        deep.as_bytes(),
        b"{\"userName\":\"ONE\",\"externalId\":\"e\",\"active\":7}",
    ];
    let report = directory.import("a.jsonl", lines.join(&b'\n')).await;
    assert_eq!(counts(&report), [2, 0, 0, 0, 11]);
    let expected = [
        (3, "no JSON: syntax error at column 19"),
        (4, "no JSON object"),
        (5, "no JSON object"),
        (6, "longer than 8 MiB"),
        (8, "no JSON: syntax error at column 14"),
        (9, "invalid resource id `a/b`: 1 to 128 visible ASCII characters without `/`"),
        (10, "`id` is not a text"),
        (11, "`attributes` is no JSON object"),
        (12, "a member has no `value`"),
        (13, "no JSON: syntax error at column 128"),
        (14, "`active` is not true or false"),
    ];
    let told = rejected(&report);
    // The order within a batch is the reader's, then the store's.
    for line in expected {
        assert!(told.contains(&line), "{line:?} is not in {told:?}");
    }
    assert!(report.rejected[0].file.ends_with("a.jsonl"));
    assert!(!format!("{report:?}").contains("secret"));
    assert!(directory.exists("one").await && directory.exists("two").await);
}

#[tokio::test]
async fn a_last_line_that_is_cut_off_is_rejected() {
    let directory = Directory::create().await;
    let whole = directory.import("a.jsonl", "{\"userName\":\"a\"}\n{\"userName\":\"b\"}").await;
    assert_eq!(counts(&whole), [2, 0, 0, 0, 0], "a line end is not asked for");
    let cut = directory.import("a.jsonl", "{\"userName\":\"c\"}\n{\"userName\":\"d\"").await;
    assert_eq!(counts(&cut), [1, 0, 0, 0, 1]);
    assert_eq!(rejected(&cut), [(2, "the last line is no whole JSON object")]);
}

#[tokio::test]
async fn members_are_named_and_found_later() {
    let directory = Directory::create().await;
    let text = [
        r#"{"displayName":"Staff","members":[{"value":"1"},{"value":"BERT"},"later"]}"#,
        r#"{"userName":"anna","externalId":"1"}"#,
        r#"{"userName":"bert"}"#,
    ];
    let report = directory.import("a.jsonl", text.join("\n")).await;
    assert_eq!((counts(&report), report.unresolved_members), ([3, 0, 0, 0, 0], 1));
    assert_eq!(directory.members("Staff").await, ["anna", "bert"]);
    let report = directory.import("a.jsonl", text.join("\n")).await;
    assert_eq!(counts(&report), [0, 0, 3, 0, 0]);
    let cleared = directory.import("b.jsonl", r#"{"displayName":"Staff","members":null}"#).await;
    assert_eq!((counts(&cleared), cleared.unresolved_members), ([0, 1, 0, 0, 0], 0));
    assert!(directory.members("Staff").await.is_empty());
}

#[tokio::test]
async fn many_batches_and_their_progress() {
    let directory = Directory::create().await;
    let text: String = (0..1_200).map(|n| format!("{{\"userName\":\"u{n}\"}}\n")).collect();
    let size = text.len() as u64;
    let files = vec![directory.file("a.jsonl", text)];
    let options = scimfleet_directory::import::ImportOptions { files, ..Default::default() };
    let (report, told) = directory.watch(options).await;
    assert_eq!(report.created, 1_200);
    let lines: Vec<u64> = told.iter().map(|progress| progress.lines).collect();
    assert_eq!(lines, [500, 1_000, 1_200]);
    let last = told.last().unwrap();
    assert_eq!((last.bytes, last.bytes_total), (size, size));
    let rejected: String = (0..1_200).map(|n| format!("{{\"userName\":{n}}}\n")).collect();
    let report = directory.import("b.jsonl", rejected).await;
    assert_eq!((report.rejected_count, report.rejected.len()), (1_200, 1_000));
}
