//! From entries to resources, as pure functions.

use std::collections::{BTreeMap, HashMap};

use ldap3::SearchEntry;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::resource::{ENTERPRISE_URN, GROUP_URN, USER_URN};
use serde_json::{Value, json};

/// Core attributes of one text (RFC 7643 §4.1.1).
const PLAIN: [&str; 9] = [
    "userName",
    "displayName",
    "nickName",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "profileUrl",
];
/// Core attributes with several values.
const LISTS: [&str; 6] = ["emails", "phoneNumbers", "ims", "photos", "roles", "entitlements"];
/// RFC 7643 §4.1.1, `name`.
const NAMES: [&str; 6] = ["formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"];
/// RFC 7643 §4.3.
const ENTERPRISE: [&str; 6] = ["employeeNumber", "costCenter", "organization", "division", "department", "manager"];
/// Keys of bytes: read as text they would be one thing today and another tomorrow.
const BINARY: [&str; 2] = ["objectguid", "objectsid"];

/// One entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub(super) dn: String,
    /// By folded name; bytes that are no text as hexadecimal digits.
    attributes: HashMap<String, Vec<String>>,
}

impl Entry {
    pub(super) fn new(entry: SearchEntry) -> Self {
        let mut attributes: HashMap<String, Vec<String>> = HashMap::new();
        for (name, values) in entry.attrs {
            let folded = name.to_lowercase();
            let values = match BINARY.contains(&folded.as_str()) {
                true => values.iter().map(|value| hexadecimal(value.as_bytes())).collect(),
                false => values,
            };
            attributes.entry(folded).or_default().extend(values);
        }
        for (name, values) in entry.bin_attrs {
            let values = values.iter().map(|value| hexadecimal(value));
            attributes.entry(name.to_lowercase()).or_default().extend(values);
        }
        Self { dn: entry.dn, attributes }
    }

    pub(super) fn all(&self, name: &str) -> &[String] {
        self.attributes.get(&name.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).iter().map(String::as_str).find(|value| !value.trim().is_empty())
    }

