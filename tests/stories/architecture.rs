//! The arrows between crates point one way, and a client library stays with its owner.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use scimfleet_tests::repository;
use serde_json::Value;

/// Who puts everything together may use all of it.
const EVERYTHING: &[&str] = &[
    "core",
    "runtime",
    "store",
    "expression",
    "scim-client",
    "queue",
    "coordination",
    "scheduler",
    "worker",
    "directory",
    "console",
    "testkit",
];

/// What a crate may depend upon, besides what is outside the workspace. A new arrow is a design change.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("expression", &["core"]),
    ("scim-client", &["core"]),
    ("queue", &["core"]),
    ("store", &["core"]),
    ("coordination", &["core"]),
    ("runtime", &["core"]),
    ("testkit", &["core"]),
    ("scheduler", &["core", "runtime", "store", "expression"]),
    ("worker", &["core", "runtime", "store", "expression", "scim-client"]),
    ("directory", &["core", "runtime", "store", "expression", "scim-client"]),
    ("console", &["core", "runtime", "store", "expression"]),
    ("cli", EVERYTHING),
    ("bench", EVERYTHING),
    ("tests", &["core", "testkit"]),
    ("faults", &["core", "queue", "store", "testkit"]),
    (
        "simulation",
        &[
            "core",
            "runtime",
            "store",
            "expression",
            "scim-client",
            "queue",
            "coordination",
            "scheduler",
            "worker",
            "testkit",
        ],
    ),
];

/// Client libraries, and whose they are.
const OWNERS: &[(&str, &[&str])] = &[
    ("reqwest", &["scim-client", "bench"]),
    ("lapin", &["queue"]),
    ("sqlx", &["store"]),
    ("deadpool-redis", &["coordination"]),
    ("opentelemetry-otlp", &["runtime"]),
    ("ldap3", &["directory"]),
    ("axum", &["runtime", "console", "directory", "testkit"]),
];

/// Each crate's dependencies by short name, those for tests only apart.
fn dependencies() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"])
        .current_dir(repository())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let short = |name: &Value| name.as_str().unwrap().trim_start_matches("scimfleet-").to_owned();
    let of = |package: &Value, for_tests: bool| -> BTreeSet<String> {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|one| (one["kind"] == "dev") == for_tests).map(|one| short(&one["name"])).collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (short(&package["name"]), (of(package, false), of(package, true)))).collect()
}

#[test]
fn arrows_point_one_way() {
    let all = dependencies();
    let names: BTreeSet<&str> = all.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, listed, "a crate came or went: say where it stands");
    let mut wrong = Vec::new();
    for (name, allowed) in ARROWS {
        let (normal, _) = &all[*name];
        let inner = normal.iter().filter(|one| names.contains(one.as_str()));
        wrong.extend(inner.filter(|one| !allowed.contains(&one.as_str())).map(|one| format!("{name} → {one}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_client_library_stays_with_its_owner() {
    let mut wrong = Vec::new();
    for (name, (normal, for_tests)) in dependencies() {
        for (library, owners) in OWNERS {
            // The scripted HTTP servers of the client's tests stand on axum.
            let in_tests = *library == "axum" && for_tests.contains(*library);
            if normal.contains(*library) && !owners.contains(&name.as_str())
                || for_tests.contains(*library) && !owners.contains(&name.as_str()) && !in_tests
            {
                wrong.push(format!("{name} uses {library}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_build_that_anybody_runs_holds_a_planted_defect() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"])
        .current_dir(repository())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |list: &Value, name: &str| list.as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let mut owners = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let features = package["features"].as_object().unwrap();
        assert!(!features.get("default").is_some_and(|default| names(default, "planted")), "{}", package["name"]);
        for dependency in package["dependencies"].as_array().unwrap() {
            assert!(!names(&dependency["features"], "planted"), "{} asks for planted defects", package["name"]);
        }
        owners.extend(features.contains_key("planted").then(|| package["name"].clone()));
    }
    owners.sort_by_key(Value::to_string);
    assert_eq!(owners, ["scimfleet-cli", "scimfleet-worker"]);
    // Not even on request: a build without debug assertions does not compile with it.
    let text = std::fs::read_to_string(repository().join("crates/worker/src/planted.rs")).unwrap();
    assert!(text.contains("#[cfg(all(feature = \"planted\", not(debug_assertions)))]\ncompile_error!"));
}

/// The variables in a text that begin with `SCIMFLEET_`, less those that only the scripts know.
fn variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|one: char| !(one.is_ascii_uppercase() || one.is_ascii_digit() || one == '_'));
    let ours = words.filter(|word| word.starts_with("SCIMFLEET_"));
    let scripts = ["SCIMFLEET_TEST", "SCIMFLEET_CLUSTER", "SCIMFLEET_BIN", "SCIMFLEET_IMAGE", "SCIMFLEET_LOG"];
    let names = ours.filter(|word| !scripts.iter().any(|prefix| word.starts_with(prefix)));
    names.map(str::to_owned).collect()
}

#[test]
fn compose_and_the_cluster_script_give_the_roles_the_same_environment() {
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    let compose = variables(&read("docker-compose.yml"));
    let mut script = variables(&read("tests/cluster.sh"));
    // Tests share one broker, so that each takes a prefix of its own.
    script.remove("SCIMFLEET_QUEUE_PREFIX");
    assert_eq!(compose, script);
}

#[test]
fn no_file_outgrows_its_room() {
    let mut long = Vec::new();
    walk(&repository().join("crates"), &mut |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let tests = path.components().any(|part| part.as_os_str() == "tests")
            || path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests.rs"));
        let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        if !tests && lines > 500 {
            long.push(format!("{} {lines}", path.display()));
        }
    });
    assert_eq!(long, Vec::<String>::new());
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path);
        }
    }
}
