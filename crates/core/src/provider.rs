//! What an operator decides about one provider: the `[[provider]]` table of a fleet file, without its
//! secrets. Reading the file, with every mistake listed, is the runtime's; secrets are sealed by the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::ProviderName;

/// One provider's settings. Every field but `name` and `base_url` has a default that is safe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// The operator's name for it.
    pub name: ProviderName,
    /// The SCIM base URL; it usually ends in `/v2`.
    pub base_url: String,
    /// How requests are authorised; secrets stand elsewhere.
    #[serde(default)]
    pub auth: AuthMethod,
    /// `auto` or the name of a curated profile.
    #[serde(default = "auto")]
    pub profile: String,
    /// Patches the profile, key by key.
    #[serde(default, rename = "override", skip_serializing_if = "serde_json::Map::is_empty")]
    pub profile_override: serde_json::Map<String, serde_json::Value>,
    /// Names of mappings; they run in the order of their names, whatever the order here.
    #[serde(default = "default_mappings")]
    pub mappings: Vec<String>,
    /// `1h`, a cron expression (UTC), or `off`; absent: the scheduler's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Who and what is sent.
    #[serde(default)]
    pub scope: Scope,
    /// Attributes by which an existing account is recognised, in this order (R26).
    #[serde(default = "default_match", rename = "match")]
    pub match_order: Vec<MatchAttribute>,
    /// Whether existing accounts are taken over (R26).
    #[serde(default)]
    pub adopt: Adopt,
    /// What happens to whoever leaves (R27).
    #[serde(default)]
    pub leavers: Leavers,
    /// Whether adopted accounts may be deleted; without it they are deactivated (R27).
    #[serde(default)]
    pub delete_adopted: bool,
    /// What invalid data does (mission point 11).
    #[serde(default)]
    pub on_invalid: OnInvalid,
    /// What happens when the provider changed what we sent (R22).
    #[serde(default)]
    pub drift: Drift,
    /// How much may be taken away unasked (R28).
    #[serde(default)]
    pub guard: Guard,
    /// Requests per time, as `25/s`, `600/m` or `1000/h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Requests in flight per worker.
    #[serde(default = "default_in_flight")]
    pub in_flight: u32,
    /// Bulk requests where announced.
    #[serde(default)]
    pub bulk: Switch,
    /// Versions (ETag) where announced.
    #[serde(default)]
    pub etag: Switch,
    /// Whether passwords are delivered.
    #[serde(default)]
    pub passwords: bool,
    /// Plan only, never write.
    #[serde(default)]
    pub dry_run: bool,
    /// Certificates.
    #[serde(default)]
    pub tls: Tls,
    /// Headers that go with every request. Values are sealed like tokens: whoever reads the settings of a provider
    /// back finds each name with an empty value, which keeps the value that is sealed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

fn auto() -> String {
    "auto".to_owned()
}

fn default_mappings() -> Vec<String> {
    vec!["10-user-default".to_owned(), "10-group-default".to_owned()]
}

fn default_match() -> Vec<MatchAttribute> {
    vec![MatchAttribute::ExternalId, MatchAttribute::UserName]
}

const fn default_in_flight() -> u32 {
    16
}

impl ProviderSettings {
    /// The same with the names of its headers only: what may be stored and shown in plain.
    #[must_use]
    pub fn without_header_values(&self) -> Self {
        let mut open = self.clone();
        open.headers.values_mut().for_each(String::clear);
        open
    }

    /// Settings with every default.
    pub fn new(name: ProviderName, base_url: impl Into<String>) -> Self {
        Self {
            name,
            base_url: base_url.into(),
            auth: AuthMethod::default(),
            profile: auto(),
            profile_override: serde_json::Map::new(),
            mappings: default_mappings(),
            schedule: None,
            scope: Scope::default(),
            match_order: default_match(),
            adopt: Adopt::default(),
            leavers: Leavers::default(),
            delete_adopted: false,
            on_invalid: OnInvalid::default(),
            drift: Drift::default(),
            guard: Guard::default(),
            rate: None,
            in_flight: default_in_flight(),
            bulk: Switch::default(),
            etag: Switch::default(),
            passwords: false,
            dry_run: false,
            tls: Tls::default(),
            headers: BTreeMap::new(),
        }
    }
}

