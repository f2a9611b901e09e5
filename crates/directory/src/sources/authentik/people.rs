//! People and groups. What authentik would send as `externalId` is their externalId here: a user's `uid`, a
//! group's `pk`. Groups inside are members; whoever sends them decides what that means.

use std::collections::HashMap;

use scimfleet_core::scim::Document;
use scimfleet_core::scim::resource::{GROUP_URN, USER_URN};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::{Authentik, Parameter, reads_max};
use crate::sources::{SourceError, Spool};

const USERS_PER_PAGE: u64 = 100;
/// Fewer, since each shows all its members.
const GROUPS_PER_PAGE: u64 = 20;

/// Everybody and every group.
#[derive(Debug)]
pub struct Whole {
    /// Users, then groups.
    pub spool: Spool,
    /// How many users.
    pub users: u64,
    /// How many groups.
    pub groups: u64,
    /// The latest change among the users, as authentik writes times: where changes go on from.
    pub latest: Option<String>,
}

/// Users that changed.
#[derive(Debug)]
pub struct Changed {
    /// They.
    pub spool: Spool,
    /// The latest change; `None` when there was none.
    pub latest: Option<String>,
}

#[derive(Deserialize)]
struct User {
    pk: i64,
    username: String,
    name: String,
    uid: String,
    uuid: Option<String>,
    is_active: Option<bool>,
    email: Option<String>,
    avatar: Option<String>,
    path: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    attributes: Option<Map<String, Value>>,
    last_updated: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    pk: String,
    name: String,
    attributes: Option<Map<String, Value>>,
    users: Option<Vec<i64>>,
    parents: Option<Vec<String>>,
}

impl Authentik {
    /// Reads everybody and every group. A directory that moves on meanwhile is read again; one that never
    /// adds up is refused as a whole.
    ///
    /// # Errors
    /// When it cannot be read, or is not whole.
    pub async fn read_whole(&self) -> Result<Whole, SourceError> {
        let mut reads = 0;
        loop {
            reads += 1;
            match self.read_once().await {
                Err(SourceError::Incomplete { what, reason }) if reads < reads_max() => {
                    tracing::info!(what, reason, "the read is begun anew");
                }
                other => return other,
            }
        }
    }

    async fn read_once(&self) -> Result<Whole, SourceError> {
        let mut spool = Spool::new()?;
        let mut uids = HashMap::new();
        let mut latest = None;
        self.walk("core/users", USERS_PER_PAGE, &users_query(), |user: User| {
            note_latest(&mut latest, user.last_updated.as_deref());
            spool.put(&user_document(&user))?;
            uids.insert(user.pk, user.uid);
            Ok(())
        })
        .await?;
        let users = spool.count();
        let groups = self.read_groups().await?;
        let mut inner: HashMap<&str, Vec<&str>> = HashMap::new();
        for group in &groups {
            for parent in group.parents.iter().flatten() {
                inner.entry(parent).or_default().push(&group.pk);
            }
        }
        for group in &groups {
            spool.put(&group_document(group, &uids, inner.get(group.pk.as_str()).map_or(&[], Vec::as_slice))?)?;
        }
        Ok(Whole { groups: spool.count() - users, spool, users, latest })
    }

    async fn read_groups(&self) -> Result<Vec<Group>, SourceError> {
        let mut groups = Vec::new();
        let lean = ["include_children", "include_parents", "include_inherited_roles", "include_users"];
        let mut query: Vec<Parameter> = lean.map(|name| (name, "false".to_owned())).to_vec();
        query.push(("ordering", "name".to_owned()));
        self.walk("core/groups", GROUPS_PER_PAGE, &query, |group: Group| {
            groups.push(group);
            Ok(())
        })
        .await?;
        Ok(groups)
    }

