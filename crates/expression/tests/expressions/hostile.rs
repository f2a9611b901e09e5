//! Expressions that loop, allocate, nest and crash: the evaluator survives, the next object is fine.

use std::time::Duration;

use scimfleet_core::ResourceKind;
use scimfleet_expression::{ErrorKind, Evaluator, Limits, MappingResult, ObjectView, ProviderView};
use serde_json::json;

use crate::support::{document, error, evaluate, evaluator, object, one, user};

fn limits() -> Limits {
    Limits { evaluation_time: Duration::from_millis(100), silence: Duration::from_secs(1), ..Limits::default() }
}

/// Three users; texts below are hostile to the one in the middle.
fn three() -> Vec<ObjectView<'static>> {
    let one = |name: &str| object(ResourceKind::User, name, json!({"userName": name}));
    vec![one("first"), one("victim"), one("last")]
}

/// Runs `hostile` for the object in the middle only, and expects `kind` for it and results for the others.
async fn check(hostile: &str, kinds: &[ErrorKind]) {
    let indented: String = hostile.lines().map(|line| format!("    {line}\n")).collect();
    let source = format!("if user.username == \"victim\":\n{indented}return {{\"n\": user.username}}\n");
    let results = evaluate(&evaluator(limits()), vec![user(&source), user("return {\"after\": 1}")], three()).await;
    for (result, name) in results.iter().zip(["first", "victim", "last"]) {
        match name {
            "victim" => {
                let error = error(&result.results[0]);
                assert!(kinds.contains(&error.kind), "{hostile}: {error:?}");
            }
            _ => assert_eq!(result.results[0], MappingResult::Payload(document(json!({"n": name}))), "{hostile}"),
        }
        assert_eq!(result.results[1], MappingResult::Payload(document(json!({"after": 1}))), "{hostile}");
    }
}

#[tokio::test]
async fn endless_loops_are_ended_by_the_interpreters_clock() {
    check("while True:\n    pass", &[ErrorKind::Timeout]).await;
    check(
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        &[ErrorKind::Timeout],
    )
    .await;
    check("x = sum(range(10**15))", &[ErrorKind::Timeout]).await;
    check("[x for x in range(10**15) if x < 0]", &[ErrorKind::Timeout]).await;
}

#[tokio::test]
async fn native_loops_are_ended_by_the_watchdog() {
    check("x = 10**10**8", &[ErrorKind::Timeout, ErrorKind::Memory]).await;
}

#[tokio::test]
async fn huge_allocations_cost_one_object() {
    let memory = [ErrorKind::Memory, ErrorKind::Timeout];
    check("x = 'a' * 10**10", &memory).await;
    check("x = [0] * 10**9", &memory).await;
    check("x = []\nwhile True:\n    x.append('a' * 100000 + str(len(x)))", &memory).await;
    check("x = 'ab'\nwhile True:\n    x = x + x", &memory).await;
    check("x = []\nfor i in range(60):\n    x = [x, x]\nreturn {'x': x}", &[ErrorKind::Memory, ErrorKind::Timeout])
        .await;
}

#[tokio::test]
async fn deep_recursion_and_nesting_cost_one_object() {
    check("def f(n):\n    return f(n + 1)\nf(0)", &[ErrorKind::Depth]).await;
    check("x = {}\nfor i in range(17):\n    x = {'a': x}\nreturn x", &[ErrorKind::Depth]).await;
    let deep = [ErrorKind::Depth, ErrorKind::Memory, ErrorKind::Timeout, ErrorKind::ChildDied, ErrorKind::Unsendable];
    check("x = {}\nfor i in range(100000):\n    x = {'a': x}\nreturn x", &deep).await;
    check("x = []\nfor i in range(100000):\n    x = [x]\nx == [x]\nreturn {'x': str(x)}", &deep).await;
    check("x = {}\nx['x'] = x\nreturn x", &[ErrorKind::Unsendable, ErrorKind::Depth]).await;
}

