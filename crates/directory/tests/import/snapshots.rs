//! Snapshots: what the files lack goes, if they are whole and it is not too much.

use scimfleet_core::ResourceKind;
use scimfleet_directory::import::{ImportError, ImportOptions, Key};

use crate::support::{Directory, counts, rejected};

fn users(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("{{\"userName\":\"u{n}\",\"externalId\":\"{n}\"}}\n")).collect()
}

async fn live(directory: &Directory) -> u64 {
    directory.store.count_resources(ResourceKind::User).await.unwrap()
}

#[tokio::test]
async fn what_the_file_lacks_is_removed() {
    let directory = Directory::create().await;
    directory.import("a.jsonl", users(0..40)).await;
    let other = vec![directory.file("b.jsonl", "{\"userName\":\"other\",\"externalId\":\"o\"}")];
    let source = Some("hr".to_owned());
    directory.run(ImportOptions { files: other, source, ..Default::default() }).await.unwrap();
    let report = directory.snapshot("a.jsonl", users(10..41)).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 30, 10, 0]);
    assert!(!directory.exists("u9").await && directory.exists("u10").await);
    assert!(directory.exists("other").await, "of another source");
    let back = directory.snapshot("a.jsonl", users(0..41)).await.unwrap();
    assert_eq!(counts(&back), [10, 0, 31, 0, 0]);
}

#[tokio::test]
async fn several_files_are_one_snapshot() {
    let directory = Directory::create().await;
    directory.import("a.jsonl", users(0..30)).await;
    let files = [directory.file("a.jsonl", users(0..10)), directory.file("b.csv", "externalId,userName\n11,u11\n")];
    let rest: Vec<_> = files.iter().cloned().chain([directory.file("c.jsonl", users(12..30))]).collect();
    let report = directory.run(ImportOptions { files: rest, snapshot: true, ..Default::default() }).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 29, 1, 0]);
    assert!(!directory.exists("u10").await);
}

#[tokio::test]
async fn too_many_removals_are_refused_until_allowed() {
    let directory = Directory::create().await;
    directory.import("a.jsonl", users(0..100)).await;
    let error = directory.snapshot("a.jsonl", users(21..100)).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("lacks 21 of the 100") && words.contains("20 may go"), "{words}");
    assert!(words.contains("`import:default`") && words.contains("`--allow-removals 21`"), "{words}");
    let ImportError::Guard { report, .. } = error else { panic!("{error}") };
    assert_eq!(counts(&report), [0, 0, 79, 0, 0]);
    assert_eq!(live(&directory).await, 100);
    let mut options = ImportOptions {
        files: vec![directory.file("a.jsonl", users(21..100))],
        snapshot: true,
        allow_removals: Some(20),
        ..Default::default()
    };
    assert!(directory.run(options.clone()).await.is_err());
    options.allow_removals = Some(21);
    assert_eq!(directory.run(options).await.unwrap().removed, 21);
    assert_eq!(live(&directory).await, 79);
}

#[tokio::test]
async fn everything_is_too_much_however_little() {
    let directory = Directory::create().await;
    directory.import("a.jsonl", users(0..3)).await;
    for text in [String::new(), "\n\n".to_owned(), users(50..90)] {
        let error = directory.snapshot("a.jsonl", &text).await.unwrap_err();
        assert!(error.to_string().contains("lacks 3 of the 3"), "{error}");
        let rest = directory.store.find_resources("u50").await.unwrap();
        directory.store.delete_resources(&rest.iter().map(|row| row.id.clone()).collect::<Vec<_>>()).await.unwrap();
    }
    assert!(directory.exists("u0").await);
    let fresh = Directory::create().await;
    assert_eq!(counts(&fresh.snapshot("a.jsonl", "").await.unwrap()), [0; 5], "nothing there, nothing to lose");
}

#[tokio::test]
async fn a_file_that_is_cut_off_removes_nothing() {
    let directory = Directory::create().await;
    directory.import("a.jsonl", users(0..10)).await;
    let mut text = users(0..9);
    text.truncate(text.len() - 4);
    let error = directory.snapshot("a.jsonl", text).await.unwrap_err();
    assert!(error.to_string().contains("was cut off at line 9"), "{error}");
    let ImportError::CutOff { report, .. } = error else { panic!("{error}") };
    assert_eq!(counts(&report), [0, 0, 8, 0, 1]);
    assert_eq!(live(&directory).await, 10);
}

#[tokio::test]
async fn every_line_needs_its_key() {
    let directory = Directory::create().await;
    directory.import("a.jsonl", users(0..10)).await;
    let text = format!("{}{{\"userName\":\"u9\"}}\n", users(0..8));
    let report = directory.snapshot("a.jsonl", &text).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 8, 0, 1]);
    assert!(rejected(&report)[0].1.contains("`--key userName`"), "{report:?}");
    assert!(report.warnings[0].starts_with("nothing was removed"), "{:?}", report.warnings);
    assert_eq!(live(&directory).await, 10, "the line could be anybody's");
    let options = ImportOptions {
        files: vec![directory.file("a.jsonl", text)],
        snapshot: true,
        key: Key::UserName,
        ..Default::default()
    };
    let report = directory.run(options).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 9, 1, 0]);
    assert!(directory.exists("u9").await && !directory.exists("u8").await);
}

#[tokio::test]
async fn a_rejected_line_keeps_whom_it_names() {
    let directory = Directory::create().await;
    directory.import("a.jsonl", users(0..10)).await;
    let bad = "{\"userName\":\"u8\",\"externalId\":\"8\",\"active\":7}\n{\"userName\":\"u9\",\"externalId\":\"9\",\"id\":7}\n";
    let report = directory.snapshot("a.jsonl", format!("{}{bad}", users(0..7))).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 7, 1, 2]);
    assert!(directory.exists("u8").await && directory.exists("u9").await && !directory.exists("u7").await);
}

#[tokio::test]
async fn groups_that_rows_name_are_part_of_the_snapshot() {
    let directory = Directory::create().await;
    directory.import("a.csv", "userName,externalId,groups\na,1,Sales;Old\nb,2,Sales\n").await;
    let report = directory.snapshot("a.csv", "userName,externalId,groups\na,1,Sales\nb,2,\n").await.unwrap();
    assert_eq!(counts(&report), [0, 2, 0, 1, 0]);
    assert!(directory.exists("Sales").await && !directory.exists("Old").await);
}
