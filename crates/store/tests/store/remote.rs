//! What a listing showed: ours, or candidates for adoption (R15, R16).

use scimfleet_core::{ResourceKind, RunId};
use scimfleet_store::Seen;

use crate::support::{on_both, remote};

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
        assert_eq!(linked.into_iter().collect::<Vec<_>>(), [(remote(&ours), anna.clone())]);
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
}

fn seen(id: &str, external_id: Option<&str>, name_key: &str) -> Seen {
    Seen { remote_id: remote(id), external_id: external_id.map(str::to_owned), name_key: Some(name_key.to_owned()) }
}
