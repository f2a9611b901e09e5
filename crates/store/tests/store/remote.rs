//! What a listing showed: ours, or candidates for adoption (R15, R16).

use scimfleet_core::state::{HoldState, LinkState, ParkReason};
use scimfleet_core::{ResourceId, ResourceKind, RunId};
use scimfleet_store::{LinkResult, MembershipChange, Seen, ShownRow, TaskRecord, Wanted};

use crate::support::{in_sync, on_both, remote, verdict};

const USER: ResourceKind = ResourceKind::User;

on_both! {
    async fn linked_accounts_are_ours_and_strangers_are_candidates(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let elsewhere = db.provider("other", &[]).await;
        let anna = db.id("anna").await;
        db.settle(provider, &anna).await;
        let ours = format!("remote-{anna}");
        let page = [seen(&ours, None, "anna"), seen("s1", Some("e1"), "bert"), seen("s2", None, "carl")];
        let run = RunId(uuid::Uuid::now_v7());
        let linked = db.store.record_seen(provider, USER, run, &page).await.unwrap();
        let linked: Vec<_> = linked.into_iter().map(|(account, link)| (account, link.resource_id)).collect();
        assert_eq!(linked, [(remote(&ours), anna.clone())]);
        let find = async |wishes: &[(Option<&str>, &str)]| {
            let wishes: Vec<_> = wishes.iter().map(|(id, key)| (id.map(str::to_owned), (*key).to_owned())).collect();
            let found = db.store.candidates(provider, USER, &wishes).await.unwrap();
            let mut ids: Vec<String> = found.into_iter().map(|found| found.remote_id.to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(find(&[(Some("e1"), "x"), (None, "carl"), (None, "anna"), (Some("zz"), "none")]).await, ["s1", "s2"]);
        assert_eq!(find(&[(Some("e1"), "bert")]).await, ["s1"], "found twice, told once");
        assert!(db.store.candidates(elsewhere, USER, &[(None, "carl".to_owned())]).await.unwrap().is_empty());
        assert!(db.store.candidates(provider, ResourceKind::Group, &[(None, "carl".to_owned())]).await.unwrap().is_empty());
        let next = RunId(uuid::Uuid::now_v7());
        db.store.record_seen(provider, USER, next, &page[..2]).await.unwrap();
        db.store.forget_unseen(provider, USER, next).await.unwrap();
        assert_eq!(find(&[(None, "bert"), (None, "carl")]).await, ["s1"]);
        assert_eq!(db.store.count_accounts(provider, USER).await.unwrap(), 1);
        assert_eq!(db.store.accounts_after(provider, USER, None, 10).await.unwrap(), [(anna.clone(), remote(&ours))]);
        assert!(db.store.accounts_after(provider, USER, Some(&anna), 10).await.unwrap().is_empty());
    }

    async fn drift_is_noted_once_and_a_write_ends_it(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        db.settle(provider, &anna).await;
        let shown = |text: &str| [ShownRow { resource_id: anna.clone(), shown: text.to_owned() }];
        let (before, now) = (db.store.now_ms() - 60_000, db.store.now_ms() + 60_000);
        db.store.keep_shown(provider, &shown("old page"), before).await.unwrap();
        let baseline = async || {
            let page = [seen(&format!("remote-{anna}"), None, "anna")];
            let run = RunId(uuid::Uuid::now_v7());
            let linked = db.store.record_seen(provider, USER, run, &page).await.unwrap();
            linked.into_values().next().unwrap()
        };
        assert_eq!(baseline().await.shown, None, "a page from before the write says nothing");
        db.store.keep_shown(provider, &shown("one"), now).await.unwrap();
        assert_eq!(baseline().await.shown.as_deref(), Some("one"));
        let noted = async |text: &str, repair: bool| db.store.note_drift(provider, &shown(text), now, repair).await.unwrap();
        assert_eq!(noted("two", false).await, std::slice::from_ref(&anna));
        assert!(noted("two", false).await.is_empty(), "it is news once");
        assert!(!db.link(provider, &anna).await.dirty);
        assert_eq!(noted("three", true).await, std::slice::from_ref(&anna));
        assert!(db.link(provider, &anna).await.dirty);
        let link = db.claim(provider, &anna).await;
        assert!(link.drifted);
        let mended = LinkResult { rewritten: true, ..in_sync(&link) };
        db.store.record(provider, &TaskRecord { results: vec![mended], ..TaskRecord::default() }).await.unwrap();
        let after = baseline().await;
        assert_eq!((after.shown, after.drift), (None, None));
        db.store.keep_shown(provider, &shown("one"), now).await.unwrap();
        assert_eq!(noted("three", true).await, std::slice::from_ref(&anna));
        let link = db.link(provider, &anna).await;
        assert_eq!((link.dirty, link.drifted), (false, true), "the same state is mended once");
        db.store.forget_drift(provider, std::slice::from_ref(&anna)).await.unwrap();
        assert!(!db.link(provider, &anna).await.drifted);
    }

    async fn a_first_match_counts_who_is_there_and_who_fits(db: &Database) {
        let provider = db.provider("acme", &["anna", "bert", "carl"]).await;
        let page = [seen("1", Some("anna"), "x"), seen("2", None, "bert"), seen("3", Some("e"), "y"), seen("4", None, "z")];
        let run = RunId(uuid::Uuid::now_v7());
        db.store.record_seen(provider, USER, run, &page).await.unwrap();
        assert_eq!(db.store.first_match(provider, true, true).await.unwrap(), (3, 4, 2));
        assert_eq!(db.store.first_match(provider, true, false).await.unwrap(), (3, 4, 1));
        let items = db.store.newcomers(provider, 10).await.unwrap();
        assert_eq!((items.len(), items[0].operation.as_str()), (3, "create"));
        assert!(!db.store.has_approved(provider).await.unwrap());
        let hold = db.store.withhold(provider, Some(run), "doubtful", &items).await.unwrap();
        assert!(db.store.newcomers(provider, 10).await.unwrap().is_empty());
        assert!(db.store.decide_hold(&hold, HoldState::Approved, "anna").await.unwrap().unwrap().is_empty());
        assert!(db.store.has_approved(provider).await.unwrap());
        assert_eq!(db.store.newcomers(provider, 10).await.unwrap().len(), 3);
    }

    async fn whoever_the_scope_gives_no_verdict_is_parked_until_it_does(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        db.import(&[r#"{"userName":"bert","externalId":"bert"}"#]).await;
        let (anna, bert) = (db.id("anna").await, db.id("bert").await);
        let why = |id: &ResourceId| (id.clone(), USER, "line 1: no".to_owned());
        db.store.park_unjudged(provider, &[why(&anna), why(&bert)]).await.unwrap();
        for (id, wanted) in [(&anna, Wanted::Yes), (&bert, Wanted::OutOfScope)] {
            let link = db.link(provider, id).await;
            assert_eq!((link.state, link.park_reason, link.wanted), (LinkState::Parked, Some(ParkReason::Invalid), wanted));
            assert_eq!(link.last_error.as_deref(), Some("the scope gave no verdict: line 1: no"));
        }
        let verdicts = [verdict(&anna, Wanted::Yes, false), verdict(&bert, Wanted::OutOfScope, false)];
        db.store.apply_verdicts(provider, &verdicts).await.unwrap();
        assert_eq!(db.link(provider, &anna).await.state, LinkState::Pending);
        assert_eq!(db.link(provider, &bert).await.park_reason, None);
    }

    async fn members_that_were_lost_count_as_not_sent(db: &Database) {
        let provider = db.provider("acme", &["anna", "bert"]).await;
        db.import(&[r#"{"displayName":"team","externalId":"team","members":["anna","bert"]}"#]).await;
        db.store.want_everything(provider).await.unwrap();
        let (team, anna, bert) = (db.id("team").await, db.id("anna").await, db.id("bert").await);
        let sent = |member: &ResourceId, account| MembershipChange {
            group_id: team.clone(),
            member_id: member.clone(),
            remote_id: Some(remote(account)),
        };
        let record = TaskRecord { memberships: vec![sent(&anna, "1"), sent(&bert, "2")], ..TaskRecord::default() };
        db.store.record(provider, &record).await.unwrap();
        assert!(db.store.has_more_memberships(provider, 1).await.unwrap());
        assert!(!db.store.has_more_memberships(provider, 2).await.unwrap());
        db.store.forget_sent_members(provider, &team, &[anna]).await.unwrap();
        assert_eq!(db.store.sent_members(provider, &team).await.unwrap(), [(bert, remote("2"))]);
    }
}

fn seen(id: &str, external_id: Option<&str>, name_key: &str) -> Seen {
    Seen { remote_id: remote(id), external_id: external_id.map(str::to_owned), name_key: Some(name_key.to_owned()) }
}
