use super::*;

fn golden(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn task(objects: &[&str]) -> Task {
    Task::new(
        "018f3c1e-0000-7000-8000-000000000001".parse().unwrap(),
        Some("018f3c1e-0000-7000-8000-000000000002".parse().unwrap()),
        ProviderName::parse("acme").unwrap(),
        ResourceKind::User,
        Lane::Sync,
        Cause::Full,
        objects.iter().map(|id| ResourceId::parse(*id).unwrap()).collect(),
    )
}

#[test]
fn task_v1_keeps_its_golden_form() {
    let written = task(&["u-1", "u-2"]);
    assert_eq!(String::from_utf8(written.encode()).unwrap(), golden("task-v1.json").trim());
    assert_eq!(Task::decode(golden("task-v1.json").as_bytes()).unwrap(), written);
    let observe = Task::decode(golden("task-v1-observe.json").as_bytes()).unwrap();
    assert_eq!((observe.run, observe.cause, observe.objects.len()), (None, Cause::Observe, 0));
}

#[test]
fn jobs_keep_their_golden_form() {
    for line in golden("jobs-v1.jsonl").lines() {
        let job = Job::decode(line.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(job.encode()).unwrap(), line);
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let cases: &[(&str, &str)] = &[
        ("", "malformed task: not JSON (EOF while parsing a value at line 1 column 0)"),
        ("{}", "malformed task: field `v` is missing"),
        (r#"{"v":2}"#, "unknown task version 2; this build reads version 1"),
        (r#"{"v":"1"}"#, "unknown task version \"1\"; this build reads version 1"),
        (r#"{"v":1}"#, "malformed task: missing field `task`"),
    ];
    for (body, reason) in cases {
        assert_eq!(Task::decode(body.as_bytes()).unwrap_err().to_string(), *reason);
    }
    let with_values =
        String::from_utf8(task(&["u-1"]).encode()).unwrap().replace("\"v\":1", "\"v\":1,\"userName\":\"x\"");
    assert!(Task::decode(with_values.as_bytes()).is_err());
}

#[test]
fn more_than_a_hundred_objects_are_refused() {
    let mut big = task(&[]);
    big.objects = (0..101).map(|n| ResourceId::parse(format!("u-{n}")).unwrap()).collect();
    assert!(Task::decode(&big.encode()).unwrap_err().to_string().contains("101 objects"));
}

#[test]
fn a_sync_job_names_one_provider_or_all() {
    for body in [
        r#"{"v":1,"job":"sync"}"#,
        r#"{"v":1,"job":"sync","provider":"a","all":true}"#,
        r#"{"v":1,"job":"sync_object","provider":"a","object":""}"#,
        r#"{"v":1,"job":"dance"}"#,
        r#"{"v":1,"job":"sync","provider":"No Such"}"#,
        "[1]",
    ] {
        assert!(Job::decode(body.as_bytes()).is_err(), "{body}");
    }
}