    /// Active Directory cuts long lists off and says so in the attribute's name (`member;range=0-1499`).
    pub(super) fn is_cut_off(&self, name: &str) -> bool {
        let prefix = format!("{};range=", name.to_lowercase());
        self.attributes.keys().any(|key| key.starts_with(&prefix) && !key.ends_with("-*"))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A distinguished name for comparison: names know no case, and blanks round separators do not count (RFC 4514).
pub(super) fn fold_dn(dn: &str) -> String {
    let mut out = String::with_capacity(dn.len());
    let mut escaped = false;
    for letter in dn.chars() {
        let separates = !escaped && matches!(letter, ',' | '=' | '+');
        if separates {
            out.truncate(out.trim_end().len());
        }
        let leads = out.is_empty() || out.ends_with([',', '=', '+']) && !out.ends_with("\\,");
        if letter != ' ' || !leads {
            out.extend(letter.to_lowercase());
        }
        escaped = letter == '\\' && !escaped;
    }
    out.trim_end().to_owned()
}

/// Refuses paths that there are not.
pub(super) fn check_paths(attributes: &BTreeMap<String, String>) -> Result<(), String> {
    let known = |path: &str| {
        PLAIN.contains(&path)
            || LISTS.contains(&path)
            || ENTERPRISE.contains(&path)
            || path == "active"
            || path.strip_prefix("name.").is_some_and(|name| NAMES.contains(&name))
            || path.strip_prefix("attributes.").is_some_and(|name| !name.is_empty())
    };
    match attributes.keys().find(|path| !known(path)) {
        None => Ok(()),
        Some(path) => Err(format!(
            "users.attributes: `{path}` is no path; write one of {}, {}, {}, name.{}, active, or `attributes.NAME` for anything else",
            PLAIN.join(", "),
            LISTS.join(", "),
            ENTERPRISE.join(", "),
            NAMES.join(", name.")
        )),
    }
}

/// A person. `keys`: externalIds by folded distinguished name, for the manager.
pub(super) fn user(
    entry: &Entry,
    key: &str,
    attributes: &BTreeMap<String, String>,
    disabled: bool,
    keys: &HashMap<String, String>,
) -> Document {
    let mut document = Document::new();
    document.insert("schemas".to_owned(), json!([USER_URN]));
    document.insert("externalId".to_owned(), json!(key));
    let (mut name, mut enterprise, mut free) = (Document::new(), Document::new(), Document::new());
    let mut active = true;
    for (path, attribute) in attributes {
        let Some(first) = entry.first(attribute) else { continue };
        let path = path.as_str();
        if let Some(part) = path.strip_prefix("name.") {
            name.insert(part.to_owned(), json!(first));
        } else if let Some(part) = path.strip_prefix("attributes.") {
            let all = entry.all(attribute);
            free.insert(part.to_owned(), if all.len() == 1 { json!(first) } else { json!(all) });
        } else if path == "manager" {
            if let Some(manager) = keys.get(&fold_dn(first)) {
                enterprise.insert(path.to_owned(), json!({ "value": manager }));
            }
        } else if ENTERPRISE.contains(&path) {
            enterprise.insert(path.to_owned(), json!(first));
        } else if LISTS.contains(&path) {
            document.insert(path.to_owned(), list(path, entry.all(attribute)));
        } else if path == "active" {
            active = !matches!(first.to_lowercase().as_str(), "false" | "0" | "no");
        } else {
            document.insert(path.to_owned(), json!(first));
        }
    }
    document.insert("active".to_owned(), json!(active && !disabled));
    for (name, object) in [("name", name), (ENTERPRISE_URN, enterprise), ("attributes", free)] {
        if !object.is_empty() {
            document.insert(name.to_owned(), Value::Object(object));
        }
    }
    document
}

/// Values in an order of their own: a server's order means nothing, and may change from read to read.
fn list(path: &str, values: &[String]) -> Value {
    let typed = matches!(path, "emails" | "phoneNumbers");
    let items = values.iter().enumerate().map(|(index, value)| match (typed, index) {
        (true, 0) => json!({ "value": value, "type": "work", "primary": true }),
        (true, _) => json!({ "value": value, "type": "work" }),
        (false, _) => json!({ "value": value }),
    });
    items.collect()
}

/// A group with the externalIds of its members.
pub(super) fn group(key: &str, name: &str, members: &[String]) -> Document {
    let mut document = Document::new();
    document.insert("schemas".to_owned(), json!([GROUP_URN]));
    document.insert("externalId".to_owned(), json!(key));
    document.insert("displayName".to_owned(), json!(name));
    document.insert("members".to_owned(), json!(members));
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attributes: &[(&str, &[&str])]) -> Entry {
        let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let attrs = attributes.iter().map(|(name, values)| ((*name).to_owned(), texts(values))).collect();
        Entry::new(SearchEntry { dn: "uid=anna,dc=x".to_owned(), attrs, bin_attrs: HashMap::new() })
    }

    #[test]
    fn distinguished_names_are_compared_as_the_rfc_has_it() {
        for (one, other) in [
            ("uid=Anna, OU=People,dc=example", "UID=anna,ou=people , DC=Example"),
            ("cn=Berg\\, Anna,dc=x", "CN=berg\\, anna, dc=x"),
        ] {
            assert_eq!(fold_dn(one), fold_dn(other));
        }
        assert_ne!(fold_dn("cn=a b,dc=x"), fold_dn("cn=ab,dc=x"));
    }

    #[test]
    fn an_entry_becomes_a_user() {
        let given: BTreeMap<String, String> = [
            ("userName", "uid"),
            ("name.familyName", "sn"),
            ("emails", "mail"),
            ("department", "ou"),
            ("manager", "manager"),
            ("attributes.shells", "loginShell"),
            ("active", "enabled"),
        ]
        .map(|(path, attribute)| (path.to_owned(), attribute.to_owned()))
        .into();
        let keys = HashMap::from([("uid=boss,dc=x".to_owned(), "k-boss".to_owned())]);
        let anna = entry(&[
            ("UID", &["anna"]),
            ("sn", &["Berg"]),
            ("mail", &["a@x", "b@x"]),
            ("ou", &["Sales"]),
            ("manager", &["UID=Boss, DC=x"]),
            ("loginShell", &["zsh"]),
            ("enabled", &["FALSE"]),
        ]);
        let expected = json!({
            "schemas": [USER_URN], "externalId": "k1", "userName": "anna", "active": false,
            "emails": [{ "value": "a@x", "type": "work", "primary": true }, { "value": "b@x", "type": "work" }],
            "name": { "familyName": "Berg" }, "attributes": { "shells": "zsh" },
            ENTERPRISE_URN: { "department": "Sales", "manager": { "value": "k-boss" } }
        });
        assert_eq!(Value::Object(user(&anna, "k1", &given, false, &keys)), expected);
        check_paths(&given).unwrap();
        let wrong = [("usrName".to_owned(), "uid".to_owned())].into();
        assert!(check_paths(&wrong).unwrap_err().contains("`usrName`"));
    }

    #[test]
    fn bytes_are_keys_too_and_a_cut_off_list_shows() {
        let ad = entry(&[("objectGUID", &["abcd"]), ("member;range=0-1499", &["x"])]);
        assert_eq!(ad.first("objectguid"), Some("61626364"));
        assert!(ad.is_cut_off("member"));
        assert!(!entry(&[("member;range=1500-*", &["x"])]).is_cut_off("member"));
    }
}
