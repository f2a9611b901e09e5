//! What is refused when a mapping is applied, and how it is told; and scope expressions.

use scimfleet_core::ResourceKind;
use scimfleet_expression::{ErrorKind, Limits, default_mappings};
use serde_json::json;

use crate::support::{barbara, error, evaluator, mapping, object, one, provider, staff, user};

/// A text, the place of its mistake, and a part of what is said about it.
const REFUSED: &[(&str, (u32, u32), &str)] = &[
    ("return {\n    \"a\": 1,\n    \"b\": (2,\n}", (4, 1), "expected"),
    ("x = 1\n  y = 2", (2, 1), "indentation"),
    (
        "return {\"x\": requests.get(\"https://a.example\")}",
        (1, 14),
        "`requests` cannot be had: expressions have no network",
    ),
    ("if True:\n\treturn {\"x\": resolve_dns(user.title)}", (2, 15), "`resolve_dns`"),
    ("é = \"ü\"; x = ak_user_by(username=\"a\")", (1, 14), "`ak_user_by`"),
    ("a = 1\nimport os\nreturn {}", (2, 8), "module `os` cannot be had"),
    ("from authentik.core.models import User", (1, 6), "module `authentik.core.models`"),
    ("return {\"x\": user.ak_groups.filter(name=\"a\").exists()}", (1, 29), "`.filter`"),
    ("return {\"x\": [g.name for g in Group.objects.all()]}", (1, 31), "`Group`"),
    ("return {\"x\": user.objects}", (1, 19), "`.objects`"),
    ("return {\"x\": usr.name}", (1, 14), "name `usr` is not defined"),
    ("return {\"x\": group.name}", (1, 14), "this is a mapping for users"),
    ("return {\"x\": callable(1)}", (1, 14), "`callable` is not among the builtins"),
    ("return {\"x\": open(\"/etc/passwd\")}", (1, 14), "`open` cannot be had"),
    ("return {\"x\": \"%s\" % user.name}", (1, 14), "f-string"),
    ("def f():\n    yield 1\nreturn {}", (2, 5), "expressions cannot have yield expressions"),
    ("x = {\"a\": 1}\ndel x[\"a\"]\nreturn x", (2, 1), "'del' statement"),
    ("# a comment\n{\"userName\": user.username}", (2, 1), "write `return` before it"),
];

#[tokio::test]
async fn what_cannot_run_is_refused_with_its_place() {
    let evaluator = evaluator(Limits::default());
    for (source, (line, column), message) in REFUSED {
        let error = evaluator.check(&user(source)).await.expect_err(source);
        assert_eq!((error.line, error.column), (*line, *column), "{source}\n{error}");
        assert!(error.message.contains(message), "{source}\n{error}");
    }
}

#[tokio::test]
async fn a_refusal_shows_the_line_and_a_caret() {
    let source = "given = user.name\nreturn {\"department\": usr.attributes}";
    let expression = mapping("50-department", ResourceKind::User, source);
    let error = evaluator(Limits::default()).check(&expression).await.expect_err("a mistake");
    let shown = "mapping `50-department`, line 2, column 23: name `usr` is not defined; an expression sees `user`, `request`, \
                 `provider` and the helpers\nreturn {\"department\": usr.attributes}\n                      ^";
    assert_eq!(error.to_string(), shown);
}

#[tokio::test]
async fn a_caret_stands_right_below_tabs() {
    let error = evaluator(Limits::default()).check(&user("if True:\n\treturn usr")).await.expect_err("a mistake");
    assert_eq!(error.snippet, "\treturn usr\n\t       ^");
}

#[tokio::test]
async fn the_built_in_mappings_pass_their_own_check() {
    for expression in default_mappings() {
        assert_eq!(evaluator(Limits::default()).check(&expression).await, Ok(()));
    }
}

#[tokio::test]
async fn texts_are_limited() {
    let limits = Limits::default();
    let long = format!("return {{}}\n{}", "#".repeat(limits.source_bytes));
    let evaluator = evaluator(limits);
    assert!(evaluator.check(&user(&long)).await.is_err());
    assert_eq!(error(&one(&evaluator, user(&long), barbara()).await).kind, ErrorKind::NotCompiled);
    let deep = format!("return {}{}", "(".repeat(30_000), ")".repeat(30_000));
    assert!(evaluator.check(&user(&deep)).await.is_err());
    assert_eq!(evaluator.check(&user("return {}")).await, Ok(()));
}

#[tokio::test]
async fn an_error_tells_where_it_was_raised() {
    let source = "x = 1\nif x:\n    raise ValueError(f\"no {user.title}\")";
    let result = one(&evaluator(Limits::default()), user(source), barbara()).await;
    assert_eq!(error(&result).to_string(), "mapping `50-test`, line 3, column 11: ValueError: no Tour Guide");
}

#[tokio::test]
async fn a_text_that_does_not_compile_fails_its_objects_with_the_place() {
    let result = one(&evaluator(Limits::default()), user("a = 1\nreturn {"), barbara()).await;
    let error = error(&result);
    assert_eq!((error.kind, error.line), (ErrorKind::NotCompiled, Some(2)), "{error}");
}

#[tokio::test]
async fn scopes_are_expressions_whose_truth_counts() {
    let evaluator = evaluator(Limits::default());
    let contractor = object(ResourceKind::User, "u-2", json!({"attributes": {"kind": "contractor"}}));
    let cases: &[(&str, [Option<bool>; 2])] = &[
        ("user.attributes.get(\"kind\") != \"contractor\"", [Some(true), Some(false)]),
        ("\n  user.title\n  and ak_is_group_member(user, name=\"Employees\")  # both\n", [Some(true), Some(false)]),
        ("[group for group in user.groups if group.name == \"Employees\"]", [Some(true), Some(false)]),
        ("user.attributes[\"department\"] == \"Guides\"", [Some(true), None]),
        ("provider.name == \"acme\"", [Some(true), Some(true)]),
    ];
    for (source, expected) in cases {
        assert_eq!(evaluator.check_scope(source).await, Ok(()), "{source}");
        let objects = vec![barbara(), contractor.clone()];
        let verdicts = evaluator.evaluate_scope(&(*source).into(), &provider(), objects).await.expect("a child");
        assert_eq!(verdicts.iter().map(|verdict| verdict.clone().ok()).collect::<Vec<_>>(), expected, "{source}");
    }
    let verdicts =
        evaluator.evaluate_scope(&"group.attributes[\"team\"] == \"blue\"".into(), &provider(), vec![staff()]).await;
    assert_eq!(verdicts.expect("a child"), [Ok(true)]);
}

#[tokio::test]
async fn scopes_that_are_no_expression_are_refused() {
    let evaluator = evaluator(Limits::default());
    for (source, place) in [
        ("return True", (1, 1)),
        ("user.active)\nimport os\n(1", (1, 12)),
        ("user.active =\n", (1, 13)),
        ("", (1, 1)),
        ("usr", (1, 1)),
    ] {
        let error = evaluator.check_scope(source).await.expect_err(source);
        assert_eq!(
            (error.line, error.column, error.mapping.as_str()),
            (place.0, place.1, "scope"),
            "{source:?}: {error}"
        );
    }
}
