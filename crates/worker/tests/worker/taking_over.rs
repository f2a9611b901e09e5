//! Links that another sync kept, and accounts that somebody else has.

use scimfleet_core::state::LinkState;
use scimfleet_core::{RemoteId, ResourceKind};
use scimfleet_testkit::provider::{Behaviour, Paging};
use scimfleet_worker::{Claim, take_over};
use serde_json::json;

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
