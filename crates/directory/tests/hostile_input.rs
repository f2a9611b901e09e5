//! Whatever arrives from outside is read or refused, and never brings a process down. The functions are the
//! fuzzer's; here each gets thousands of inputs that were right once and then damaged.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use scimfleet_core::ResourceKind;
use scimfleet_core::scim::filter;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::task::{Job, Task};

#[expect(unreachable_pub, reason = "the fuzzer is another crate")]
#[path = "../../../fuzz/src/lib.rs"]
mod doors;

const ANSWERS: &[&str] = &[
    r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"r1","userName":"anna","active":true,
        "emails":[{"value":"a@x","type":"work","primary":true}],"meta":{"version":"W/\"1\""}}"#,
    r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":2,"startIndex":1,
        "itemsPerPage":1,"Resources":[{"id":"r1","userName":"anna"}]}"#,
    r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness"}"#,
    r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],"Operations":[{"method":"POST",
        "bulkId":"1","location":"/Users/1","status":{"code":"201"}}]}"#,
    r#"{"patch":{"supported":true},"bulk":{"supported":true,"maxOperations":100,"maxPayloadSize":1048576},
        "filter":{"supported":true,"maxResults":200},"etag":{"supported":"yes"}}"#,
    r#"{"id":"urn:ietf:params:scim:schemas:core:2.0:User","name":"User","attributes":[{"name":"userName",
        "type":"string","required":true,"subAttributes":[{"name":"x","type":"complex"}]}]}"#,
];
const FILTERS: &[&str] = &[
    r#"userName eq "anna" and (active eq true or not (emails[type eq "work" and value co "@x"]))"#,
    r#"meta.lastModified gt "2025-05-13T04:42:34Z""#,
    r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department sw "E" or title pr"#,
];
const PATHS: &[&str] = &[
    r#"emails[type eq "work"].value"#,
    r#"members[value eq "2819c223-7f76-453a-919d-413861904646"]"#,
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    "name.familyName",
];
const LINES: &[&str] = &[
    r#"{"userName":"anna","externalId":"1","emails":[{"value":"a@x"}],"attributes":{"kind":"staff"}}"#,
    r#"{"resourceType":"Group","displayName":"Staff","members":[{"value":"anna"},{"value":"bert"}]}"#,
];
const MESSAGES: &[&str] = &[
    r#"{"v":1,"task":"018f3c1e-0000-7000-8000-000000000001","run":null,"provider":"acme","kind":"user",
        "lane":"sync","cause":"full","objects":["u-1","u-2"]}"#,
    r#"{"v":1,"job":"sync","provider":"acme"}"#,
    r#"{"v":1,"job":"sync_object","provider":"acme","object":"anna"}"#,
];
const FLEETS: &[&str] = &[
    r#"
[[provider]]
name = "acme"
base_url = "https://acme.example/scim/v2"
auth = { kind = "bearer", token = { value = "t" } }
rate = "25/s"
guard = { share = "5%", cap = 500, at_least = 20 }
scope = { users = 'user.active' }
"#,
    r#"
[[mapping]]
name = "50-x"
resource = "user"
expression = 'return {"title": user.title}'
"#,
];
/// What parsers stumble over.
const PIECES: &[&str] = &[
    "\"", "[", "]", "{", "}", "\\u0000", "1e999", "-0", "null", "\u{feff}", "ß", "((((((((", "' or '", "\n", ".", ":",
];

/// One of these, with up to eight damages: something cut out, put in, or said twice.
fn damaged(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![vec(any::<u8>(), 0..6), select(PIECES).prop_map(|text| text.as_bytes().to_vec())];
    (select(seeds), vec((any::<Index>(), 0_usize..12, piece, any::<bool>()), 0..8)).prop_map(|(seed, damages)| {
        let mut bytes = seed.as_bytes().to_vec();
        for (at, length, piece, twice) in damages {
            let from = at.index(bytes.len() + 1);
            let to = (from + length).min(bytes.len());
            let cut: Vec<u8> = bytes.splice(from..to, piece).collect();
            if twice {
                bytes.extend_from_slice(&cut);
            }
        }
        bytes
    })
}

fn damaged_text(seeds: &'static [&'static str]) -> impl Strategy<Value = String> {
    damaged(seeds).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_of_a_provider(bytes in damaged(ANSWERS)) {
        doors::answers(&bytes);
    }

    #[test]
    fn filters_of_a_client(text in damaged_text(FILTERS)) {
        doors::filters(&text);
    }

    #[test]
    fn patch_paths_of_a_client(text in damaged_text(PATHS)) {
        doors::patch_paths(&text);
    }

    #[test]
    fn lines_of_an_import(bytes in damaged(LINES)) {
        doors::import_lines(&bytes);
    }

    #[test]
    fn messages_of_the_broker(bytes in damaged(MESSAGES)) {
        doors::messages(&bytes);
    }

    #[test]
    fn fleet_files_of_an_operator(text in damaged_text(FLEETS)) {
        doors::fleet_files(&text);
    }
}

/// Otherwise the damage would be done to what no parser reads far.
#[test]
fn what_is_damaged_was_right_before() {
    for line in MESSAGES {
        assert!(Task::decode(line.as_bytes()).is_ok() || Job::decode(line.as_bytes()).is_ok(), "{line}");
    }
    for text in FILTERS {
        assert!(filter::parse(ResourceKind::User, text, SchemaSet::builtin()).is_ok(), "{text}");
    }
    for line in LINES {
        scimfleet_directory::import::check_line(line.as_bytes()).unwrap();
    }
}
