//! Which format a file has, and what cannot be read at all.

use scimfleet_directory::import::{Format, ImportOptions};

use crate::support::{Directory, counts};

#[tokio::test]
async fn the_format_is_given_or_shows() {
    let json = "{\"userName\":\"anna\"}\n";
    let table = "userName\nanna\n";
    let cases = [
        ("a.jsonl", json, None),
        ("a.ndjson", json, None),
        ("a.CSV", table, None),
        ("a.txt", json, None),
        ("a.txt", table, None),
        ("a", "\u{feff}\n  {\"userName\":\"anna\"}\n", None),
        ("a.csv", json, Some(Format::JsonLines)),
        ("a.jsonl", table, Some(Format::Csv)),
    ];
    for (name, text, format) in cases {
        let directory = Directory::create().await;
        let options = ImportOptions { files: vec![directory.file(name, text)], format, ..Default::default() };
        assert_eq!(counts(&directory.run(options).await.unwrap()), [1, 0, 0, 0, 0], "{name} {format:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let directory = Directory::create().await;
    let array = directory.file("a.json", "\n[{\"userName\":\"anna\"}]");
    let missing = array.with_file_name("missing.csv");
    let folder = array.parent().unwrap().to_owned();
    for (file, words) in [(array, "one resource a line"), (missing, "missing.csv"), (folder, "directory")] {
        let error = directory.run(ImportOptions { files: vec![file], ..Default::default() }).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let source = Some("a\nb".to_owned());
    let error = directory.run(ImportOptions { source, ..Default::default() }).await.unwrap_err();
    assert!(error.to_string().contains(r"`a\nb`"), "{error}");
    assert_eq!("xml".parse::<Format>().unwrap_err(), "unknown format `xml`; use `jsonl` or `csv`");
}

#[tokio::test]
async fn a_report_is_serialisable() {
    let directory = Directory::create().await;
    let report = directory.import("a.jsonl", "{\"userName\":\"anna\"}\nno\n").await;
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["created"], 1);
    assert_eq!(value["rejected"][0]["line"], 2);
    assert_eq!(value["unresolved_members"], 0);
}
