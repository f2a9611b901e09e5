//! Waiting for another object (R24): whatever the interleaving, nobody waits for ever (hazard 32).

use scimfleet_core::state::LinkState;
use scimfleet_core::{ProviderId, ResourceId};
use scimfleet_store::{ClaimedLink, LinkResult, Recorded, Store, TaskRecord, Wanted};

use crate::support::{LONG, in_sync, on_both, unchanged, verdict};

/// Interleavings of one wait with one arrival on each database.
const ROUNDS: usize = 150;

on_both! {
    async fn who_waited_is_woken_once(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        db.import(&[r#"{"displayName":"G"}"#, r#"{"displayName":"H"}"#]).await;
        db.store.want_everything(provider).await.unwrap();
        let ids = db.ids(&["anna", "G", "H"]).await;
        for group in &ids[1..] {
            let recorded = wait(&db.store, provider, db.claim(provider, group).await, &ids[0]).await;
            assert_eq!(recorded.again, []);
            assert!(!db.link(provider, group).await.dirty);
        }
        let recorded = arrive(&db.store, provider, db.claim(provider, &ids[0]).await).await;
        let mut expected = ids[1..].to_vec();
        expected.sort();
        assert_eq!(recorded.woken, expected);
        assert!(db.link(provider, &ids[1]).await.dirty);
        let recorded = arrive(&db.store, provider, db.claim(provider, &ids[0]).await).await;
        assert_eq!(recorded.woken, []);
        let recorded = wait(&db.store, provider, db.claim(provider, &ids[1]).await, &ids[0]).await;
        assert_eq!(recorded.again, [ids[1].clone()], "what is there is not waited for");
        assert_eq!(db.store.mark_waiting(provider).await.unwrap(), 0);
    }

    async fn nobody_waits_for_what_will_not_come(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        db.import(&[r#"{"displayName":"G"}"#, r#"{"displayName":"H"}"#]).await;
        db.store.want_everything(provider).await.unwrap();
        let ids = db.ids(&["anna", "G", "H"]).await;
        let recorded = wait(&db.store, provider, db.claim(provider, &ids[1]).await, &ids[0]).await;
        assert_eq!(recorded.again, [], "she is about to come");
        let late = db.claim(provider, &ids[2]).await;
        db.store.apply_verdicts(provider, &[verdict(&ids[0], Wanted::OutOfScope, false)]).await.unwrap();
        let anna = db.claim(provider, &ids[0]).await;
        let gone = LinkResult { state: LinkState::Gone, remote_id: None, still_dirty: false, ..in_sync(&anna) };
        let record = TaskRecord { results: vec![gone], ..TaskRecord::default() };
        let recorded = db.store.record(provider, &record).await.unwrap();
        assert_eq!(recorded.woken, [ids[1].clone()], "she left before she came");
        assert!(db.link(provider, &ids[1]).await.dirty);
        let recorded = wait(&db.store, provider, late, &ids[0]).await;
        assert_eq!(recorded.again, [ids[2].clone()], "she left while somebody began to wait");
    }

    async fn who_was_deleted_is_not_there_before_the_relay_comes_by(db: &Database) {
        let provider = db.provider("acme", &["anna", "boss"]).await;
        let ids = db.ids(&["anna", "boss"]).await;
        db.settle(provider, &ids[1]).await;
        db.store.delete_resources(&ids[1..]).await.unwrap();
        let anna = db.claim(provider, &ids[0]).await;
        let waits = vec![(ids[0].clone(), ids[1].clone())];
        let record = TaskRecord { results: vec![in_sync(&anna)], waits, ..TaskRecord::default() };
        assert_eq!(db.store.record(provider, &record).await.unwrap(), Recorded::default());
    }

    async fn whoever_reports_to_one_who_left_is_looked_at(db: &Database) {
        let report = r#"{"userName":"anna","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"boss"}}}"#;
        let provider = db.provider("acme", &["boss", "zoe"]).await;
        db.import(&[report]).await;
        db.store.want_everything(provider).await.unwrap();
        let ids = db.ids(&["boss", "anna", "zoe"]).await;
        for id in &ids[1..] {
            db.settle(provider, id).await;
        }
        let boss = db.claim(provider, &ids[0]).await;
        let gone = LinkResult { state: LinkState::Gone, remote_id: None, still_dirty: false, ..in_sync(&boss) };
        let record = TaskRecord { results: vec![gone], left: vec![ids[0].clone()], ..TaskRecord::default() };
        let recorded = db.store.record(provider, &record).await.unwrap();
        assert_eq!(recorded.woken, [ids[1].clone()]);
        assert!(db.link(provider, &ids[1]).await.dirty && !db.link(provider, &ids[2]).await.dirty);
    }

    async fn who_only_left_somebody_out_rests(db: &Database) {
        let provider = db.provider("acme", &["anna"]).await;
        db.import(&[r#"{"displayName":"G"}"#]).await;
        db.store.want_everything(provider).await.unwrap();
        let ids = db.ids(&["anna", "G"]).await;
        db.store.apply_verdicts(provider, &[verdict(&ids[0], Wanted::OutOfScope, false)]).await.unwrap();
        let group = db.claim(provider, &ids[1]).await;
        let waits = vec![(ids[1].clone(), ids[0].clone())];
        let record = TaskRecord { results: vec![in_sync(&group)], waits, ..TaskRecord::default() };
        assert_eq!(db.store.record(provider, &record).await.unwrap(), Recorded::default());
        let anna = db.claim(provider, &ids[0]).await;
        let gone = LinkResult { state: LinkState::Gone, remote_id: None, ..in_sync(&anna) };
        let record = TaskRecord { results: vec![gone], ..TaskRecord::default() };
        assert_eq!(db.store.record(provider, &record).await.unwrap(), Recorded::default());
    }

    async fn no_wake_up_is_lost(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let other = db.other().await;
        for round in 0..ROUNDS {
            let (user, group) = (format!("u{round}"), format!("g{round}"));
            db.import(&[
                &format!(r#"{{"userName":"{user}"}}"#),
                &format!(r#"{{"displayName":"{group}"}}"#),
            ]).await;
            db.store.want_everything(provider).await.unwrap();
            let ids = db.ids(&[&user, &group]).await;
            let (user, group) = (db.claim(provider, &ids[0]).await, db.claim(provider, &ids[1]).await);
            // Either one may start first, on either connection.
            let (store, needed) = (other.clone(), ids[0].clone());
            let first = tokio::spawn(async move { wait(&store, provider, group, &needed).await });
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            let store = db.store.clone();
            let second = tokio::spawn(async move { arrive(&store, provider, user).await });
            let (waited, arrived) = (first.await.unwrap(), second.await.unwrap());
            let link = db.link(provider, &ids[1]).await;
            assert!(link.dirty, "round {round}: waits for ever; {waited:?} {arrived:?}");
            assert!(waited.again.contains(&ids[1]) || arrived.woken.contains(&ids[1]));
        }
        other.close().await;
    }

    async fn many_arrive_while_many_wait(db: &Database) {
        let users: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let provider = db.provider("acme", &users).await;
        let groups: Vec<String> = (0..10).map(|n| format!("g{n}")).collect();
        let lines: Vec<String> = groups.iter().map(|name| format!(r#"{{"displayName":"{name}"}}"#)).collect();
        db.import(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
        db.store.want_everything(provider).await.unwrap();
        let users = db.ids(&users).await;
        let mut tasks = tokio::task::JoinSet::new();
        for chunk in users.chunks(4) {
            let (claimed, _) = db.store.claim(provider, "worker", chunk, LONG).await.unwrap();
            let store = db.store.clone();
            tasks.spawn(async move {
                let arrived = claimed.iter().map(|link| link.resource_id.clone()).collect();
                let results = claimed.iter().map(in_sync).collect();
                store.record(provider, &TaskRecord { results, arrived, ..TaskRecord::default() }).await.unwrap();
            });
        }
        let mut waiting = Vec::new();
        for name in &groups {
            let id = db.id(name).await;
            let claimed = db.claim(provider, &id).await;
            waiting.push(id.clone());
            let waits = users.iter().map(|user| (id.clone(), user.clone())).collect();
            let store = db.store.clone();
            tasks.spawn(async move {
                let results = vec![LinkResult { state: LinkState::Waiting, ..unchanged(&claimed) }];
                store.record(provider, &TaskRecord { results, waits, ..TaskRecord::default() }).await.unwrap();
            });
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome.unwrap();
        }
        for id in &waiting {
            assert!(db.link(provider, id).await.dirty, "somebody it needs arrived before or after");
        }
    }
}

async fn wait(store: &Store, provider: ProviderId, link: ClaimedLink, needed: &ResourceId) -> Recorded {
    let result = LinkResult { state: LinkState::Waiting, ..unchanged(&link) };
    let waits = vec![(link.resource_id.clone(), needed.clone())];
    let record = TaskRecord { results: vec![result], expected: waits.clone(), waits, ..TaskRecord::default() };
    store.record(provider, &record).await.unwrap()
}

async fn arrive(store: &Store, provider: ProviderId, link: ClaimedLink) -> Recorded {
    let arrived = vec![link.resource_id.clone()];
    store
        .record(provider, &TaskRecord { results: vec![in_sync(&link)], arrived, ..TaskRecord::default() })
        .await
        .unwrap()
}
