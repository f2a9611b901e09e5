//! CSV: columns, quoting, empty cells, and the groups that rows name.

use serde_json::json;

use crate::support::{Directory, counts, rejected};

#[tokio::test]
async fn columns_become_attributes() {
    let directory = Directory::create().await;
    let text = "\u{feff}userName,givenName,familyName,displayName,EMAIL,active,externalId,title,department,manager,Cost Center,password\r\n\
         anna,Anna,\"Ångström, \"\"A\"\"\nII\",Anna Å,anna@x.example,No,1,Dr,R&D,2,4711,canary\r\n\
         \r\n\
         bert, Bert ,,,,,2,,,,,\r\n";
    let report = directory.import("a.csv", text).await;
    assert_eq!(counts(&report), [2, 0, 0, 0, 0]);
    assert_eq!(report.warnings, ["1 passwords were dropped: no provider has `passwords = true`"]);
    let expected = json!({
        "userName": "anna",
        "displayName": "Anna Å",
        "emails": [{"value": "anna@x.example", "type": "work", "primary": true}],
        "active": false,
        "externalId": "1",
        "title": "Dr",
        "name": {"givenName": "Anna", "familyName": "Ångström, \"A\"\nII"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":
            {"department": "R&D", "manager": {"value": "2"}},
        "attributes": {"Cost Center": "4711"}
    });
    assert_eq!(directory.document("anna").await, expected);
    assert_eq!(directory.document("bert").await["name"], json!({"givenName": "Bert"}));
}

#[tokio::test]
async fn an_empty_cell_clears_and_an_absent_column_keeps() {
    let directory = Directory::create().await;
    directory.import("a.csv", "userName,externalId,title,email,active,room\nanna,1,Dr,a@x,false,7\n").await;
    let report = directory.import("b.csv", "externalId,userName,email,room\n1,anna,,\n").await;
    assert_eq!(counts(&report), [0, 1, 0, 0, 0]);
    let document = directory.document("anna").await;
    assert_eq!((&document["title"], &document["active"]), (&json!("Dr"), &json!(false)));
    assert!(document.get("emails").is_none() && document["attributes"].get("room").is_none());
    let report = directory.import("c.csv", "externalId,userName\n1,\n2,bert\n").await;
    assert_eq!(counts(&report), [1, 0, 0, 0, 1]);
    assert_eq!(rejected(&report), [(2, "`userName` is missing or empty")]);
}

#[tokio::test]
async fn a_bad_record_is_told_by_the_line_where_it_begins() {
    for end in ["\n", "\r\n"] {
        let directory = Directory::create().await;
        let text = ["userName,title,active", "one,\"a\nb\",yes", "two,x", "three,x,maybe", "four,x,1,more", "five,x,0"];
        let report = directory.import("a.csv", text.join(end)).await;
        assert_eq!(counts(&report), [2, 0, 0, 0, 3], "{end:?}");
        let expected = [
            (4, "2 fields, the header has 3"),
            (5, "`active` is not true or false"),
            (6, "4 fields, the header has 3"),
        ];
        assert_eq!(rejected(&report), expected, "{end:?}");
    }
    let directory = Directory::create().await;
    let report = directory.import("a.csv", b"userName\none\n\xff\ntwo\n").await;
    assert_eq!((counts(&report), rejected(&report)), ([2, 0, 0, 0, 1], vec![(3, "not UTF-8")]));
}

#[tokio::test]
async fn a_file_that_is_cut_off_says_where() {
    let cases = [
        ("userName,title\none,x\ntwo", 3, "the last record is no whole one"),
        ("userName,title\none,x\ntwo,\"x", 3, "a quoted field never ends"),
        ("userName,title\none,\"x\ntwo,y\nthree,z\n", 2, "a quoted field never ends"),
    ];
    for (text, line, reason) in cases {
        let directory = Directory::create().await;
        let report = directory.import("a.csv", text).await;
        assert_eq!(rejected(&report), [(line, reason)], "{text:?}");
        let error = directory.snapshot("a.csv", text.replacen("userName", "externalId", 1)).await.unwrap_err();
        assert!(error.to_string().contains("nothing was removed"), "{error}");
    }
    let directory = Directory::create().await;
    let endless = format!("userName,title\none,x\ntwo,\"{}", "x\n".repeat(6 * 1024 * 1024));
    let report = directory.import("a.csv", endless).await;
    assert_eq!(counts(&report), [1, 0, 0, 0, 1]);
    assert_eq!(rejected(&report), [(3, "a record longer than 8 MiB; an open quote?")]);
}

#[tokio::test]
async fn rows_name_their_groups() {
    let directory = Directory::create().await;
    directory.import("g.jsonl", r#"{"displayName":"Staff","externalId":"s","members":[]}"#).await;
    let text = "userName,groups\nanna,s; Sales ;\nbert,SALES\ncarl,\n";
    let report = directory.import("a.csv", text).await;
    assert_eq!(counts(&report), [4, 0, 0, 0, 0], "three users, one group");
    assert_eq!(report.warnings, ["groups created because a row names them: `SALES`"]);
    assert_eq!(directory.members("Sales").await, ["anna", "bert"]);
    assert_eq!(directory.members("Staff").await, ["anna"]);
    assert_eq!(counts(&directory.import("a.csv", text).await), [0, 0, 3, 0, 0]);
    let report = directory.import("b.csv", "userName,groups\nanna,\nbert,s\n").await;
    assert_eq!(counts(&report), [0, 2, 0, 0, 0]);
    assert_eq!(
        (directory.members("Sales").await.len(), directory.members("Staff").await),
        (0, vec!["bert".to_owned()])
    );
    directory.import("c.csv", "userName,title\nbert,x\n").await;
    assert_eq!(directory.members("Staff").await, ["bert"], "without the column they stay");
}

#[tokio::test]
async fn a_group_of_another_source_is_left_alone() {
    let directory = Directory::create().await;
    let files = vec![directory.file("g.jsonl", r#"{"displayName":"Admins","members":[]}"#)];
    let options =
        scimfleet_directory::import::ImportOptions { files, source: Some("hr".to_owned()), ..Default::default() };
    directory.run(options).await.unwrap();
    let report = directory.import("a.csv", "userName,groups\nanna,Admins\n").await;
    assert_eq!(report.warnings, ["nobody was put into `Admins`: the group belongs to the source `import:hr`"]);
    assert!(directory.members("Admins").await.is_empty());
}

#[tokio::test]
async fn a_header_that_cannot_be_is_refused() {
    let cases = [
        ("", "no header"),
        ("anna,bert\n1,2\n", "no header"),
        ("userName,title,Title\n", "the column `title` twice"),
        ("userName,,title\n", "a column without a name"),
        ("userName;title\nanna;x\n", "no header"),
    ];
    for (text, reason) in cases {
        let directory = Directory::create().await;
        let options = scimfleet_directory::import::ImportOptions {
            files: vec![directory.file("a.csv", text)],
            ..Default::default()
        };
        let error = directory.run(options).await.unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("a.csv"), "{text:?}: {error}");
    }
}