#[tokio::test]
async fn results_that_are_too_large_or_not_json_are_refused() {
    check("return {'x': 'a' * 2000000}", &[ErrorKind::OutputTooLarge]).await;
    // Which limit it meets first depends on how much the child held before.
    let large = [ErrorKind::OutputTooLarge, ErrorKind::Timeout, ErrorKind::Memory];
    check("return {str(i): i for i in range(200000)}", &large).await;
    check("return {'x': {1, 2}}", &[ErrorKind::Unsendable]).await;
    check("return {'x': [1e999]}", &[ErrorKind::Unsendable]).await;
    check("return {'x': {1: 2}}", &[ErrorKind::Unsendable]).await;
    check("return {'x': user}", &[ErrorKind::Unsendable]).await;
    check("return {'x': user.locale}", &[ErrorKind::Unsendable]).await;
    check("return {'x': 2**70}", &[ErrorKind::Unsendable]).await;
    check("return 'text'", &[ErrorKind::NotADict]).await;
    check("return [1]", &[ErrorKind::NotADict]).await;
}

#[tokio::test]
async fn catastrophic_regular_expressions_are_ended() {
    check("import re\nre.match(r'(a+)+(?=b)\\1$', 'a' * 40)", &[ErrorKind::Raised, ErrorKind::Timeout]).await;
    check("import re\nre.match(r'(?:a|a|aa)+(?<!x)$', 'a' * 60 + 'b')", &[ErrorKind::Raised, ErrorKind::Timeout]).await;
    check(
        "import re\nre.compile('(' * 5000 + ')' * 5000)",
        &[ErrorKind::Raised, ErrorKind::Depth, ErrorKind::ChildDied, ErrorKind::Memory],
    )
    .await;
}

#[tokio::test]
async fn nothing_outside_is_in_reach() {
    for text in [
        "open('/etc/passwd').read()",
        "import os\nos.environ['HOME']",
        "import os\nos.listdir('/')",
        "__import__('os')",
    ] {
        check(text, &[ErrorKind::Raised]).await;
    }
}

#[tokio::test]
async fn a_child_is_in_jail() {
    let limits = Limits { child_memory_bytes: 32 << 20, ..limits() };
    let evaluator = evaluator(limits);
    one(&evaluator, user("return {}"), three().remove(0)).await;
    let [id] = evaluator.idle_children()[..] else { panic!("one idle child") };
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).expect("own child");
    let limit = |name: &str| {
        let limits = read("limits");
        let line = limits.lines().find(|line| line.starts_with(name)).expect("a limit");
        line[name.len()..].split_whitespace().next().expect("a value").to_owned()
    };
    assert_eq!([limit("Max open files"), limit("Max core file size"), limit("Max file size")], ["3", "0", "0"]);
    let taken: u64 = read("statm").split(' ').next().and_then(|pages| pages.parse().ok()).expect("a size");
    let most: u64 = limit("Max address space").parse().expect("not unlimited");
    assert!(most <= taken * 4096 + (32 << 20), "{most} bytes, of which {taken} pages are taken");
    assert_eq!(read("environ").trim_end_matches('\0'), "MALLOC_ARENA_MAX=1");
}

#[tokio::test]
async fn no_object_sees_what_another_left() {
    let source = "try:\n    seen = leftover\nexcept NameError:\n    seen = None\nleftover = user.username\n\
                  user.attributes['x'] = 1\nprovider.name = 'changed'\nreturn {'seen': seen, 'provider': provider.name}";
    let first = "return {'provider': provider.name, 'x': user.attributes.get('x')}";
    for result in evaluate(&evaluator(limits()), vec![user(source), user(first)], three()).await {
        let expected = json!({"seen": null, "provider": "changed"});
        assert_eq!(result.results[0], MappingResult::Payload(document(expected)));
        assert_eq!(result.results[1], MappingResult::Payload(document(json!({"provider": "acme", "x": null}))));
    }
}

#[tokio::test]
async fn a_mapping_that_always_loops_is_refused_after_three_objects() {
    let objects = (0..20).map(|index| object(ResourceKind::User, &format!("u-{index}"), json!({}))).collect();
    let expressions = vec![user("while True: pass"), user("return {}")];
    let results = evaluate(&evaluator(limits()), expressions, objects).await;
    let kinds: Vec<_> = results.iter().map(|result| error(&result.results[0]).kind).collect();
    assert_eq!(kinds[..4], [ErrorKind::Timeout, ErrorKind::Timeout, ErrorKind::Timeout, ErrorKind::Refused]);
    assert!(kinds[4..].iter().all(|kind| *kind == ErrorKind::Refused));
    assert!(results.iter().all(|result| matches!(result.results[1], MappingResult::Payload(_))));
}

