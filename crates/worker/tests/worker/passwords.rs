//! Passwords (mission point 7): sent once, then erased; nowhere else to be found.

use scimfleet_core::ResourceKind;
use scimfleet_core::state::ParkReason;
use scimfleet_core::task::Lane;
use scimfleet_testkit::provider::Behaviour;
use serde_json::{Value, json};

use crate::support::{Stage, user};

const USER: ResourceKind = ResourceKind::User;
const CANARY: &str = "canary-9f3a-Pa55";

fn with_password(index: usize, password: &str) -> Value {
    let mut user = user(index);
    user["password"] = json!(password);
    user
}

async fn stage(behaviour: Behaviour) -> Stage {
    Stage::with(behaviour, |settings| settings.passwords = true).await
}

fn held(stage: &Stage, name: &str) -> Option<String> {
    stage.target.password(stage.target.named(USER, name)[0]["id"].as_str().unwrap())
}

async fn pending(stage: &Stage, name: &str) -> usize {
    let id = stage.id(name).await;
    stage.store.pending_passwords(stage.provider, &[id]).await.unwrap().len()
}

#[tokio::test]
async fn a_password_goes_with_the_create_and_once() {
    let stage = stage(Behaviour::default()).await;
    stage.import(&[with_password(0, CANARY), user(1), user(2)]).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!((held(&stage, "u0000").as_deref(), held(&stage, "u0001")), (Some(CANARY), None));
    assert_eq!(pending(&stage, "u0000").await, 0);
    assert_eq!(stage.target.journal().counts.of("PATCH"), 0, "it needed no request of its own");
    let link = stage.link("u0000").await;
    assert!(!link.sent_document.unwrap().contains("assword"));
    let log = stage.store.log_of(&link.resource_id, None, 10).await.unwrap();
    assert!(!format!("{log:?}").contains(CANARY));
    let created = log.iter().find(|row| row.operation == "create").unwrap();
    assert_eq!(created.remote_id, link.remote_id, "the log names the account that was made");
    let mark = stage.target.mark();
    stage.full_sync().await;
    assert_eq!(stage.target.counts_since(&mark).writes(), 0);
}

#[tokio::test]
async fn a_new_password_is_a_write_of_its_own() {
    for (patch, method) in [(true, "PATCH"), (false, "PUT")] {
        let stage = stage(Behaviour { patch, ..Behaviour::default() }).await;
        stage.users(3).await;
        stage.changes(USER, Lane::Changes).await;
        stage.import(&[with_password(1, CANARY)]).await;
        let id = stage.id("u0001").await;
        stage.store.mark(stage.provider, &[id]).await.unwrap();
        let mark = stage.target.mark();
        stage.changes(USER, Lane::Changes).await;
        let counts = stage.target.counts_since(&mark);
        assert_eq!((counts.writes(), counts.of(method)), (1, 1), "{counts:?}");
        assert_eq!((held(&stage, "u0001").as_deref(), pending(&stage, "u0001").await), (Some(CANARY), 0));
        let title = stage.target.named(USER, "u0001")[0]["title"].clone();
        assert_eq!(title, "Engineer", "nothing else is lost");
        stage.assert_well_formed();
    }
}

#[tokio::test]
async fn a_provider_that_cannot_take_it_gets_none() {
    let config = json!({ "changePassword": { "supported": false } });
    let stage = stage(Behaviour { config: config.as_object().unwrap().clone(), ..Behaviour::default() }).await;
    stage.import(&[with_password(0, CANARY)]).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!((held(&stage, "u0000"), pending(&stage, "u0000").await), (None, 1));
}

#[tokio::test]
async fn a_refused_password_is_told_without_it() {
    let refused = Behaviour { attributes_refused: vec!["password".to_owned()], ..Behaviour::default() };
    let stage = stage(refused).await;
    stage.users(1).await;
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[with_password(0, CANARY)]).await;
    let id = stage.id("u0000").await;
    stage.store.mark(stage.provider, &[id]).await.unwrap();
    stage.changes(USER, Lane::Changes).await;
    let link = stage.link("u0000").await;
    assert_eq!(link.park_reason.map(ParkReason::as_str), Some("refused"));
    assert!(!link.last_error.unwrap().contains(CANARY));
}
