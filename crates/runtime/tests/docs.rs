//! The reference pages say what the code says: every metric, every setting, every snippet of TOML.

#![expect(clippy::unwrap_used, reason = "a page that cannot be read fails, and the place says why")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use scimfleet_core::ProviderName;
use scimfleet_core::provider::ProviderSettings;
use scimfleet_runtime::config::{Config, KEYS};
use scimfleet_runtime::fleet::{BUILT_IN_MAPPINGS, Fleet, FleetContext};
use scimfleet_runtime::metrics::{METRICS, MetricKind};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The cells of the table rows that begin with a word in backticks.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_table_of_metrics_is_the_code_s() {
    let text = page("docs/metrics.md");
    let found: Vec<String> = text.lines().filter(|line| line.starts_with("| `scimfleet_")).map(str::to_owned).collect();
    let expected: Vec<String> = METRICS
        .iter()
        .map(|metric| {
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_table_of_settings_is_the_code_s_and_its_defaults_are_true() {
    let text = page("docs/configuration.md");
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut listed = BTreeSet::new();
    for row in rows(&text).iter().filter(|row| row.len() == 4 && row[1].starts_with("`SCIMFLEET_")) {
        let key = row[0].trim_matches('`');
        let (section, name) = key.split_once('.').unwrap();
        let variable = format!("`SCIMFLEET_{}_{}`", section.to_uppercase(), name.to_uppercase());
        assert_eq!(row[1], variable, "{key}");
        if row[2] != "none" {
            sections
                .entry(section.to_owned())
                .or_default()
                .push_str(&format!("{name} = {}\n", row[2].trim_matches('`')));
        }
        listed.insert(key.to_owned());
    }
    let known: BTreeSet<String> =
        KEYS.iter().flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}"))).collect();
    assert_eq!(listed, known);
    let written: String = sections.iter().map(|(section, keys)| format!("[{section}]\n{keys}")).collect();
    let as_documented = Config::parse("docs", &written, []).unwrap();
    assert_eq!(format!("{as_documented:?}"), format!("{:?}", Config::default()));
}

#[test]
fn the_table_of_a_provider_names_every_key() {
    let text = page("docs/configuration.md");
    let table = text.split("| Key of `[[provider]]`").nth(1).unwrap().split("\n\n").next().unwrap();
    let listed: BTreeSet<String> = rows(table).iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    let name = ProviderName::parse("acme").unwrap();
    let mut settings = ProviderSettings::new(name, "https://acme.example");
    // What is left out while it is empty.
    settings.schedule = Some("1h".to_owned());
    settings.rate = Some("1/s".to_owned());
    settings.profile_override.insert("page_size".to_owned(), 10.into());
    let known = serde_json::to_value(settings).unwrap();
    assert_eq!(listed, known.as_object().unwrap().keys().cloned().collect());
}

/// The fenced blocks of a page: what stands behind the fence, and the text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn every_snippet_of_toml_is_understood() {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(root().join("README.md"));
    let mut snippets = 0;
    for path in pages {
        let text = std::fs::read_to_string(&path).unwrap();
        for (info, body) in blocks(&text).into_iter().filter(|(info, _)| info.starts_with("toml")) {
            snippets += 1;
            let name = format!("{} ({info})", path.display());
            let read = if body.contains("[[provider]]") || body.contains("[[mapping]]") {
                Fleet::parse(&name, &body, &context(&body)).map(|_| ())
            } else {
                Config::parse(&name, &body, []).map(|_| ())
            };
            assert!(read.is_ok(), "{}", read.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }
    assert!(snippets > 5, "the snippets are not found any more");
}

/// Every variable that a snippet names is set, and the mappings that it does not declare are stored.
fn context(body: &str) -> FleetContext {
    let quoted = |key: &str| -> Vec<String> {
        let parts = body.split(key).skip(1);
        parts.filter_map(|part| part.split('"').nth(1)).map(str::to_owned).collect()
    };
    FleetContext {
        environment: quoted("env = ").into_iter().map(|name| (name, "secret".to_owned())).collect(),
        stored_mappings: BUILT_IN_MAPPINGS.iter().map(|name| (*name).to_owned()).collect(),
        ..FleetContext::default()
    }
}
