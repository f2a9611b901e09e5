//! Bulk requests (RFC 7644 §3.7): how many requests there are, and that each object meets its own answer.

use scimfleet_core::ResourceKind;
use scimfleet_core::provider::Switch;
use scimfleet_core::scim::resource::ENTERPRISE_URN;
use scimfleet_core::state::{LinkState, Ownership, ParkReason};
use scimfleet_core::task::Lane;
use scimfleet_testkit::provider::{Behaviour, Fault, Matcher};
use serde_json::{Value, json};

use crate::support::{Stage, group, user};

const USER: ResourceKind = ResourceKind::User;

fn bulk_requests(stage: &Stage) -> usize {
    stage.target.journal().matching("POST", "/Bulk").count()
}

#[tokio::test]
async fn a_first_sync_takes_less_than_a_tenth_of_the_requests() {
    let stage = Stage::new(Behaviour::default()).await;
    stage.users(250).await;
    let everyone: Vec<String> = (0..50).map(|index| format!("u{index:04}")).collect();
    let members: Vec<&str> = everyone.iter().map(String::as_str).collect();
    let groups: Vec<Value> = (0..20).map(|index| group(&format!("Group {index}"), &members)).collect();
    stage.import(&groups).await;
    let counts = stage.full_sync().await;
    assert_eq!((stage.target.users_count(), stage.target.groups_count()), (250, 20));
    assert_eq!(stage.links(LinkState::InSync).await, 270);
    let journal = stage.target.journal();
    assert!(journal.counts.total() < 27, "{:?}", journal.counts);
    assert_eq!(journal.counts.writes(), bulk_requests(&stage) as u64);
    assert_eq!(counts.requests["bulk_operations"], 270);
    assert_eq!(counts.requests["POST"], journal.counts.writes());
    assert_eq!(journal.counts.bulk_operations, 270);
    let mark = stage.target.mark();
    assert_eq!(stage.full_sync().await.requests.get("POST"), None);
    assert_eq!(stage.target.counts_since(&mark).writes(), 0);
    stage.assert_well_formed();
}

#[tokio::test]
async fn changes_and_removals_travel_together_too() {
    let stage = Stage::new(Behaviour::default()).await;
    stage.users(12).await;
    stage.changes(USER, Lane::Changes).await;
    let mark = stage.target.mark();
    let moved: Vec<Value> = (0..4)
        .map(|index| {
            let mut user = user(index);
            user["title"] = json!("Mover");
            user
        })
        .collect();
    stage.import(&moved).await;
    let gone = [stage.id("u0010").await, stage.id("u0011").await];
    stage.store.delete_resources(&gone).await.unwrap();
    stage.store.want_everything(stage.provider).await.unwrap();
    stage.changes(USER, Lane::Changes).await;
    let journal = stage.target.since(&mark);
    assert_eq!(journal.counts.writes(), 2, "four PATCHes in one request, two DELETEs in another: {:?}", journal.counts);
    assert_eq!(journal.counts.bulk_operations, 6);
    assert_eq!(stage.target.users_count(), 10);
    assert_eq!(stage.target.named(USER, "u0003")[0]["title"], "Mover");
    stage.assert_well_formed();
}

#[tokio::test]
async fn a_single_write_and_a_provider_that_forbids_it_go_without() {
    let stage = Stage::new(Behaviour::default()).await;
    stage.users(1).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.target.journal().matching("POST", "/Users").count(), 1);
    let stage = Stage::with(Behaviour::default(), |settings| settings.bulk = Switch::Off).await;
    stage.users(5).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!((bulk_requests(&stage), stage.target.journal().matching("POST", "/Users").count()), (0, 5));
}

#[tokio::test]
async fn the_limits_of_the_provider_are_kept() {
    let limits = Behaviour { bulk_operations_max: 7, ..Behaviour::default() };
    let stage = Stage::new(limits).await;
    stage.users(20).await;
    stage.changes(USER, Lane::Changes).await;
    let journal = stage.target.journal();
    let sizes: Vec<usize> = journal.matching("POST", "/Bulk").map(|entry| entry.operations).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>(), sizes.iter().max()), (3, 20, Some(&7)));
    assert_eq!(journal.counts.answered(413), 0);

    let small = Behaviour { bulk_payload_bytes_max: 2_000, journal_bodies: true, ..Behaviour::default() };
    let stage = Stage::new(small).await;
    stage.users(20).await;
    stage.changes(USER, Lane::Changes).await;
    let journal = stage.target.journal();
    let bytes: Vec<usize> = journal.matching("POST", "/Bulk").map(|entry| entry.body.as_ref().unwrap().len()).collect();
    assert!(bytes.iter().all(|bytes| *bytes <= 2_000) && bytes.iter().any(|bytes| *bytes > 1_500), "{bytes:?}");
    assert_eq!((journal.counts.answered(413), stage.target.users_count()), (0, 20));
}

