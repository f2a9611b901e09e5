//! Whatever an account shows: planning never panics, and looking at an account never takes it away.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and the place says why")]

use proptest::prelude::*;
use scimfleet_core::RemoteId;
use scimfleet_core::plan::{Operation, Standing, changes, digest, lists, operations, plan_wanted, spoken};
use scimfleet_core::profile::{Profile, curated, shape};
use scimfleet_core::provider::Leavers;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::scim::{Document, ResourceKind};
use scimfleet_core::state::Ownership;
use serde_json::{Value, json};

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        Just(json!("work")),
        Just(json!("a@x")),
    ];
    let names = prop_oneof![
        Just("value".to_owned()),
        Just("type".to_owned()),
        Just("primary".to_owned()),
        Just("members".to_owned()),
        Just("active".to_owned()),
        ".{0,4}",
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Document> {
    let names = prop_oneof![
        Just("userName"),
        Just("active"),
        Just("emails"),
        Just("phoneNumbers"),
        Just("name"),
        Just("members"),
        Just("id"),
        Just("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"),
    ];
    prop::collection::vec((names.prop_map(str::to_owned), anything()), 0..6)
        .prop_map(|members| members.into_iter().collect())
}

fn profiles() -> impl Strategy<Value = Profile> {
    (0..curated::all().len()).prop_map(|index| {
        let switches = curated::all()[index].switches.clone();
        serde_json::from_value(Value::Object(switches)).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_account_may_show_anything(shown in document(), desired in document(), profile in profiles(), sent in any::<bool>()) {
        let id = RemoteId::parse("r1").unwrap();
        let mut desired = desired;
        desired.insert("active".to_owned(), json!(true));
        shape(ResourceKind::User, &mut desired, &profile, SchemaSet::builtin());
        let old = digest(&shown);
        let standing = Standing {
            remote_id: Some(&id),
            ownership: Some(Ownership::Adopted),
            baseline: Some(&shown),
            sent_digest: sent.then_some(old.as_str()),
        };
        for kind in [ResourceKind::User, ResourceKind::Group] {
            let plan = plan_wanted(kind, &desired, standing, Leavers::default(), &profile);
            let harmless = matches!(
                plan.operation,
                Operation::Patch { .. } | Operation::Replace { .. } | Operation::Nothing(_)
            );
            prop_assert!(harmless, "{:?}", plan.operation);
            let written = spoken(&operations(&plan.changes, &profile, Some(&shown)), &profile);
            prop_assert!(written.iter().all(|operation| operation["op"].is_string()));
        }
        let body = lists::with_others(&desired, &shown, &shown, &profile);
        let unassigned = |value: &Value| value.is_null() || *value == json!([]);
        // The id is the provider's.
        let kept = |name: &str, value: &Value| name == "id" || body.contains_key(name) || unassigned(value);
        prop_assert!(desired.iter().all(|(name, value)| kept(name, value)));
    }

    #[test]
    fn what_is_desired_and_was_sent_is_no_change(desired in document()) {
        prop_assert!(changes(&desired, &desired).is_empty());
    }

    #[test]
    fn values_of_others_survive_a_put(ours in prop::collection::btree_set("[a-z]{1,3}", 0..4),
        before in prop::collection::btree_set("[a-z]{1,3}", 0..4), others in prop::collection::btree_set("[A-Z]{4}", 0..4)) {
        let list = |set: &std::collections::BTreeSet<String>| -> Vec<Value> {
            set.iter().map(|value| json!({"value": value, "type": "work"})).collect()
        };
        let of = |items: Vec<Value>| Document::from_iter([("emails".to_owned(), Value::from(items))]);
        let there: Vec<Value> = list(&before).into_iter().chain(list(&others)).collect();
        let body = lists::with_others(&of(list(&ours)), &of(list(&before)), &of(there), &Profile::default());
        let expected: Vec<Value> = list(&ours).into_iter().chain(list(&others)).collect();
        prop_assert_eq!(body.get("emails").cloned().unwrap_or(json!([])), Value::from(expected));
    }
}
