//! One person's life, pushed through the directory's SCIM endpoint, reaches three providers of different make
//! through RabbitMQ, each time; and again by job messages of an AMQP client that is not ours.

use std::process::Command;

use scimfleet_tests::repository;

#[test]
fn a_life_pushed_by_scim_reaches_three_providers() {
    let root = repository();
    let folder = tempfile::tempdir().unwrap();
    let bin = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("scimfleet");
    let output = Command::new(root.join("tests/cluster.sh"))
        .args(["--workers", "1", "--", "python3", "-B"])
        .arg(root.join("tests/stories/fanout.py"))
        .arg(folder.path())
        .env("SCIMFLEET_BIN", bin)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    println!("{text}");
}