#[tokio::test]
async fn a_mapping_that_always_kills_its_child_is_refused_after_three_objects() {
    let objects = (0..20).map(|index| object(ResourceKind::User, &format!("u-{index}"), json!({}))).collect();
    let results =
        evaluate(&evaluator(limits()), vec![user("x = []\nwhile True: x.append('a' * 1000000)")], objects).await;
    let refused = results.iter().filter(|result| error(&result.results[0]).kind == ErrorKind::Refused).count();
    assert_eq!(refused, 17, "{results:?}");
}

fn kill(id: u32) {
    let id = rustix::process::Pid::from_raw(i32::try_from(id).expect("a pid")).expect("a pid");
    rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("own child");
}

#[tokio::test]
async fn an_idle_child_killed_from_outside_costs_nothing() {
    let evaluator = evaluator(limits());
    one(&evaluator, user("return {}"), three().remove(0)).await;
    let [id] = evaluator.idle_children()[..] else { panic!("one idle child") };
    kill(id);
    for result in evaluate(&evaluator, vec![user("return {}")], three()).await {
        assert_eq!(result.results, [MappingResult::Payload(document(json!({})))]);
    }
    assert_ne!(evaluator.idle_children(), [id]);
}

#[tokio::test]
async fn a_child_killed_from_outside_while_it_evaluates_costs_at_most_one_object() {
    let limits = Limits { evaluation_time: Duration::from_secs(20), silence: Duration::from_secs(30), ..limits() };
    let evaluator = evaluator(limits);
    one(&evaluator, user("return {}"), three().remove(0)).await;
    let [id] = evaluator.idle_children()[..] else { panic!("one idle child") };
    let working = evaluator.clone();
    // The loop outlasts the kill below by far in a debug build, and ends by itself in the second child.
    let source = "n = 0\nfor i in range(300000): n += i\nreturn {'n': n}";
    let job = tokio::spawn(async move { evaluate(&working, vec![user(source)], three()).await });
    while !evaluator.idle_children().is_empty() {
        tokio::task::yield_now().await;
    }
    kill(id);
    let expected = document(json!({"n": 44_999_850_000_i64}));
    for result in job.await.expect("no panic") {
        assert_eq!(result.results, [MappingResult::Payload(expected.clone())]);
    }
}

#[tokio::test]
async fn an_evaluation_that_is_given_up_frees_its_child() {
    let evaluator =
        evaluator(Limits { evaluation_time: Duration::from_secs(60), silence: Duration::from_secs(60), ..limits() });
    let endless = evaluate(&evaluator, vec![user("while True: pass")], three());
    assert!(tokio::time::timeout(Duration::from_millis(200), endless).await.is_err());
    let result = one(&evaluator, user("return {}"), three().remove(0)).await;
    assert_eq!(result, MappingResult::Payload(document(json!({}))));
}

#[tokio::test]
async fn resources_that_are_too_large_or_too_deep_fail_alone() {
    let mut deep = json!({});
    for _ in 0..200 {
        deep = json!({ "a": deep });
    }
    let objects = vec![
        object(ResourceKind::User, "u-1", json!({"userName": "a".repeat(3_000_000)})),
        object(ResourceKind::User, "u-2", json!({"attributes": deep})),
        object(ResourceKind::User, "u-3", json!({"userName": "anna"})),
    ];
    let results = evaluate(&evaluator(limits()), vec![user("return {'n': user.name}")], objects).await;
    assert_eq!(error(&results[0].results[0]).kind, ErrorKind::ResourceTooLarge);
    assert_eq!(error(&results[1].results[0]).kind, ErrorKind::ResourceTooLarge);
    assert_eq!(results[2].results, [MappingResult::Payload(document(json!({"n": "anna"})))]);
}

#[tokio::test]
async fn a_program_that_is_no_child_is_named() {
    let config = scimfleet_expression::EvaluatorConfig {
        program: "/nonexistent/scimfleet".into(),
        children: 1,
        limits: limits(),
    };
    let provider = ProviderView::default();
    let error = Evaluator::new(config).evaluate_scope(&"True".into(), &provider, three()).await.expect_err("no child");
    assert!(error.to_string().contains("/nonexistent/scimfleet"), "{error}");
}