/// How requests are authorised. The secret itself (token, password, client secret) is sealed in the
/// store and never part of these settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum AuthMethod {
    /// RFC 6750: the token goes with every request.
    #[default]
    Bearer,
    /// RFC 7617.
    Basic {
        /// The user name.
        username: String,
    },
    /// RFC 6749 §4.4, client credentials.
    OAuth2 {
        /// Where tokens are had.
        token_url: String,
        /// The client's id.
        client_id: String,
        /// The scope asked for, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
}

/// Who and what is sent; everything when empty (R10).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// An expression over `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<String>,
    /// Only users who are in one of these groups, nested ones too; named by externalId or displayName.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members_of: Vec<String>,
    /// Only these groups are sent; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_groups: Option<Vec<String>>,
    /// Service accounts stay here.
    pub exclude_service_accounts: bool,
}

impl Scope {
    /// No condition: everybody and everything.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// An attribute by which an account is recognised. For groups `externalId` and `displayName` serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatchAttribute {
    /// RFC 7643 §3.1.
    #[serde(rename = "externalId")]
    ExternalId,
    /// RFC 7643 §4.1.1; `displayName` for groups.
    #[serde(rename = "userName")]
    UserName,
}

/// Which existing accounts are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adopt {
    /// Not owned by another of our objects, exactly one hit, its externalId empty or equal.
    #[default]
    Safe,
    /// Whatever its externalId.
    Any,
    /// None: a name that is taken parks the object.
    Never,
}

/// What is done to an account whose owner leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaverAction {
    /// `active: false`.
    Deactivate,
    /// DELETE.
    Delete,
    /// Nothing.
    Keep,
}

/// The action for each way of leaving (R27); in a fleet file one word sets all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LeaversForm")]
pub struct Leavers {
    /// `active` became false.
    pub disabled: LeaverAction,
    /// Left the scope.
    pub out_of_scope: LeaverAction,
    /// Deleted from the directory.
    pub deleted: LeaverAction,
    /// A group that was deleted or left the scope (groups cannot be deactivated).
    pub groups: LeaverAction,
}

impl Default for Leavers {
    fn default() -> Self {
        LeaversTable::default().into()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LeaversForm {
    One(LeaverAction),
    Each(LeaversTable),
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LeaversTable {
    disabled: LeaverAction,
    out_of_scope: LeaverAction,
    deleted: LeaverAction,
    groups: LeaverAction,
}

impl Default for LeaversTable {
    fn default() -> Self {
        Self {
            disabled: LeaverAction::Deactivate,
            out_of_scope: LeaverAction::Deactivate,
            deleted: LeaverAction::Delete,
            groups: LeaverAction::Delete,
        }
    }
}

impl From<LeaversTable> for Leavers {
    fn from(table: LeaversTable) -> Self {
        let LeaversTable { disabled, out_of_scope, deleted, groups } = table;
        Self { disabled, out_of_scope, deleted, groups }
    }
}

impl From<LeaversForm> for Leavers {
    fn from(form: LeaversForm) -> Self {
        match form {
            LeaversForm::One(action) => {
                Self { disabled: action, out_of_scope: action, deleted: action, groups: action }
            }
            LeaversForm::Each(table) => table.into(),
        }
    }
}

/// What invalid data does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnInvalid {
    /// The run ends as `stopped`.
    #[default]
    Stop,
    /// The object is parked, the run goes on.
    Skip,
}

/// What happens when the provider changed what we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// It is sent again, once per state seen.
    #[default]
    Repair,
    /// It is shown.
    Report,
}

/// An optional feature of RFC 7644.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Used where the provider announces it.
    #[default]
    Auto,
    /// Never used.
    Off,
}

/// How much may be taken away within an hour without a person's word (R28).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// A share of the links that we own, as `5%`.
    pub share: String,
    /// Never more than this many, however large the share.
    pub cap: u64,
    /// Up to this many always pass, unless every link would go.
    pub at_least: u64,
}

impl Default for Guard {
    fn default() -> Self {
        Self { share: "5%".to_owned(), cap: 500, at_least: 20 }
    }
}

impl Guard {
    /// The share as a fraction between 0 and 1; `None` when it is not a percentage.
    pub fn fraction(&self) -> Option<f64> {
        let percent: f64 = self.share.trim().strip_suffix('%')?.trim().parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
    }

