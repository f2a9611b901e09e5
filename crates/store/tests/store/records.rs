//! Recording a task: links, members, log and counters in one transaction, each link by its token.

use std::time::Duration;

use scimfleet_core::state::{LinkState, ParkReason};
use scimfleet_core::{ProviderId, ResourceId, ResourceKind};
use scimfleet_store::{
    ClaimedLink, LinkResult, LogEntry, MembersRead, MembershipChange, TaskRecord, TrailFilter, Wanted,
};

use crate::support::{in_sync, on_both, remote, unchanged, verdict};

on_both! {
    async fn who_was_changed_while_being_parked_is_owed(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        let claimed = db.claim(provider, &anna).await;
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Yes, true)]).await.unwrap();
        let recorded = db.store.record(provider, &parked(&claimed)).await.unwrap();
        assert_eq!(recorded.again, std::slice::from_ref(&anna));
        let link = db.link(provider, &anna).await;
        assert_eq!((link.state, link.park_reason, link.dirty), (LinkState::Pending, None, true));
        let owed = db.store.owed(provider, None, 10).await.unwrap();
        assert_eq!(owed.len(), 1, "whatever becomes of the message: {owed:?}");
        db.store.record(provider, &parked(&db.claim(provider, &anna).await)).await.unwrap();
        let link = db.link(provider, &anna).await;
        assert_eq!((link.state, link.dirty), (LinkState::Parked, false), "nothing happened meanwhile");
    }

    async fn a_group_refused_for_a_member_who_left_is_looked_at(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        db.import(&[r#"{"displayName":"G","members":["anna"]}"#, r#"{"displayName":"H"}"#]).await;
        db.store.want_everything(provider).await.unwrap();
        let ids = db.ids(&["anna", "G", "H"]).await;
        db.settle(provider, &ids[0]).await;
        for group in &ids[1..] {
            db.store.record(provider, &parked(&db.claim(provider, group).await)).await.unwrap();
        }
        let anna = db.claim(provider, &ids[0]).await;
        let gone = LinkResult { state: LinkState::Gone, remote_id: None, ..in_sync(&anna) };
        let record = TaskRecord { results: vec![gone], left: vec![ids[0].clone()], ..TaskRecord::default() };
        assert_eq!(db.store.record(provider, &record).await.unwrap().woken, [ids[1].clone()]);
        assert_eq!(db.link(provider, &ids[1]).await.state, LinkState::Pending);
        assert_eq!(db.link(provider, &ids[2]).await.state, LinkState::Parked, "she was in no other group");
    }

    async fn a_name_comes_free_when_an_account_of_ours_is_about_to_change(db: &Database) {
        let provider = db.provider("acme", &["anna", "ben_"]).await;
        let [anna, ben] = db.ids(&["anna", "ben_"]).await.try_into().unwrap();
        let free = async |name: &str| {
            db.store.may_let_go_of(provider, ResourceKind::User, (name, None), &ben).await.unwrap()
        };
        assert!(!free("anna").await, "she has no account yet");
        let claimed = db.claim(provider, &anna).await;
        let document = Some(r#"{"userName":"Old%Name"}"#.to_owned());
        let sent = LinkResult { sent_document: document, ..in_sync(&claimed) };
        db.store.record(provider, &TaskRecord { results: vec![sent], ..TaskRecord::default() }).await.unwrap();
        assert!(!free("old%name").await, "she is in step, and keeps it");
        db.store.mark(provider, std::slice::from_ref(&anna)).await.unwrap();
        assert!(free("old%name").await && free("anna").await);
        assert!(!free("oldxname").await && !free("name").await && !free("ben_").await);
    }

    async fn a_result_settles_its_link(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        let claimed = db.claim(provider, &anna).await;
        let result = LinkResult { version: Some("W/\"1\"".to_owned()), intent: None, ..in_sync(&claimed) };
        let record = TaskRecord { results: vec![result], log: vec![entry(&anna, 1)], ..TaskRecord::default() };
        let recorded = db.store.record(provider, &record).await.unwrap();
        assert_eq!(recorded, scimfleet_store::Recorded::default());
        let link = db.link(provider, &anna).await;
        assert_eq!((link.state, link.dirty), (LinkState::InSync, false));
        assert_eq!(db.store.log_of(&anna, Some(provider), 10).await.unwrap()[0].operation, "delete");
        assert_eq!(db.store.count_log(provider).await.unwrap(), 1);
        assert_eq!(db.store.removals_since(provider, 0).await.unwrap(), 1);
        let owner = db.store.owner_of(provider, ResourceKind::User, &link.remote_id.unwrap()).await.unwrap();
        assert_eq!(owner, Some(anna.clone()));
        assert_eq!(db.claim(provider, &anna).await.version.as_deref(), Some("W/\"1\""), "the lease is free again");
    }

    async fn a_stale_token_records_nothing_and_marks(db: &Database) {
        let provider = db.provider("acme", &["anna", "bert"]).await;
        db.import(&[r#"{"displayName":"G","members":["bert"]}"#]).await;
        db.store.want_everything(provider).await.unwrap();
        let ids = db.ids(&["G", "bert"]).await;
        let (stale, _) = db.store.claim(provider, "one", &ids[..1], Duration::ZERO).await.unwrap();
        let current = db.claim(provider, &ids[0]).await;
        let bert = db.claim(provider, &ids[1]).await;
        let record = TaskRecord {
            results: vec![in_sync(&stale[0]), in_sync(&bert)],
            memberships: vec![sent(&ids[0], &ids[1], Some("b"))],
            ..TaskRecord::default()
        };
        let recorded = db.store.record(provider, &record).await.unwrap();
        assert_eq!((recorded.stale, recorded.again), (vec![ids[0].clone()], vec![]));
        let group = db.link(provider, &ids[0]).await;
        assert_eq!((group.remote_id, group.state, group.dirty), (None, LinkState::Pending, true));
        assert_eq!(db.link(provider, &ids[1]).await.state, LinkState::InSync, "its neighbour is recorded");
        let delta = db.store.membership_delta(provider, &ids[..1]).await.unwrap();
        assert_eq!(delta.missing.len(), 1, "no member of a stale group counts as sent");
        let recorded = db.store.record(provider, &of(vec![in_sync(&current)])).await.unwrap();
        assert_eq!(recorded.again, [ids[0].clone()], "it was marked meanwhile");
    }

    async fn what_moved_meanwhile_stays_dirty(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        let claimed = db.claim(provider, &anna).await;
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Yes, true)]).await.unwrap();
        let recorded = db.store.record(provider, &of(vec![in_sync(&claimed)])).await.unwrap();
        assert_eq!(recorded.again, std::slice::from_ref(&anna));
        let link = db.link(provider, &anna).await;
        assert_eq!((link.state, link.dirty), (LinkState::InSync, true));
        let claimed = db.claim(provider, &anna).await;
        let failed = LinkResult { still_dirty: true, ..unchanged(&claimed) };
        let recorded = db.store.record(provider, &of(vec![failed])).await.unwrap();
        assert_eq!(recorded.again, [], "nothing new happened");
        assert!(db.link(provider, &anna).await.dirty);
    }

    async fn members_that_were_sent_are_differences(db: &Database) {
        let provider = db.provider("acme", &["a", "b", "c"]).await;
        db.import(&[r#"{"displayName":"G","members":["a","b","c"]}"#]).await;
        db.store.want_everything(provider).await.unwrap();
        let ids = db.ids(&["a", "b", "c"]).await;
        let group = db.id("G").await;
        db.settle(provider, &ids[0]).await;
        db.settle(provider, &ids[1]).await;
        assert_eq!(missing(db, provider, &group).await, ["a remote", "b remote", "c none"]);
        let claimed = db.claim(provider, &group).await;
        let account = format!("remote-{}", ids[0]);
        let record = TaskRecord {
            results: vec![in_sync(&claimed)],
            memberships: vec![sent(&group, &ids[0], Some(&account)), sent(&group, &ids[1], Some("another"))],
            ..TaskRecord::default()
        };
        db.store.record(provider, &record).await.unwrap();
        assert_eq!(missing(db, provider, &group).await, ["b remote", "c none"], "b has another account now");
        db.import(&[r#"{"displayName":"G","members":["b"]}"#]).await;
        let delta = db.store.membership_delta(provider, std::slice::from_ref(&group)).await.unwrap();
        assert_eq!(delta.surplus, [(group.clone(), ids[0].clone(), remote(&account))]);
        let around = db.store.groups_around(provider, &ids[1..2]).await.unwrap();
        assert_eq!(around, std::slice::from_ref(&group));
        assert_eq!(db.store.members_at(provider, std::slice::from_ref(&group)).await.unwrap().len(), 1);
        let claimed = db.claim(provider, &group).await;
        let record = TaskRecord {
            results: vec![in_sync(&claimed)],
            memberships: vec![sent(&group, &ids[0], None)],
            ..TaskRecord::default()
        };
        db.store.record(provider, &record).await.unwrap();
        let delta = db.store.membership_delta(provider, std::slice::from_ref(&group)).await.unwrap();
        assert_eq!(delta.surplus, []);
        let record = TaskRecord { emptied: vec![group.clone()], ..TaskRecord::default() };
        db.store.record(provider, &record).await.unwrap();
        assert_eq!(missing(db, provider, &group).await, ["b remote"]);
    }

    async fn a_group_weighs_the_members_that_are_read_of_it(db: &Database) {
        let provider = db.provider("acme", &["a", "b", "c"]).await;
        db.import(&[
            r#"{"displayName":"Inner","externalId":"Inner","members":["b","c"]}"#,
            r#"{"displayName":"Outer","externalId":"Outer","members":["a","Inner"]}"#,
            r#"{"displayName":"Empty"}"#,
        ])
        .await;
        db.store.want_everything(provider).await.unwrap();
        let groups = db.ids(&["Inner", "Outer", "Empty"]).await;
        let read = async |read: MembersRead| {
            let counts = db.store.members_read(provider, &groups, read).await.unwrap();
            groups.iter().map(|group| counts.get(group).copied().unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(read(MembersRead::Differences).await, [2, 2, 0]);
        let inner = db.claim(provider, &groups[0]).await;
        let sent = LinkResult { members_compared: true, ..in_sync(&inner) };
        db.store.record(provider, &of(vec![sent])).await.unwrap();
        assert_eq!(read(MembersRead::Differences).await, [0, 2, 0], "of this one only what is owed");
        assert_eq!(read(MembersRead::Whole).await, [2, 2, 0]);
        assert_eq!(read(MembersRead::Flattened).await, [2, 3, 0]);
    }

    async fn one_account_for_two_objects_parks_the_later_one(db: &Database) {
        let provider = db.provider("acme", &["a", "b", "c", "d"]).await;
        let ids = db.ids(&["a", "b", "c", "d"]).await;
        db.settle(provider, &ids[0]).await;
        let taken = Some(remote(&format!("remote-{}", ids[0])));
        let claimed = [db.claim(provider, &ids[1]).await, db.claim(provider, &ids[2]).await, db.claim(provider, &ids[3]).await];
        let twice = Some(remote("twice"));
        let results = vec![
            LinkResult { remote_id: taken, ..in_sync(&claimed[0]) },
            LinkResult { remote_id: twice.clone(), ..in_sync(&claimed[1]) },
            LinkResult { remote_id: twice.clone(), ..in_sync(&claimed[2]) },
        ];
        db.store.record(provider, &of(results)).await.unwrap();
        let states: Vec<_> = db.store.links_at(provider, &ids[1..]).await.unwrap();
        let state = |id: &ResourceId| states.iter().find(|link| link.resource_id == *id).map(|link| link.state).unwrap();
        assert_eq!(ids[1..].iter().map(state).collect::<Vec<_>>(), [LinkState::Parked, LinkState::InSync, LinkState::Parked]);
        let parked = db.link(provider, &ids[3]).await;
        assert_eq!((parked.remote_id, parked.dirty), (None, false));
        assert!(parked.last_error.unwrap().contains("`twice` belongs to another object"));
    }

    async fn words_of_a_provider_cannot_stop_the_recording(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        let claimed = db.claim(provider, &anna).await;
        let result = LinkResult { last_error: Some("x\0\\\0\u{1f980}\"".to_owned()), ..unchanged(&claimed) };
        let log = LogEntry { detail: Some("\0".to_owned()), ..entry(&anna, 0) };
        let record = TaskRecord { results: vec![result], log: vec![log], ..TaskRecord::default() };
        db.store.record(provider, &record).await.unwrap();
        let words = db.link(provider, &anna).await.last_error.unwrap();
        assert_eq!(words, "x\u{fffd}\\\u{fffd}\u{1f980}\"");
    }

    async fn the_log_is_read_from_its_oldest_row_and_forgotten_by_age(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let other = db.provider("other", &[]).await;
        let anna = db.id("anna").await;
        let log: Vec<LogEntry> = (0..5).map(|_| entry(&anna, 0)).collect();
        let keys: Vec<String> = log.iter().map(|entry| entry.id.to_string()).collect();
        db.store.record(provider, &TaskRecord { log, ..TaskRecord::default() }).await.unwrap();
        db.store.record(other, &TaskRecord { log: vec![entry(&anna, 0)], ..TaskRecord::default() }).await.unwrap();

        let of_acme = TrailFilter { provider: Some(provider), ..TrailFilter::default() };
        let first = db.store.trail_after(&of_acme, None, 3).await.unwrap();
        let last = db.store.trail_after(&of_acme, Some(&first[2].key), 3).await.unwrap();
        let read: Vec<String> = first.iter().chain(&last).map(|row| row.key.clone()).collect();
        assert_eq!(read, keys);
        assert_eq!((first[0].kind, first[0].row.operation.as_str()), (ResourceKind::User, "delete"));
        let newest = db.store.trail_before(&TrailFilter::default(), None, 1).await.unwrap();
        assert_eq!(newest[0].row.provider_id, other);
        let nobody: Option<ResourceId> = "nobody".parse().ok();
        assert!(nobody.is_some());
        let of_nobody = TrailFilter { object: nobody, ..TrailFilter::default() };
        assert_eq!(db.store.trail_after(&of_nobody, None, 3).await.unwrap(), []);
        let later = TrailFilter { since_ms: db.store.now_ms() + 60_000, ..TrailFilter::default() };
        assert_eq!(db.store.trail_after(&later, None, 3).await.unwrap(), []);

        assert_eq!(db.store.forget_log(db.store.now_ms() - 60_000, 100).await.unwrap(), 0);
        assert_eq!(db.store.forget_log(db.store.now_ms() + 60_000, 4).await.unwrap(), 4);
        assert_eq!(db.store.forget_log(db.store.now_ms() + 60_000, 4).await.unwrap(), 2);
        assert_eq!(db.store.trail_before(&TrailFilter::default(), None, 1).await.unwrap(), []);
    }
}

fn of(results: Vec<LinkResult>) -> TaskRecord {
    TaskRecord { results, ..TaskRecord::default() }
}

fn sent(group: &ResourceId, member: &ResourceId, account: Option<&str>) -> MembershipChange {
    MembershipChange { group_id: group.clone(), member_id: member.clone(), remote_id: account.map(remote) }
}

fn entry(id: &ResourceId, removal: i64) -> LogEntry {
    LogEntry {
        id: LogEntry::key(),
        resource_id: id.clone(),
        kind: ResourceKind::User,
        operation: "delete".to_owned(),
        outcome: "done".to_owned(),
        removal,
        remote_id: None,
        attributes: "[]".to_owned(),
        status: Some(204),
        detail: None,
        cause: "change".to_owned(),
        run_id: None,
        task_id: None,
        duration_ms: 3,
    }
}

async fn missing(db: &crate::support::Database, provider: ProviderId, group: &ResourceId) -> Vec<String> {
    let delta = db.store.membership_delta(provider, std::slice::from_ref(group)).await.unwrap();
    let mut lines = Vec::new();
    for row in delta.missing {
        let account = if row.remote_id.is_some() { "remote" } else { "none" };
        lines.push(format!("{} {account}", db.name(&row.member_id).await));
    }
    lines.sort();
    lines
}

/// A task that parked one object as refused.
fn parked(link: &ClaimedLink) -> TaskRecord {
    let (park_reason, last_error) = (Some(ParkReason::Refused), Some("refused".to_owned()));
    let result = LinkResult { state: LinkState::Parked, park_reason, last_error, ..unchanged(link) };
    TaskRecord { results: vec![result], ..TaskRecord::default() }
}
