//! Every statement that the store sends while it works on a task, held against SQLite's plan for it: none
//! may read a whole large table. A process of its own, because it listens to the driver's log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::state::LinkState;
use scimfleet_core::task::Lane;
use scimfleet_core::{ProviderName, RemoteId, ResourceKind, RunId};
use scimfleet_store::{
    IncomingResource, LinkResult, MembersRead, Seen, Share, Store, StoreOptions, TaskRecord, Verdict, Wanted,
};
use scimfleet_testkit::statements;
use sqlx::{AssertSqlSafe, Row, SqlSafeStr};

/// Tables that grow with the directory.
const LARGE: [&str; 9] = [
    "links",
    "resources",
    "memberships",
    "membership_references",
    "sent_memberships",
    "owed_memberships",
    "link_waits",
    "remote_resources",
    "provisioning_log",
];

fn incoming(line: serde_json::Value) -> IncomingResource {
    let serde_json::Value::Object(mut attributes) = line else { panic!("an object") };
    let kind = if attributes.contains_key("userName") { ResourceKind::User } else { ResourceKind::Group };
    let members = attributes.shift_remove("members").map(|members| serde_json::from_value(members).unwrap());
    IncomingResource { kind, id: None, attributes, members, password: None }
}

/// What a worker, the relay and a listing ask for, on objects that exist and objects that do not.
async fn work(store: &Store) {
    let settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://acme.example");
    let (provider, _) = store.put_provider(&settings).await.unwrap();
    let users =
        (0..20).map(|n| incoming(serde_json::json!({"userName": format!("u{n}"), "externalId": n.to_string()})));
    store.import("test", users.collect()).await.unwrap();
    let group = incoming(serde_json::json!({"displayName": "G", "members": ["u1", "u2", "later"]}));
    store.import("test", vec![group]).await.unwrap();
    let ids = store.ids_of_source("test", None, 100).await.unwrap();
    let group = store.find_resources("G").await.unwrap().remove(0).id;
    let verdict = |id: &scimfleet_core::ResourceId| Verdict {
        resource_id: id.clone(),
        kind: if *id == group { ResourceKind::Group } else { ResourceKind::User },
        wanted: Wanted::Yes,
        changed: true,
    };
    let changes = store.outbox(100).await.unwrap();
    store.relay(&changes, &[(provider, ids.iter().map(verdict).collect())]).await.unwrap();
    store.owed(provider, None, 100).await.unwrap();
    store.mark_queued(provider, &ids).await.unwrap();
    for lane in [Lane::Leavers, Lane::Changes] {
        store.has_unbegun(provider, lane).await.unwrap();
        store.take_for_lost(provider, lane).await.unwrap();
    }
    for share in [Share::Wanted, Share::Leaving] {
        store.dirty_after(provider, ResourceKind::User, share, None, 100).await.unwrap();
    }
    let (claimed, _) = store.claim(provider, "w", &ids, Duration::from_secs(60)).await.unwrap();
    store.claim(provider, "w", &ids, Duration::from_secs(60)).await.unwrap();
    store.renew(provider, "w", &claimed, Duration::from_secs(60)).await.unwrap();
    let intents: Vec<_> = claimed.iter().map(|link| (link, "{}".to_owned())).collect();
    store.intend(provider, &intents, Duration::from_secs(60)).await.unwrap();
    store.resources(&ids).await.unwrap();
    store.groups_of(&ids).await.unwrap();
    store.group_closure(&["G".to_owned()]).await.unwrap();
    store.users_under(std::slice::from_ref(&group)).await.unwrap();
    store.members_among(&ids, std::slice::from_ref(&group)).await.unwrap();
    store.groups_around(provider, &ids).await.unwrap();
    store.groups_above(provider, std::slice::from_ref(&group)).await.unwrap();
    store.flattened_delta(provider, std::slice::from_ref(&group)).await.unwrap();
    store.flattened_at(provider, std::slice::from_ref(&group)).await.unwrap();
    store.referees(provider, &["u1".to_owned()]).await.unwrap();
    store.membership_delta(provider, std::slice::from_ref(&group)).await.unwrap();
    for read in [MembersRead::Differences, MembersRead::Whole, MembersRead::Flattened] {
        store.members_read(provider, std::slice::from_ref(&group), read).await.unwrap();
    }
    store.members_at(provider, std::slice::from_ref(&group)).await.unwrap();
    store.owed_delta(provider, std::slice::from_ref(&group)).await.unwrap();
    store.doubted_members(provider, std::slice::from_ref(&group)).await.unwrap();
    let compared = store.owed_members(provider, std::slice::from_ref(&group)).await.unwrap();
    store.resources_after(ResourceKind::Group, None, 100).await.unwrap();
    let results = claimed.iter().map(|link| result(link, &group)).collect();
    let record = TaskRecord {
        results,
        memberships: vec![scimfleet_store::MembershipChange {
            group_id: group.clone(),
            member_id: ids[0].clone(),
            remote_id: None,
        }],
        compared,
        left: ids[1..3].to_vec(),
        emptied: vec![group.clone()],
        waits: vec![(group.clone(), ids[0].clone())],
        arrived: ids.clone(),
        ..TaskRecord::default()
    };
    store.record(provider, &record).await.unwrap();
    let (again, _) = store.claim(provider, "w", &ids[..2], Duration::from_secs(60)).await.unwrap();
    let twice = |link| LinkResult { remote_id: Some(RemoteId::parse("twice").unwrap()), ..result(link, &group) };
    let record = TaskRecord { results: again.iter().map(twice).collect(), ..TaskRecord::default() };
    store.record(provider, &record).await.unwrap();
    store.set_groups("test", &[(ids[3].clone(), vec!["G".to_owned(), "new".to_owned()])]).await.unwrap();
    let run = RunId(uuid::Uuid::now_v7());
    let seen = Seen { remote_id: RemoteId::parse("r").unwrap(), external_id: None, name_key: Some("x".to_owned()) };
    store.record_seen(provider, ResourceKind::User, run, &[seen]).await.unwrap();
    store.candidates(provider, ResourceKind::User, &[(Some("1".to_owned()), "x".to_owned())]).await.unwrap();
    store.accounts_after(provider, ResourceKind::User, None, 100).await.unwrap();
    store.mark(provider, &ids).await.unwrap();
    store.mark_missing(provider, &ids).await.unwrap();
    store.links_of(&ids[0]).await.unwrap();
    store.log_of(&ids[0], Some(provider), 10).await.unwrap();
    store.removals_since(provider, 0).await.unwrap();
    store.leavers_to_judge(provider, 10).await.unwrap();
    store
        .import("test", vec![incoming(serde_json::json!({"userName": "LATER", "externalId": "later"}))])
        .await
        .unwrap();
    store.delete_resources(&ids[..2]).await.unwrap();
}