    /// How many removals within the hour pass, given how many links we own.
    pub fn allowance(&self, owned: u64) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "a share of a count needs no 53 bits")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a non-negative share of a count")]
        let share = (self.fraction().unwrap_or(0.0) * owned as f64) as u64;
        self.at_least.max(share.min(self.cap))
    }

    /// So many links, and more of them allow nothing more.
    pub fn owned_that_count(&self) -> u64 {
        let fraction = self.fraction().unwrap_or(0.0);
        if fraction <= 0.0 || self.cap <= self.at_least {
            return 0;
        }
        #[expect(clippy::cast_precision_loss, reason = "the share of a count needs no 53 bits")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number, rounded up")]
        let owned = (self.cap as f64 / fraction).ceil() as u64;
        // One more, should the share of a rounded number be cut off below the cap.
        owned.saturating_add(1)
    }
}

/// Certificates of the provider's endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Whether the certificate is checked.
    pub verify: bool,
    /// A PEM file with further authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// A PEM file with our certificate, for a provider that asks for one; with `client_key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert_file: Option<String>,
    /// A PEM file with its key. It is read where requests are made, and never stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { verify: true, ca_file: None, client_cert_file: None, client_key_file: None }
    }
}

/// A rate as operators write it: `25/s`, `600/m`, `1000/h`; with `+20` after it, that many may come at once
/// after a quiet time.
pub fn parse_rate(text: &str) -> Option<crate::ports::Rate> {
    let (text, own_burst) = match text.split_once('+') {
        Some((text, burst)) => (text, Some(burst.trim().parse::<u32>().ok().filter(|burst| *burst > 0)?)),
        None => (text, None),
    };
    let (count, unit) = text.split_once('/')?;
    let requests: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
    let seconds = match unit.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    // A burst of one second's worth keeps the average without starving the connection after a pause.
    let burst = (u64::from(requests) / seconds).clamp(1, u64::from(requests));
    Some(crate::ports::Rate {
        requests,
        per: std::time::Duration::from_secs(seconds),
        burst: own_burst.unwrap_or_else(|| u32::try_from(burst).unwrap_or(requests)),
    })
}

/// Mapping text by name, as configured.
pub type Mappings = BTreeMap<String, MappingText>;

/// One mapping as an operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingText {
    /// Its name; mappings run in the order of their names.
    pub name: String,
    /// What it maps.
    pub resource: crate::scim::ResourceKind,
    /// The body of a Python function.
    pub expression: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_sets_every_leaver_action() {
        let one: Leavers = serde_json::from_str("\"keep\"").unwrap();
        assert_eq!((one.disabled, one.groups), (LeaverAction::Keep, LeaverAction::Keep));
        let some: Leavers = serde_json::from_str(r#"{"deleted":"deactivate"}"#).unwrap();
        assert_eq!((some.deleted, some.groups), (LeaverAction::Deactivate, LeaverAction::Delete));
        assert!(serde_json::from_str::<Leavers>("\"burn\"").is_err());
        let again: Leavers = serde_json::from_str(&serde_json::to_string(&some).unwrap()).unwrap();
        assert_eq!(again, some);
    }

    #[test]
    fn the_guard_allows_the_larger_of_floor_and_capped_share() {
        let guard = Guard::default();
        let cases = [(0, 20), (100, 20), (1_000, 50), (100_000, 500)];
        for (owned, allowed) in cases {
            assert_eq!(guard.allowance(owned), allowed, "{owned} owned");
        }
        for (share, cap) in [("5%", 500), ("3%", 500), ("0.7%", 77), ("100%", 1), ("0%", 500), ("5%", 10)] {
            let guard = Guard { share: share.into(), cap, at_least: 20 };
            let enough = guard.owned_that_count();
            assert!(enough < 20_000, "{share} {cap}");
            for owned in [enough, enough + 1, 1_000_000] {
                assert_eq!(guard.allowance(owned), guard.allowance(enough), "{share}, {cap}: {owned} owned");
            }
        }
        assert_eq!(Guard { share: "five".into(), ..Guard::default() }.fraction(), None);
    }

    #[test]
    fn rates_read_as_people_write_them() {
        let minute = parse_rate("600/m").unwrap();
        assert_eq!((minute.requests, minute.per.as_secs(), minute.burst), (600, 60, 10));
        assert_eq!(parse_rate("1/h").unwrap().burst, 1);
        assert_eq!(parse_rate("900/h+100").unwrap().burst, 100);
        for bad in ["", "25", "0/s", "x/s", "5/d", "5/s+", "5/s+0", "5/s+x"] {
            assert!(parse_rate(bad).is_none(), "{bad}");
        }
    }
}