#[tokio::test]
async fn a_limit_that_was_not_announced_is_found_by_halving() {
    let config = json!({ "bulk": { "supported": true, "maxOperations": 1000, "maxPayloadSize": 1_048_576 } });
    let behaviour =
        Behaviour { bulk_operations_max: 8, config: config.as_object().unwrap().clone(), ..Behaviour::default() };
    let stage = Stage::new(behaviour).await;
    stage.users(24).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.target.users_count(), 24);
    assert_eq!(stage.links(LinkState::InSync).await, 24);
    let row = stage.store.providers().await.unwrap().remove(0);
    assert_eq!(row.remembered["bulk_operations"], 6);
    let mark = stage.target.mark();
    let more: Vec<Value> = (24..40).map(user).collect();
    stage.import(&more).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.target.counts_since(&mark).answered(413), 0, "what was found is remembered");
}

#[tokio::test]
async fn whoever_lies_about_bulk_is_asked_once() {
    for status in [404, 405, 501] {
        let stage = Stage::new(Behaviour::default()).await;
        stage.target.script(Matcher::on("POST", "/Bulk").times(Matcher::EVER), Fault::Status(status));
        stage.users(10).await;
        stage.changes(USER, Lane::Changes).await;
        let more: Vec<Value> = (10..20).map(user).collect();
        stage.import(&more).await;
        stage.changes(USER, Lane::Changes).await;
        let creates = stage.target.journal().matching("POST", "/Users").count();
        assert_eq!((bulk_requests(&stage), creates, stage.target.users_count()), (1, 20, 20), "{status}");
        assert_eq!(stage.links(LinkState::InSync).await, 20, "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_creates_nobody_twice() {
    // Applied and not told, garbage, and a gateway's page: nobody knows, so everybody is looked up first.
    let faults =
        [Fault::DropAnswerAfterApplying, Fault::EmptyAfterApplying, Fault::Garbage, Fault::StatusAfterApplying(503)];
    for fault in faults {
        let stage = Stage::new(Behaviour::default()).await;
        stage.target.script(Matcher::on("POST", "/Bulk"), fault.clone());
        stage.users(10).await;
        stage.changes(USER, Lane::Changes).await;
        assert_eq!(stage.links(LinkState::Retrying).await, 10, "{fault:?}");
        stage.no_more_waiting().await;
        stage.changes(USER, Lane::Changes).await;
        assert_eq!(stage.target.users_count(), 10, "{fault:?}");
        assert_eq!(stage.target.duplicates(USER), Vec::<String>::new(), "{fault:?}");
        assert_eq!(stage.links(LinkState::InSync).await, 10, "{fault:?}");
        assert_eq!(stage.link("u0000").await.ownership, Some(Ownership::Created), "{fault:?}");
    }
}

#[tokio::test]
async fn each_object_meets_its_own_answer() {
    let refused = Behaviour { characters_refused: "%".to_owned(), ..Behaviour::default() };
    let stage = Stage::new(refused).await;
    stage.target.seed_user(json!({ "userName": "u0001", "externalId": "u0001" })).unwrap();
    stage.target.seed_user(json!({ "userName": "u0002", "externalId": "somebody else" })).unwrap();
    stage.users(6).await;
    let mut bad = user(3);
    bad["name"]["familyName"] = json!("100 %");
    stage.import(&[bad]).await;
    // Nobody is found by a look-up, so that the creates meet the 409.
    stage.target.script(Matcher::on("GET", "/Users").times(12), Fault::Body(200, r#"{"Resources":[]}"#.to_owned()));
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.link("u0001").await.ownership, Some(Ownership::Adopted));
    for (name, reason) in [("u0002", "conflict"), ("u0003", "refused")] {
        let link = stage.link(name).await;
        assert_eq!((link.state, link.park_reason.map(ParkReason::as_str)), (LinkState::Parked, Some(reason)));
    }
    assert_eq!(stage.links(LinkState::InSync).await, 4);
    assert_eq!(stage.target.users_count(), 5);
}

#[tokio::test]
async fn a_list_that_ends_early_leaves_the_rest_unknown() {
    let stage = Stage::new(Behaviour::default()).await;
    let first = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"], "Operations": [
        { "method": "POST", "bulkId": "n0", "status": "400", "response": { "status": "400", "detail": "no" } } ] });
    stage.target.script(Matcher::on("POST", "/Bulk"), Fault::Body(200, first.to_string()));
    stage.users(8).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!((stage.links(LinkState::Parked).await, stage.links(LinkState::Retrying).await), (1, 7));
    let row = stage.store.providers().await.unwrap().remove(0);
    assert_eq!(row.state.as_str(), "active", "one short list is not the provider's end");
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.target.users_count(), 7);
}

