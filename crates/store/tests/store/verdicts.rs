//! Verdicts: whether an object is wanted at a provider, and what is owed because of it.

use scimfleet_core::state::{LinkState, ParkReason};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{LeaverPlace, LinkResult, Opening, Owed, Parked, RunKind, Share, TaskRecord, Wanted};

use crate::support::{on_both, unchanged, verdict};

on_both! {
    async fn a_link_comes_goes_and_comes_back(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        db.import(&[r#"{"userName":"anna"}"#]).await;
        let anna = db.id("anna").await;
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::OutOfScope, true)]).await.unwrap();
        assert!(db.store.links_of(&anna).await.unwrap().is_empty(), "nobody is linked to be left out");
        for (wanted, state) in [
            (Wanted::Yes, LinkState::Pending),
            (Wanted::OutOfScope, LinkState::Leaving),
            (Wanted::Yes, LinkState::Pending),
            (Wanted::Deleted, LinkState::Leaving),
        ] {
            db.store.apply_verdicts(provider, &[verdict(&anna, wanted, false)]).await.unwrap();
            let link = db.link(provider, &anna).await;
            assert_eq!((link.wanted, link.state, link.dirty), (wanted, state, true));
        }
    }

    async fn the_same_verdict_marks_only_what_changed(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        db.settle(provider, &anna).await;
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Yes, false)]).await.unwrap();
        assert!(!db.link(provider, &anna).await.dirty);
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Yes, true)]).await.unwrap();
        let link = db.link(provider, &anna).await;
        assert_eq!((link.state, link.dirty), (LinkState::InSync, true));
    }

    async fn what_is_gone_stays_gone_until_wanted(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Deleted, true)]).await.unwrap();
        let claimed = db.claim(provider, &anna).await;
        let gone = LinkResult { state: LinkState::Gone, remote_id: None, ..unchanged(&claimed) };
        db.store.record(provider, &TaskRecord { results: vec![gone], ..TaskRecord::default() }).await.unwrap();
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Deleted, true)]).await.unwrap();
        db.store.want_no_tombstones(provider).await.unwrap();
        assert!(!db.link(provider, &anna).await.dirty);
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Yes, true)]).await.unwrap();
        let link = db.link(provider, &anna).await;
        assert_eq!((link.state, link.dirty), (LinkState::Pending, true));
    }

    async fn an_inactive_user_without_an_account_follows_the_scope(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        let claimed = db.claim(provider, &anna).await;
        let gone = LinkResult { state: LinkState::Gone, remote_id: None, still_dirty: false, ..unchanged(&claimed) };
        db.store.record(provider, &TaskRecord { results: vec![gone], ..TaskRecord::default() }).await.unwrap();
        let verdict = async |wanted, changed| {
            db.store.apply_verdicts(provider, &[verdict(&anna, wanted, changed)]).await.unwrap();
            let link = db.link(provider, &anna).await;
            (link.wanted, link.state, link.dirty)
        };
        assert_eq!(verdict(Wanted::OutOfScope, true).await, (Wanted::OutOfScope, LinkState::Gone, false));
        assert_eq!(verdict(Wanted::Yes, false).await, (Wanted::Yes, LinkState::Pending, true));
        let claimed = db.claim(provider, &anna).await;
        let gone = LinkResult { state: LinkState::Gone, remote_id: None, still_dirty: false, ..unchanged(&claimed) };
        db.store.record(provider, &TaskRecord { results: vec![gone], ..TaskRecord::default() }).await.unwrap();
        assert_eq!(verdict(Wanted::Yes, true).await, (Wanted::Yes, LinkState::Gone, true));
        db.claim(provider, &anna).await;
        assert_eq!(
            verdict(Wanted::Deleted, false).await,
            (Wanted::Deleted, LinkState::Leaving, true),
            "an account is perhaps being made at this moment"
        );
    }

    async fn wanting_everything_reaches_all_and_lets_tombstones_go(db: &Database) {
        let provider = db.provider("acme", &["anna", "bert"]).await;
        let ids = db.ids(&["anna", "bert"]).await;
        db.settle(provider, &ids[1]).await;
        db.import(&[r#"{"displayName":"G"}"#]).await;
        db.store.apply_verdicts(provider, &[verdict(&ids[0], Wanted::OutOfScope, false)]).await.unwrap();
        db.store.delete_resources(&ids[1..]).await.unwrap();
        db.store.want_everything(provider).await.unwrap();
        let anna = db.link(provider, &ids[0]).await;
        assert_eq!((anna.wanted, anna.state), (Wanted::Yes, LinkState::Pending));
        let bert = db.link(provider, &ids[1]).await;
        assert_eq!((bert.wanted, bert.state, bert.dirty), (Wanted::Deleted, LinkState::Leaving, true));
        assert_eq!(db.link(provider, &db.id("G").await).await.kind, ResourceKind::Group);
        let before = db.store.link_counts(provider).await.unwrap();
        db.store.want_everything(provider).await.unwrap();
        assert_eq!(db.store.link_counts(provider).await.unwrap(), before);
    }

    async fn what_moved_past_its_sync_is_marked(db: &Database) {
        let provider = db.provider("acme", &["anna", "bert"]).await;
        for id in db.ids(&["anna", "bert"]).await {
            db.settle(provider, &id).await;
        }
        assert_eq!(db.store.mark_moved(provider).await.unwrap(), 0);
        db.import(&[r#"{"userName":"anna","externalId":"anna","title":"x"}"#]).await;
        assert_eq!(db.store.mark_moved(provider).await.unwrap(), 1);
        assert_eq!(names(db, provider).await, ["anna"]);
    }

    async fn leavers_are_owed_first(db: &Database) {
        let provider = db.provider("acme", &["a", "b", "c", "d"]).await;
        db.import(&[r#"{"displayName":"G"}"#, r#"{"userName":"d","externalId":"d","active":false}"#]).await;
        db.store.want_everything(provider).await.unwrap();
        let ids = db.ids(&["a", "b", "c", "d"]).await;
        let verdicts = [verdict(&ids[2], Wanted::OutOfScope, false), verdict(&ids[3], Wanted::Yes, true)];
        db.store.apply_verdicts(provider, &verdicts).await.unwrap();
        let owed = db.store.owed(provider, None, 100).await.unwrap();
        let leaving: Vec<bool> = owed.iter().map(|owed| owed.leaving).collect();
        assert_eq!(leaving, [true, true, false, false, false]);
        let mut first: Vec<&ResourceId> = owed[..2].iter().map(|owed| &owed.resource_id).collect();
        first.sort();
        assert_eq!(first, [&ids[2], &ids[3]]);
        assert_eq!(owed[4].kind, ResourceKind::Group);
        assert_eq!(db.store.owed(provider, None, 2).await.unwrap().len(), 2);
    }

    async fn what_is_queued_is_not_owed_but_who_leaves_is(db: &Database) {
        let provider = db.provider("acme", &["anna", "bert"]).await;
        let ids = db.ids(&["anna", "bert"]).await;
        db.store.mark_queued(provider, &ids).await.unwrap();
        assert_eq!(db.store.owed(provider, None, 10).await.unwrap(), []);
        db.store.apply_verdicts(provider, &[verdict(&ids[0], Wanted::Yes, true)]).await.unwrap();
        assert_eq!(db.store.owed(provider, None, 10).await.unwrap(), [], "one message is enough");
        db.store.apply_verdicts(provider, &[verdict(&ids[1], Wanted::OutOfScope, false)]).await.unwrap();
        assert_eq!(ids_of(&db.store.owed(provider, None, 10).await.unwrap()), [&ids[1]]);
        db.store.forget_queued().await.unwrap();
        assert_eq!(db.store.owed(provider, None, 10).await.unwrap().len(), 2);
    }

    async fn a_message_that_was_worked_on_hides_no_later_change(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        db.settle(provider, &anna).await;
        // The worker was faster than the one who published.
        db.store.mark_queued(provider, std::slice::from_ref(&anna)).await.unwrap();
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Yes, true)]).await.unwrap();
        assert_eq!(ids_of(&db.store.owed(provider, None, 10).await.unwrap()), [&anna]);
    }

    async fn claimed_later_and_parked_objects_are_not_owed(db: &Database) {
        let provider = db.provider("acme", &["a", "b", "c", "d"]).await;
        let ids = db.ids(&["a", "b", "c", "d"]).await;
        let links = [db.claim(provider, &ids[0]).await, db.claim(provider, &ids[1]).await, db.claim(provider, &ids[2]).await];
        let later = LinkResult {
            state: LinkState::Retrying,
            still_dirty: true,
            due_at_ms: db.store.now_ms() + 600_000,
            attempts: 1,
            ..unchanged(&links[1])
        };
        let parked = LinkResult {
            state: LinkState::Parked,
            park_reason: Some(ParkReason::Refused),
            last_error: Some("no\0way".to_owned()),
            ..unchanged(&links[2])
        };
        let record = TaskRecord { results: vec![later, parked], ..TaskRecord::default() };
        db.store.record(provider, &record).await.unwrap();
        assert_eq!(names(db, provider).await, ["d"]);
        let dirty = db.store.dirty_after(provider, ResourceKind::User, Share::Wanted, None, 10).await.unwrap();
        assert_eq!(dirty.len(), 2, "a and d are due, b later, c parked");
        assert_eq!(db.link(provider, &ids[2]).await.last_error.as_deref(), Some("no\u{fffd}way"));
        assert_eq!(db.store.retry_parked(&Parked { provider: Some(provider), ..Parked::default() }).await.unwrap(), 1);
        assert_eq!(names(db, provider).await, ["c", "d"]);
    }

    async fn a_parked_object_is_given_up_until_it_changes_but_never_a_leaver(db: &Database) {
        let provider = db.provider("acme", &["anna", "bert", "cora"]).await;
        let ids = db.ids(&["anna", "bert", "cora"]).await;
        for id in &ids[..2] {
            db.settle(provider, id).await;
        }
        db.store.apply_verdicts(provider, &[verdict(&ids[1], Wanted::OutOfScope, true)]).await.unwrap();
        for id in &ids {
            db.store.park(provider, id, "no way").await.unwrap();
        }
        let all = Parked { provider: Some(provider), ..Parked::default() };
        let other = Parked { words: Some("other".to_owned()), ..all.clone() };
        assert_eq!(db.store.drop_parked(&other).await.unwrap(), 0);
        assert_eq!(db.store.drop_parked(&all).await.unwrap(), 2);
        let states = [LinkState::Kept, LinkState::Parked, LinkState::Kept];
        for (id, state) in ids.iter().zip(states) {
            assert_eq!(db.link(provider, id).await.state, state, "{id}: access that is owed is not forgotten");
        }
        assert_eq!(db.store.retry_parked(&all).await.unwrap(), 1, "only the leaver is parked still");
        db.store.apply_verdicts(provider, &[verdict(&ids[0], Wanted::Yes, true)]).await.unwrap();
        assert!(db.link(provider, &ids[0]).await.dirty, "a change brings it back");
    }

    async fn leavers_are_listed_page_by_page(db: &Database) {
        let names = ["a", "b", "c"];
        let (acme, beta) = (db.provider("acme", &names).await, db.provider("beta", &names).await);
        for id in &db.ids(&names).await {
            for provider in [acme, beta] {
                db.settle(provider, id).await;
                db.store.apply_verdicts(provider, &[verdict(id, Wanted::OutOfScope, true)]).await.unwrap();
            }
        }
        let (mut seen, mut after): (Vec<LeaverPlace>, Option<LeaverPlace>) = (Vec::new(), None);
        loop {
            let page = db.store.leavers(0, None, after.as_ref(), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.place().to_string().parse().unwrap());
            seen.extend(page.iter().map(scimfleet_store::Leaver::place));
        }
        let all = db.store.leavers(0, None, None, 10).await.unwrap();
        assert_eq!(seen, all.iter().map(scimfleet_store::Leaver::place).collect::<Vec<_>>());
        assert_eq!(seen.len(), 6);
        assert_eq!(db.store.leavers(0, Some(beta), None, 10).await.unwrap().len(), 3);
        assert!("x".parse::<LeaverPlace>().is_err());
    }

    async fn a_parked_object_that_changed_gets_its_chance(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        let anna = db.id("anna").await;
        let claimed = db.claim(provider, &anna).await;
        let parked = LinkResult {
            state: LinkState::Parked,
            park_reason: Some(ParkReason::Exhausted),
            attempts: 12,
            ..unchanged(&claimed)
        };
        db.store.record(provider, &TaskRecord { results: vec![parked], ..TaskRecord::default() }).await.unwrap();
        db.store.apply_verdicts(provider, &[verdict(&anna, Wanted::Yes, true)]).await.unwrap();
        let link = db.link(provider, &anna).await;
        assert_eq!((link.state, link.park_reason, link.attempts), (LinkState::Pending, None, 0));
    }

    async fn dirty_objects_come_page_by_page(db: &Database) {
        let provider = db.provider("acme", &["a", "b", "c", "d", "e"]).await;
        let mut ids = db.ids(&["a", "b", "c", "d", "e"]).await;
        db.store.apply_verdicts(provider, &[verdict(&ids[4], Wanted::OutOfScope, false)]).await.unwrap();
        let leaving = db.store.dirty_after(provider, ResourceKind::User, Share::Leaving, None, 9).await.unwrap();
        assert_eq!(leaving, [ids.pop().unwrap()]);
        ids.sort();
        let page = |after: Option<ResourceId>| {
            let store = &db.store;
            async move { store.dirty_after(provider, ResourceKind::User, Share::Wanted, after.as_ref(), 3).await.unwrap() }
        };
        assert_eq!(page(None).await, ids[..3]);
        assert_eq!(page(Some(ids[2].clone())).await, ids[3..]);
        let run = db.store.queue_run(provider, RunKind::Full, Opening::Asked).await.unwrap().unwrap();
        let settled = async || db.store.count_settled(provider, ResourceKind::User, run).await.unwrap();
        assert_eq!(settled().await, 0);
        db.settle(provider, &ids[0]).await;
        assert_eq!(settled().await, 1);
    }
}

fn ids_of(owed: &[Owed]) -> Vec<&ResourceId> {
    owed.iter().map(|owed| &owed.resource_id).collect()
}

async fn names(db: &crate::support::Database, provider: scimfleet_core::ProviderId) -> Vec<String> {
    let mut names = Vec::new();
    for owed in db.store.owed(provider, None, 100).await.unwrap() {
        names.push(db.name(&owed.resource_id).await);
    }
    names.sort();
    names
}