    /// Reads the users that changed after a time that an earlier read gave.
    ///
    /// # Errors
    /// When they cannot be read, or did not add up.
    pub async fn read_changed(&self, after: &str) -> Result<Changed, SourceError> {
        let mut query = users_query();
        query.push(("last_updated__gt", after.to_owned()));
        let mut spool = Spool::new()?;
        let mut latest = None;
        let users: Vec<User> = self.all("core/users", &query).await?;
        for user in users {
            note_latest(&mut latest, user.last_updated.as_deref());
            spool.put(&user_document(&user))?;
        }
        Ok(Changed { spool, latest })
    }
}

/// Without the groups and roles of each user, which the groups tell.
fn users_query() -> Vec<Parameter> {
    vec![
        ("include_groups", "false".to_owned()),
        ("include_roles", "false".to_owned()),
        // A stable order: by name, somebody who is renamed meanwhile would jump over a page.
        ("ordering", "date_joined".to_owned()),
    ]
}

/// Times of one clock in one notation: the later one is the greater text, but for its fraction's length.
fn note_latest(latest: &mut Option<String>, time: Option<&str>) {
    let parsed = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
    let Some(time) = time.filter(|time| parsed(time).is_some()) else { return };
    if latest.as_deref().is_none_or(|known| parsed(known) < parsed(time)) {
        *latest = Some(time.to_owned());
    }
}

fn user_document(user: &User) -> Document {
    let mut document = Document::new();
    let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    put("schemas", json!([USER_URN]));
    put("externalId", json!(user.uid));
    put("userName", json!(user.username));
    if !user.name.is_empty() {
        put("displayName", json!(user.name));
    }
    put("active", json!(user.is_active.unwrap_or(true)));
    if let Some(email) = user.email.as_deref().filter(|email| !email.is_empty()) {
        put("emails", json!([{ "value": email, "type": "other", "primary": true }]));
    }
    // Made-up initials are drawn into a data URI: nobody's photo, and kilobytes a user.
    if let Some(avatar) = user.avatar.as_deref().filter(|avatar| avatar.contains("://")) {
        put("photos", json!([{ "value": avatar, "type": "photo" }]));
    }
    let attributes = user.attributes.clone().unwrap_or_default();
    let locale = attributes.get("settings").and_then(|settings| settings.get("locale")).and_then(Value::as_str);
    if let Some(locale) = locale.filter(|locale| !locale.is_empty()) {
        put("locale", json!(locale));
    }
    // `internal` says nothing, and would be sent by whoever passes on what there is.
    if let Some(kind) = user.kind.as_deref().filter(|kind| *kind != "internal") {
        put("userType", json!(kind));
    }
    put("pk", json!(user.pk));
    for (name, value) in [("uuid", &user.uuid), ("path", &user.path)] {
        if let Some(value) = value {
            put(name, json!(value));
        }
    }
    put("attributes", Value::Object(attributes));
    document
}

fn group_document(group: &Group, uids: &HashMap<i64, String>, inner: &[&str]) -> Result<Document, SourceError> {
    let mut members = Vec::with_capacity(inner.len() + group.users.as_ref().map_or(0, Vec::len));
    for pk in group.users.iter().flatten() {
        let uid = uids.get(pk).ok_or_else(|| SourceError::Incomplete {
            what: "core/users".to_owned(),
            reason: format!(
                "the group `{}` has a member {pk} that it did not show; may the token read all?",
                group.name
            ),
        })?;
        members.push(Value::from(uid.as_str()));
    }
    members.extend(inner.iter().map(|pk| Value::from(*pk)));
    let mut document = Document::new();
    document.insert("schemas".to_owned(), json!([GROUP_URN]));
    document.insert("externalId".to_owned(), json!(group.pk));
    document.insert("displayName".to_owned(), json!(group.name));
    document.insert("attributes".to_owned(), Value::Object(group.attributes.clone().unwrap_or_default()));
    document.insert("members".to_owned(), Value::Array(members));
    Ok(document)
}