#[tokio::test]
async fn a_bulk_request_that_is_throttled_counts_no_attempt() {
    let stage = Stage::new(Behaviour::default()).await;
    stage.target.script(Matcher::on("POST", "/Bulk"), Fault::Throttled("7".to_owned()));
    stage.users(10).await;
    stage.changes(USER, Lane::Changes).await;
    let link = stage.link("u0005").await;
    assert_eq!((link.state, link.attempts, link.dirty), (LinkState::Pending, 0, true));
    assert!(link.due_at_ms > stage.store.now_ms());
    assert_eq!(stage.target.users_count(), 0);
}

#[tokio::test]
async fn a_group_s_chunks_never_share_a_request() {
    let stage = Stage::with(Behaviour::default(), |settings| {
        let narrow = json!({ "members_in_create": false, "members_per_patch": 10 });
        settings.profile_override = narrow.as_object().unwrap().clone();
    })
    .await;
    stage.users(30).await;
    stage.changes(USER, Lane::Changes).await;
    let everyone: Vec<String> = (0..30).map(|index| format!("u{index:04}")).collect();
    let members: Vec<&str> = everyone.iter().map(String::as_str).collect();
    stage.import(&[group("One", &members), group("Two", &members)]).await;
    let mark = stage.target.mark();
    stage.changes(ResourceKind::Group, Lane::Changes).await;
    let journal = stage.target.since(&mark);
    let sizes: Vec<usize> = journal.matching("POST", "/Bulk").map(|entry| entry.operations).collect();
    assert_eq!(sizes, [2, 2, 2, 2], "two creates, then three PATCHes for each, one after the other");
    assert_eq!(stage.target.named(ResourceKind::Group, "Two")[0]["members"].as_array().unwrap().len(), 30);
    stage.assert_well_formed();
}

fn reports(count: usize) -> Vec<Value> {
    let report = |index: usize| {
        let mut user = user(index);
        if index > 0 {
            user[ENTERPRISE_URN] = json!({ "manager": { "value": format!("u{:04}", (index - 1) / 8) } });
        }
        user
    };
    (0..count).map(report).collect()
}

/// Everybody whose manager is not the account of whom the directory names.
fn misled(stage: &Stage, count: usize) -> Vec<String> {
    let account = |index: usize| stage.target.named(USER, &format!("u{index:04}"))[0].clone();
    let wrong = |index: &usize| account(*index)[ENTERPRISE_URN]["manager"]["value"] != account((*index - 1) / 8)["id"];
    (1..count).filter(wrong).map(|index| account(index).to_string()).collect()
}

#[tokio::test]
async fn managers_of_one_task_need_no_second_write() {
    let stage = Stage::with_references(Behaviour::default()).await;
    stage.import(&reports(80)).await;
    stage.changes(USER, Lane::Changes).await;
    let journal = stage.target.journal();
    assert_eq!(misled(&stage, 80), Vec::<String>::new());
    assert_eq!((journal.counts.bulk_operations, stage.links(LinkState::InSync).await), (80, 80));
    let proofs = journal.entries.iter().filter(|one| one.method == "GET" && one.path.starts_with("/Users/")).count();
    assert_eq!(proofs, 1, "what the provider makes of a reference is seen once");
    let row = stage.store.providers().await.unwrap().remove(0);
    assert_eq!(row.remembered["bulk_references"], true);
    let mark = stage.target.mark();
    stage.full_sync().await;
    assert_eq!(stage.target.counts_since(&mark).writes(), 0);
    stage.assert_well_formed();
}

