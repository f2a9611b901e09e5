//! Links that another sync kept, and accounts that somebody else has.

use scimfleet_core::state::LinkState;
use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_core::{RemoteId, ResourceKind, TaskId};
use scimfleet_testkit::provider::{Behaviour, Paging};
use scimfleet_worker::{Claim, TaskOutcome, process, take_over};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Stage, name, user};

/// As many as need three pages.
const COUNT: usize = 25;

/// Reads that a take-over costs, where the provider pages as given.
async fn reads(paging: Paging) -> u64 {
    let stage = Stage::new(Behaviour { paging, page_size_max: 10, ..Behaviour::default() }).await;
    stage.users(COUNT).await;
    let claim = |index: usize| Claim {
        kind: ResourceKind::User,
        object: format!("u{index:04}"),
        remote_id: RemoteId::parse(stage.target.seed_user(user(index)).unwrap()).unwrap(),
        recorded: None,
    };
    let claims: Vec<Claim> = (0..COUNT).map(claim).collect();
    let provider = stage.worker.providers.get(&name()).await.unwrap().unwrap();
    let mark = stage.target.mark();
    let taken =
        take_over(&stage.store, &stage.worker.evaluator, &provider, &*stage.worker.coordination, claims).await.unwrap();
    assert_eq!((taken.adopted, taken.refused_count), (COUNT as u64, 0), "{paging:?}: {:?}", taken.refused);
    stage.target.counts_since(&mark).of("GET")
}

#[tokio::test]
async fn accounts_are_confirmed_by_the_listing_however_a_provider_pages() {
    for paging in [Paging::Index, Paging::Cursor] {
        assert_eq!(reads(paging).await, 3, "{paging:?}: whom no page shows is asked for by id");
    }
}

/// The listing of a run is older than what becomes of it: a name that was taken then may be free.
#[tokio::test]
async fn a_name_that_came_free_since_the_listing_is_given() {
    let stage = Stage::new(Behaviour::default()).await;
    let mut other = user(0);
    other["externalId"] = json!("somebody-else");
    let account = stage.target.seed_user(other).unwrap();
    stage.users(1).await;
    stage.full_sync_with(|stage| stage.target.remove(ResourceKind::User, &account).unwrap()).await;
    assert_eq!((stage.links(LinkState::InSync).await, stage.target.users_count()), (1, 1));
    assert_eq!(stage.target.named(ResourceKind::User, "u0000")[0]["externalId"], "u0000");
}

/// Whoever has the name is about to let it go, and is late: waiting for that is not the fault of who waits.
#[tokio::test]
async fn waiting_for_a_name_exhausts_nobody() {
    let stage = Stage::new(Behaviour { bulk: false, ..Behaviour::default() }).await;
    stage.users(1).await;
    stage.changes(ResourceKind::User, Lane::Changes).await;
    let mut renamed = user(0);
    renamed["userName"] = json!("moved");
    let mut heir = user(1);
    heir["userName"] = json!("u0000");
    stage.import(&[renamed, heir]).await;
    let heir = stage.id("u0001").await;
    for _ in 0..20 {
        stage.no_more_waiting().await;
        let id = TaskId(Uuid::now_v7());
        let (kind, objects) = (ResourceKind::User, vec![heir.clone()]);
        let task = Task::new(id, None, name(), kind, Lane::Changes, Cause::Change, objects);
        assert_eq!(process(&stage.worker, &task, None).await, TaskOutcome::Completed);
    }
    assert_eq!(stage.link("u0001").await.state, LinkState::Retrying);
    stage.no_more_waiting().await;
    stage.changes(ResourceKind::User, Lane::Changes).await;
    stage.no_more_waiting().await;
    stage.changes(ResourceKind::User, Lane::Changes).await;
    assert_eq!(stage.links(LinkState::InSync).await, 2);
}
