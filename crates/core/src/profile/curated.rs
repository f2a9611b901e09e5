//! Profiles of ours for known applications and dialects: `profiles/*.json`, one a file, built in.
//!
//! A profile says only what a provider gets wrong or does not announce; everything else comes from the
//! other layers.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The name that stands for recognising the profile.
pub const AUTO: &str = "auto";

/// A curated profile.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curated {
    /// Its name in a fleet file.
    #[serde(skip)]
    pub name: &'static str,
    /// What it is for, for people.
    pub about: String,
    /// Host names of base URLs by which it is recognised; `*` stands for anything.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Host names of `documentationUri` in the announced configuration by which it is recognised.
    #[serde(default)]
    pub documentation_hosts: Vec<String>,
    /// The layer.
    pub switches: Map<String, Value>,
}

macro_rules! profiles {
    ($($name:literal),+ $(,)?) => {
        const TEXTS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../profiles/", $name, ".json")))),+];
    };
}

profiles!(
    "atlassian",
    "aws",
    "bitwarden",
    "databricks",
    "deel",
    "django-scim2",
    "dropbox",
    "entra",
    "entra-legacy",
    "github",
    "gitlab",
    "google",
    "hashicorp",
    "interop",
    "jfrog",
    "miro",
    "okta",
    "passbolt",
    "peakon",
    "rfc-strict",
    "salesforce",
    "slack",
    "snowflake",
    "vcenter",
    "webex",
    "zoom",
    "zscaler",
);

static ALL: LazyLock<Vec<Curated>> = LazyLock::new(|| {
    let read = |(name, text): &(&'static str, &str)| {
        let profile: Curated = serde_json::from_str(text).ok()?;
        Some(Curated { name, ..profile })
    };
    TEXTS.iter().filter_map(read).collect()
});

/// Every curated profile, in the order of the names.
pub fn all() -> &'static [Curated] {
    &ALL
}

/// The profile of this name.
pub fn named(name: &str) -> Option<&'static Curated> {
    all().iter().find(|profile| profile.name == name)
}

/// The profile that a base URL, or the `documentationUri` of an announced configuration, speaks for.
pub fn recognise(base_url: &str, documentation_uri: Option<&str>) -> Option<&'static Curated> {
    let by = |url: &str, hosts: fn(&Curated) -> &[String]| {
        let host = host_of(url)?;
        all().iter().find(|profile| hosts(profile).iter().any(|pattern| fits(pattern, &host)))
    };
    by(base_url, |profile| &profile.hosts)
        .or_else(|| documentation_uri.and_then(|uri| by(uri, |profile| &profile.documentation_hosts)))
}

/// The host of an http or https URL in lower case.
fn host_of(url: &str) -> Option<String> {
    let lower = url.trim().to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

/// Whether `host` is what `pattern` means; its parts between the stars must come in their order.
fn fits(pattern: &str, host: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == host };
    let Some(mut left) = host.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let Some(last) = parts.pop() else { return true };
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.len() > last.len() && left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Origin, Profile};

    #[test]
    fn every_file_is_read_and_holds_known_switches_only() {
        let names: Vec<&str> = all().iter().map(|profile| profile.name).collect();
        let written: Vec<&str> = TEXTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, written, "a file could not be read");
        for profile in all() {
            let resolved = Profile::resolve(&[(Origin::Curated, &profile.switches)]);
            assert!(resolved.is_ok(), "{}: {}", profile.name, resolved.unwrap_err());
            assert!(!profile.about.is_empty() && !profile.switches.is_empty() || profile.name == "rfc-strict");
        }
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles")).unwrap();
        assert_eq!(folder.count(), TEXTS.len(), "a file in profiles/ is not built in");
    }

    #[test]
    fn hosts_are_recognised_and_others_are_not() {
        let cases = [
            ("https://scim.us-east-1.amazonaws.com/abc/scim/v2", None, Some("aws")),
            ("https://SCIM.eu-west-1.amazonaws.com:443/x", None, Some("aws")),
            ("https://scim.amazonaws.com.evil.example/v2", None, None),
            ("https://evil.example/scim.us.amazonaws.com", None, None),
            ("https://api.slack.com/scim/v2", None, Some("slack")),
            ("https://api.github.com/scim/v2/enterprises/acme", None, Some("github")),
            ("https://acme.my.salesforce.com/services/scim/v2", None, Some("salesforce")),
            ("https://user@acme.jfrog.io/access/api/v1/scim/v2", None, Some("jfrog")),
            ("https://scim.internal.example/v2", Some("https://docs.databricks.com/admin/scim"), Some("databricks")),
            ("https://scim.internal.example/v2", Some("https://docs.example.com"), None),
            ("ftp://api.slack.com", None, None),
        ];
        for (base_url, documentation, expected) in cases {
            let found = recognise(base_url, documentation).map(|profile| profile.name);
            assert_eq!(found, expected, "{base_url} {documentation:?}");
        }
    }

    #[test]
    fn no_host_speaks_for_two_profiles() {
        for profile in all() {
            for pattern in &profile.hosts {
                let host = pattern.replace('*', "x");
                let fitting = all().iter().filter(|other| other.hosts.iter().any(|known| fits(known, &host)));
                assert_eq!(fitting.count(), 1, "{pattern}");
            }
        }
    }
}
