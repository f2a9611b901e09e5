//! The examination of a provider: what it announces, what it does, what it gets wrong, and the profile that
//! follows. Harmless reads only; with `write` one marked user and one marked group are made and removed.

use scimfleet_core::plan::Member;
use scimfleet_core::ports::Coordination;
use scimfleet_core::profile::{MemberRemoval, Profile};
use scimfleet_core::retry::Class;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::{PatchOp, PatchOperation};
use scimfleet_core::scim::resource::{GROUP_URN, USER_URN};
use scimfleet_core::{RemoteId, ResourceKind};
use scimfleet_scim_client::{Projection, ScimError};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::provider::Provider;

/// One thing that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What.
    pub check: &'static str,
    /// `ok`, `wrong`, `not tried`.
    pub result: &'static str,
    /// In words.
    pub words: String,
}

/// What an examination showed.
#[derive(Debug, Default, Serialize)]
pub struct Examination {
    /// In the order in which they were tried.
    pub findings: Vec<Finding>,
    /// Profile values that the findings contradict: put them into `[provider.override]`.
    pub recommended: Map<String, Value>,
}

impl Examination {
    fn ok(&mut self, check: &'static str, words: impl Into<String>) {
        self.findings.push(Finding { check, result: "ok", words: words.into() });
    }

    fn wrong(&mut self, check: &'static str, words: impl Into<String>) {
        self.findings.push(Finding { check, result: "wrong", words: words.into() });
    }

    fn not_tried(&mut self, check: &'static str, words: &str) {
        self.findings.push(Finding { check, result: "not tried", words: words.to_owned() });
    }

    fn recommend(&mut self, key: &str, value: Value) {
        self.recommended.insert(key.to_owned(), value);
    }
}

/// Examines a provider, each request in its turn, which `coordination` gives.
pub async fn examine(provider: &Provider, coordination: &dyn Coordination, write: bool) -> Examination {
    let mut examination = Examination::default();
    let client = &Caller::new(provider, coordination);
    let someone = look_at_users(client, &mut examination).await;
    look_at_filter(provider, client, someone.as_ref(), &mut examination).await;
    look_at_groups(client, &mut examination).await;
    if write {
        try_user(client, &provider.profile, &mut examination).await;
    } else {
        examination.not_tried("write", "`--write` makes and removes one marked user and one marked group");
    }
    examination
}

/// The first page, and whether the second one is another.
async fn look_at_users(client: &Caller<'_>, examination: &mut Examination) -> Option<Document> {
    let page = match client.list(ResourceKind::User, &client.start(), Projection::Default).await {
        Ok(page) => page,
        Err(error) => {
            examination.wrong("list users", error.to_string());
            return None;
        }
    };
    let total = page.total.map_or_else(|| "an unknown number".to_owned(), |total| total.to_string());
    examination.ok("list users", format!("{} on the first page, {total} in all", page.resources.len()));
    let id = |documents: &[Document]| documents.first().and_then(|one| one.get("id").cloned());
    if let Some(next) = &page.next {
        match client.list(ResourceKind::User, next, Projection::Default).await {
            Ok(second) if id(&second.resources).is_some() && id(&second.resources) == id(&page.resources) => {
                examination.wrong("paging", "the second page begins with the same user: `startIndex` is ignored");
            }
            Ok(_) => examination.ok("paging", "the second page is another"),
            Err(error) => examination.wrong("paging", error.to_string()),
        }
    }
    page.resources.into_iter().next()
}

/// Whether filters are understood, ignored or answered with nothing.
async fn look_at_filter(
    provider: &Provider,
    client: &Caller<'_>,
    someone: Option<&Document>,
    examination: &mut Examination,
) {
    let nobody = format!("scimfleet-probe-{}", uuid::Uuid::now_v7());
    match client.find(ResourceKind::User, "userName", &nobody).await {
        Ok(found) if found.refused > 0 => {
            examination.wrong("filter", "a filter that fits nobody returned users: filters are ignored");
            return examination.recommend("filter", json!(false));
        }
        Ok(_) => {}
        Err(error) => {
            examination.wrong("filter", error.to_string());
            return examination.recommend("filter", json!(false));
        }
    }
    let name = someone.and_then(|user| user.get("userName")).and_then(Value::as_str);
    let Some(name) = name else { return examination.not_tried("filter", "there is no user to look for") };
    match client.find(ResourceKind::User, "userName", name).await {
        Ok(found) if found.resources.is_empty() => {
            examination
                .wrong("filter", "`userName eq` does not find a user that is there; everybody would be made again");
            examination.recommend("filter", json!(false));
        }
        Ok(_) => {
            examination.ok("filter", "`userName eq` finds who is there and nobody else");
            if !provider.profile.filter {
                examination.recommend("filter", json!(true));
            }
        }
        Err(error) => examination.wrong("filter", error.to_string()),
    }
}

async fn look_at_groups(client: &Caller<'_>, examination: &mut Examination) {
    match client.list(ResourceKind::Group, &client.start(), Projection::Except("members")).await {
        Ok(page) => examination.ok("list groups", format!("{} on the first page", page.resources.len())),
        Err(error) if error.is_believable_not_found() => {
            examination.wrong("list groups", "there are no groups; users are sent all the same");
            examination.recommend("groups", json!(false));
        }
        Err(error) => examination.wrong("list groups", error.to_string()),
    }
}

fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        _ => Document::new(),
    }
}