fn result(link: &scimfleet_store::ClaimedLink, group: &scimfleet_core::ResourceId) -> LinkResult {
    LinkResult {
        resource_id: link.resource_id.clone(),
        fencing: link.fencing,
        marked: link.marked,
        state: if link.resource_id == *group { LinkState::Waiting } else { LinkState::InSync },
        park_reason: None,
        remote_id: None,
        ownership: None,
        version: None,
        sent_digest: None,
        sent_document: None,
        synced_generation: 1,
        still_dirty: false,
        attempts: 0,
        due_at_ms: 0,
        last_error: None,
        intent: None,
        last_run: None,
        rewritten: false,
        members_compared: false,
    }
}

#[tokio::test]
async fn no_statement_of_a_task_reads_a_whole_large_table() {
    statements::listen();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("plans.db").display());
    let store = Store::connect(&StoreOptions::new(&url), None).await.unwrap();
    store.migrate().await.unwrap();
    statements::take_texts();
    work(&store).await;
    let mut statements = statements::take_texts();
    statements.sort();
    statements.dedup();
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    // However much is owed, leavers are found by what they are.
    for (table, index) in [("FROM outbox", "outbox_leaving"), ("r.name_key AS name FROM links", "links_leavers")] {
        let found = statements.iter().find(|text| text.contains(table) && text.contains("LIMIT"));
        let plan = plan(&pool, found.unwrap()).await;
        assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
    }
    let of_tables = |text: &str| LARGE.iter().any(|table| text.contains(table));
    statements.retain(|text| of_tables(text) && !text.contains("EXPLAIN"));
    assert!(statements.len() > 45, "only {} statements were heard", statements.len());
    let (mut whole, mut compared) = (Vec::new(), 0);
    for text in &statements {
        for step in plan(&pool, text).await {
            let small = is_small(&step, text);
            if text.contains("JOIN owed_memberships o ON") && reads_members(&step) {
                let both = step.contains("group_id=?") && step.contains("member_id=?");
                assert!(both, "a whole group is read: {step}\n    {text}");
                compared += 1;
            }
            if (step.starts_with("SCAN ") && !small) || is_half_whole(&step) && !(small && step.contains("AUTOMATIC")) {
                whole.push(format!("{step}\n    {text}"));
            }
        }
    }
    assert_eq!(compared, 6, "memberships and what was sent, each from both sides");
    assert!(whole.is_empty(), "{} whole reads:\n{}", whole.len(), whole.join("\n"));
    store.close().await;
}

async fn plan(pool: &sqlx::SqlitePool, text: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")).into_sql_str();
    let rows = sqlx::query(explain).fetch_all(pool).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    rows.iter().map(|row| row.get("detail")).collect()
}

/// A step that reads everything of one provider, or of one kind, or that makes an index of a whole table
/// for itself. The partial indices hold only what is owed or parked.
fn is_half_whole(step: &str) -> bool {
    let partial = [
        "links_dirty",
        "links_leavers",
        "links_retries",
        "links_owed",
        "links_queued",
        "links_parked",
        "provisioning_log_removals",
        "resources_tombstones",
    ];
    let prefix = ["(provider_id=?)", "(provider_id=? AND kind=?)", "(kind=?)"].iter().any(|end| step.ends_with(end));
    step.contains("AUTOMATIC")
        || step.starts_with("SEARCH ") && prefix && !partial.iter().any(|index| step.contains(index))
}

/// A step that reads members of a group, as they are or as they were sent.
fn reads_members(step: &str) -> bool {
    ["SEARCH m ", "SEARCH s ", "SCAN m", "SCAN s"].iter().any(|start| step.starts_with(start))
}

/// A step that reads the parameter of a batch, or what a recursion gave, and no table.
fn is_small(step: &str, statement: &str) -> bool {
    let name = step.split(' ').nth(1).unwrap_or_default();
    let alias = |table: &str| statement.contains(&format!("{table} {name} ")) || name == table;
    !LARGE.iter().any(|table| alias(table))
}