#[tokio::test]
async fn an_account_of_an_earlier_request_is_referred_to_without_a_switch() {
    let stage = Stage::new(Behaviour { bulk_operations_max: 20, ..Behaviour::default() }).await;
    stage.import(&reports(100)).await;
    stage.changes(USER, Lane::Changes).await;
    let counts = stage.target.journal().counts;
    let late = stage.links(LinkState::Waiting).await + stage.links(LinkState::Pending).await;
    assert_eq!(counts.bulk_operations, 100);
    assert!(late < 99, "nobody went after the manager");
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(misled(&stage, 100), Vec::<String>::new());
    assert_eq!(stage.target.journal().counts.bulk_operations, 100 + late);
    stage.assert_well_formed();
}

#[tokio::test]
async fn whoever_keeps_a_reference_as_text_is_sent_none_again() {
    let stage =
        Stage::with(Behaviour { bulk_ids_resolved: false, journal_bodies: true, ..Behaviour::default() }, |settings| {
            "rfc-strict".clone_into(&mut settings.profile);
        })
        .await;
    stage.import(&reports(9)).await;
    stage.changes(USER, Lane::Changes).await;
    let row = stage.store.providers().await.unwrap().remove(0);
    assert_eq!(row.remembered["bulk_references"], false);
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(misled(&stage, 9), Vec::<String>::new());
    let mark = stage.target.mark();
    stage.import(&reports(40)[9..]).await;
    stage.changes(USER, Lane::Changes).await;
    stage.changes(USER, Lane::Changes).await;
    let journal = stage.target.since(&mark);
    let bodies = journal.entries.iter().filter_map(|one| one.body.as_deref());
    assert_eq!(bodies.filter(|body| String::from_utf8_lossy(body).contains("bulkId:")).count(), 0);
    assert_eq!(misled(&stage, 40), Vec::<String>::new());
    assert_eq!(stage.links(LinkState::InSync).await, 40);
}

#[tokio::test]
async fn a_manager_who_is_refused_takes_nobody_along() {
    let stage = Stage::with_references(Behaviour { characters_refused: "%".to_owned(), ..Behaviour::default() }).await;
    let mut people = reports(20);
    people[1]["name"]["familyName"] = json!("100 %");
    stage.import(&people).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.target.users_count(), 19, "everybody but the one who is refused");
    assert_eq!(stage.link("u0001").await.state, LinkState::Parked);
    // u0009 to u0016 report to u0001, and are there without.
    assert_eq!(stage.target.named(USER, "u0009")[0][ENTERPRISE_URN], Value::Null);
    assert_eq!((stage.link("u0009").await.state, stage.links(LinkState::InSync).await), (LinkState::Waiting, 11));
    people[1]["name"]["familyName"] = json!("Hundred");
    stage.import(&people[1..2]).await;
    stage.changes(USER, Lane::Changes).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(misled(&stage, 20), Vec::<String>::new());
    assert_eq!(stage.links(LinkState::InSync).await, 20);
}

#[tokio::test]
async fn two_who_report_to_each_other_are_created_all_the_same() {
    let stage = Stage::with_references(Behaviour::default()).await;
    let mut people: Vec<Value> = (0..3).map(user).collect();
    for (index, manager) in [(0, "u0001"), (1, "u0000"), (2, "u0002")] {
        people[index][ENTERPRISE_URN] = json!({ "manager": { "value": manager } });
    }
    stage.import(&people).await;
    stage.changes(USER, Lane::Changes).await;
    stage.changes(USER, Lane::Changes).await;
    stage.changes(USER, Lane::Changes).await;
    for (index, manager) in [(0, 1), (1, 0), (2, 2)] {
        let account = |index: usize| stage.target.named(USER, &format!("u{index:04}"))[0].clone();
        assert_eq!(account(index)[ENTERPRISE_URN]["manager"]["value"], account(manager)["id"], "{index}");
    }
    assert_eq!(stage.links(LinkState::InSync).await, 3);
}
