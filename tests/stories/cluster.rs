//! The same roles as in the compose file, as processes, on real RabbitMQ, PostgreSQL and Redis.

use std::process::Command;

use scimfleet_testkit::directory::SampleDirectory;
use scimfleet_tests::{Fleet, repository};

#[test]
fn a_cluster_does_what_one_process_does() {
    for name in ["SCIMFLEET_TEST_AMQP_URL", "SCIMFLEET_TEST_POSTGRES_URL", "SCIMFLEET_TEST_REDIS_URL"] {
        assert!(
            std::env::var(name).is_ok(),
            "{name} is unset; run `make test`, or `tests/services/with-services.sh -- cargo test -p scimfleet-tests`"
        );
    }
    let fleet = Fleet::embedded();
    let sample = SampleDirectory { users: 2_500, groups: 60, seed: 12, inactive_percent: 0 };
    let path = fleet.folder().join("people.jsonl");
    sample.write_jsonl(&mut std::io::BufWriter::new(std::fs::File::create(&path).unwrap())).unwrap();
    let root = repository();
    let bin = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("scimfleet");
    let output = Command::new(root.join("tests/cluster.sh"))
        .args(["--workers", "2", "--", "python3", "-B"])
        .arg(root.join("tests/stories/cluster.py"))
        .arg(&path)
        .env("SCIMFLEET_BIN", bin)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    println!("{text}");
}
