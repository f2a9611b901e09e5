//! A hundred thousand lines need no more memory than a few thousand. A process of its own, since the peak
//! that the kernel keeps is the whole process's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;

use scimfleet_directory::import::{ImportOptions, import_file};
use scimfleet_store::{Store, StoreOptions};

const LINES: u32 = 100_000;
const MEMORY_KIB_MAX: u64 = 200 * 1024;

/// The most memory that this process ever held, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_lines_stay_within_200_mb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for n in 0..LINES {
        let (domain, department) = (n % 7, n % 40);
        writeln!(
            file,
            r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"user{n}@d{domain}.example","externalId":"e-{n}","name":{{"givenName":"Given{n}","familyName":"Family{n}"}},"displayName":"Given{n} Family{n}","emails":[{{"value":"user{n}@d{domain}.example","type":"work","primary":true}}],"active":true,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{{"department":"Department {department}","employeeNumber":"{n}"}}}}"#
        )
        .unwrap();
    }
    file.flush().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let store = Store::connect(&StoreOptions::new(url), None).await.unwrap();
    store.migrate().await.unwrap();
    let before = peak_kib();
    let options = ImportOptions { files: vec![path], snapshot: true, ..ImportOptions::default() };
    let report = import_file(&store, options, |_| {}).await.unwrap();
    assert_eq!((report.created, report.rejected_count), (u64::from(LINES), 0));
    let peak = peak_kib();
    println!("peak {peak} KiB, {} KiB more than before the import", peak - before);
    assert!(peak < MEMORY_KIB_MAX, "the process held {peak} KiB");
}