/// Makes a marked user, changes it, finds it, puts it into a group, and removes both.
async fn try_user(client: &Caller<'_>, profile: &Profile, examination: &mut Examination) {
    let mark = format!("scimfleet-probe-{}", uuid::Uuid::now_v7().simple());
    let user = object(json!({
        "schemas": [USER_URN], "userName": mark, "externalId": mark, "displayName": "Scimfleet Probe",
        "name": { "givenName": "Scimfleet", "familyName": "Probe" }, "active": true,
        "emails": [{ "value": format!("{mark}@probe.example"), "type": "work", "primary": true }]
    }));
    let account = match client.create(ResourceKind::User, &user).await {
        Ok(answer) => match answer.remote_id {
            Some(account) => account,
            None => return examination.wrong("create", "the answer names no id; remove the user by hand"),
        },
        Err(error) => return examination.wrong("create", error.to_string()),
    };
    examination.ok("create", format!("user {account}"));
    try_patch(client, &account, examination).await;
    try_external_id(client, &mark, profile, examination).await;
    try_group(client, &mark, &account, examination).await;
    match client.delete(ResourceKind::User, &account).await {
        Ok(_) => match client.get(ResourceKind::User, &account).await {
            Ok(_) => {
                examination.wrong("delete", "the user is still there after DELETE: it deactivates");
                examination.recommend("delete_users", json!(false));
            }
            Err(_) => examination.ok("delete", "the user is gone"),
        },
        Err(error) => examination.wrong("delete", format!("{error}; remove user {account} by hand")),
    }
}

async fn try_patch(client: &Caller<'_>, account: &RemoteId, examination: &mut Examination) {
    let title = |path: &str, value: Value| PatchOperation {
        op: PatchOp::Replace,
        path: Some(path.to_owned()),
        value: Some(value),
    };
    let operations = [title("displayName", json!("Scimfleet Probe, changed"))];
    match client.patch(ResourceKind::User, account, &operations).await {
        Ok(_) => match client.get(ResourceKind::User, account).await {
            Ok(answer) => {
                let shown = answer.document.unwrap_or_default();
                if shown.get("displayName") == Some(&json!("Scimfleet Probe, changed")) {
                    examination.ok("patch", "a PATCH with a path changes what it names");
                } else {
                    examination.wrong("patch", "a PATCH was taken and changed nothing");
                    examination.recommend("update", json!("put"));
                }
            }
            Err(error) => examination.wrong("patch", error.to_string()),
        },
        Err(error) => no_patch(&error, examination),
    }
}

fn no_patch(error: &ScimError, examination: &mut Examination) {
    examination.wrong("patch", error.to_string());
    if matches!(error.class(), Class::Unsupported | Class::Permanent) {
        examination.recommend("update", json!("put"));
    }
}

/// Whether the account is found by the externalId that it was made with.
async fn try_external_id(client: &Caller<'_>, mark: &str, profile: &Profile, examination: &mut Examination) {
    match client.find(ResourceKind::User, "externalId", mark).await {
        Ok(found) if found.resources.len() == 1 => examination.ok("externalId", "it is kept, and found by filter"),
        Ok(_) => {
            examination
                .wrong("externalId", "the account is not found by its externalId; userName is looked up instead");
            if profile.filter {
                examination.recommend("filter_attributes", json!(["userName", "displayName"]));
            }
        }
        Err(error) => examination.wrong("externalId", error.to_string()),
    }
}

async fn try_group(client: &Caller<'_>, mark: &str, account: &RemoteId, examination: &mut Examination) {
    let group = object(json!({
        "schemas": [GROUP_URN], "displayName": mark, "externalId": mark,
        "members": [{ "value": account.as_str() }]
    }));
    let id = match client.create(ResourceKind::Group, &group).await {
        Ok(answer) => match answer.remote_id {
            Some(id) => id,
            None => return examination.wrong("create group", "the answer names no id; remove the group by hand"),
        },
        Err(error) => return examination.wrong("create group", error.to_string()),
    };
    match members_of(client, &id).await {
        Some(1) => examination.ok("members in create", "a POST of a group takes its members"),
        Some(_) => {
            examination.wrong("members in create", "a POST of a group ignores its members");
            examination.recommend("members_in_create", json!(false));
        }
        None => examination.not_tried("members in create", "the provider does not show members"),
    }
    try_removal(client, &id, account, examination).await;
    if let Err(error) = client.delete(ResourceKind::Group, &id).await {
        examination.wrong("delete group", format!("{error}; remove group {id} by hand"));
    }
}

/// Removal by value path, else by a list of values.
async fn try_removal(client: &Caller<'_>, id: &RemoteId, account: &RemoteId, examination: &mut Examination) {
    for style in [MemberRemoval::ValuePath, MemberRemoval::ValueList] {
        let profile = Profile { member_removal: style, ..Profile::default() };
        let member = Member { account: account.clone(), kind: ResourceKind::User };
        let patches = scimfleet_core::plan::member_patches(&[], std::slice::from_ref(&member), &profile);
        let Some(operations) = patches.first() else { return };
        let taken = client.patch(ResourceKind::Group, id, operations).await.is_ok();
        if taken && members_of(client, id).await != Some(1) {
            examination.ok("member removal", format!("by {style}"));
            if style != Profile::default().member_removal {
                examination.recommend("member_removal", json!(style));
            }
            return;
        }
    }
    examination.wrong("member removal", "neither a value path nor a list of values removes a member");
}

/// How many members a group shows; `None` when it shows none of that.
async fn members_of(client: &Caller<'_>, id: &RemoteId) -> Option<usize> {
    let shown = client.get(ResourceKind::Group, id).await.ok()?.document?;
    shown.get("members").and_then(Value::as_array).map(Vec::len)
}
