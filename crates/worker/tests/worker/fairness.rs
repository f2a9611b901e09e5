//! A provider that is slow holds nothing that others could use.

use std::sync::Arc;
use std::time::Duration;

use scimfleet_core::ResourceKind;
use scimfleet_core::task::Lane;
use scimfleet_testkit::provider::{Behaviour, Fault, Matcher};
use scimfleet_worker::Places;

use crate::support::Stage;

const USER: ResourceKind = ResourceKind::User;
const USERS: usize = 20;

/// Two providers of one worker, which has fewer places for requests than one of them may use.
#[tokio::test]
async fn a_provider_that_never_answers_keeps_no_place_from_others() {
    let behaviour = || Behaviour { bulk: false, ..Behaviour::default() };
    let mut slow = Stage::with(behaviour(), |settings| settings.in_flight = 8).await;
    let mut quick = Stage::new(behaviour()).await;
    let places = Arc::new(Places::new(4));
    for stage in [&mut slow, &mut quick] {
        stage.worker.requests = places.clone();
        // Until a first answer came, one request goes at a time.
        stage.users(1).await;
        stage.changes(USER, Lane::Sync).await;
        stage.users(USERS + 1).await;
    }
    slow.target.script(Matcher::on("POST", "/Users").times(Matcher::EVER), Fault::BlackHole);
    let others = async {
        // The slow one takes all that it gets before the others begin.
        tokio::time::sleep(Duration::from_millis(300)).await;
        // Well before the first request of the slow one is given up, after 30 s.
        tokio::time::timeout(Duration::from_secs(15), quick.changes(USER, Lane::Sync)).await
    };
    tokio::select! {
        _ = slow.changes(USER, Lane::Sync) => panic!("the slow one was given up first"),
        sent = others => assert_eq!(sent, Ok(USERS), "others waited for the slow one"),
    }
    assert_eq!(quick.target.users_count(), USERS + 1);
}
