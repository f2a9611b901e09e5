//! One test for each habit, or each family of them.

use super::*;

fn with(change: impl FnOnce(&mut Behaviour)) -> Running {
    let mut behaviour = Behaviour::default();
    change(&mut behaviour);
    ServiceProvider::unbound(behaviour)
}

#[test]
fn habits_can_be_written_as_data() {
    let behaviour: Behaviour = serde_json::from_value(json!({
        "patch": false, "filter": "ignored", "paging": "first-page-for-ever", "rate": { "per_second": 5 },
    }))
    .unwrap();
    assert!(!behaviour.patch && behaviour.put && behaviour.filter == Filtering::Ignored);
    assert!(serde_json::from_value::<Behaviour>(json!({ "pach": false })).is_err());
    let text = serde_json::to_string(&behaviour).unwrap();
    assert_eq!(serde_json::from_str::<Behaviour>(&text).unwrap(), behaviour);
}

#[tokio::test]
async fn methods_that_are_missing() {
    let provider = with(|habits| {
        habits.put = false;
        habits.patch = false;
        habits.groups = false;
        habits.discovery = false;
    });
    let id = provider.seed_user(user("a")).unwrap();
    let path = format!("/Users/{id}");
    assert_eq!(call(&provider, "PUT", &path, Some(user("a"))).await.status, 405);
    assert_eq!(call(&provider, "PATCH", &path, patch(json!([]))).await.status, 501);
    assert_eq!(get(&provider, "/Groups").await.status, 404);
    assert_eq!(call(&provider, "POST", "/Groups", Some(group("g", &[]))).await.status, 404);
    assert_eq!(get(&provider, "/ServiceProviderConfig").await.status, 404);
    assert_eq!(get(&provider, "/Users").await.status, 200);
}

#[tokio::test]
async fn filters_that_do_not_work() {
    for (filtering, status, total) in
        [(Filtering::Ignored, 200, json!(2)), (Filtering::Empty, 200, json!(0)), (Filtering::Refused, 400, Value::Null)]
    {
        let provider = with(|habits| habits.filter = filtering);
        provider.seed_user(user("a")).unwrap();
        provider.seed_user(user("b")).unwrap();
        let reply = get(&provider, &format!("/Users{}", filter("userName eq \"a\""))).await;
        assert_eq!((reply.status, &reply.json()["totalResults"]), (status, &total), "{filtering:?}");
    }
    let provider = with(|habits| {
        habits.filter_attributes = vec!["userName".to_owned()];
        habits.filter_eq_and_only = true;
    });
    for (text, status) in [
        ("username eq \"a\"", 200),
        ("externalId eq \"a\"", 400),
        ("userName sw \"a\"", 400),
        ("not (userName eq \"a\")", 400),
    ] {
        assert_eq!(get(&provider, &format!("/Users{}", filter(text))).await.status, status, "{text}");
    }
}

#[tokio::test]
async fn pages_that_mislead() {
    let seeded = |change: &dyn Fn(&mut Behaviour)| {
        let provider = with(|habits| change(habits));
        (0..7).for_each(|index| drop(provider.seed_user(user(&format!("u{index}"))).unwrap()));
        provider
    };
    let first = |page: &Value| page["Resources"][0]["userName"].clone();
    let provider = seeded(&|habits| habits.paging = Paging::FirstPageForEver);
    assert_eq!(first(&get(&provider, "/Users?startIndex=4&count=3").await.json()), "u0");
    let provider = seeded(&|habits| {
        habits.paging = Paging::FirstPageOnly;
        habits.page_size_max = 3;
    });
    assert_eq!(get(&provider, "/Users?count=100").await.json()["totalResults"], 3);
    let provider = seeded(&|habits| habits.page_size_max = 2);
    let page = get(&provider, "/Users?count=100").await.json();
    assert_eq!((&page["itemsPerPage"], &page["totalResults"]), (&json!(2), &json!(7)));
    for (total, shown) in [(Total::Inflated, json!(17)), (Total::PageSize, json!(3)), (Total::Absent, Value::Null)] {
        let provider = seeded(&|habits| habits.total = total);
        assert_eq!(get(&provider, "/Users?count=3").await.json()["totalResults"], shown, "{total:?}");
    }
    let provider = seeded(&|habits| habits.list_key = "resources".to_owned());
    assert!(get(&provider, "/Users").await.json()["resources"].is_array());
}

#[tokio::test]
async fn cursors_lead_to_the_end() {
    let provider = with(|habits| habits.paging = Paging::Cursor);
    (0..5).for_each(|index| drop(provider.seed_user(user(&format!("u{index}"))).unwrap()));
    let (mut cursor, mut names) = (String::new(), Vec::new());
    loop {
        let page = get(&provider, &format!("/Users?count=2&startIndex=1&cursor={cursor}")).await.json();
        names.extend(page["Resources"].as_array().unwrap().iter().map(|one| one["userName"].clone()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["u0", "u1", "u2", "u3", "u4"]);
}

#[tokio::test]
async fn creates_that_answer_strangely() {
    let provider = with(|habits| {
        habits.created_status = 204;
        habits.location = false;
        habits.etag = false;
    });
    let made = call(&provider, "POST", "/Users", Some(user("a"))).await;
    assert_eq!((made.status, made.text.as_str(), made.header("location"), made.header("etag")), (204, "", None, None));
    let provider = with(|habits| habits.created_status = 200);
    assert_eq!(call(&provider, "POST", "/Users", Some(user("a"))).await.status, 200);
    let provider = with(|habits| habits.id = IdSource::ExternalId);
    assert_eq!(call(&provider, "POST", "/Users", Some(user("a"))).await.id(), "ext-a");
    let provider = with(|habits| habits.id = IdSource::Name);
    assert_eq!(call(&provider, "POST", "/Users", Some(user("a b"))).await.id(), "a b");
    let renamed = call(&provider, "PUT", "/Users/a%20b", Some(user("c"))).await;
    assert_eq!((renamed.id().as_str(), get(&provider, "/Users/c").await.status), ("c", 200));
    assert_eq!(get(&provider, "/Users/a%20b").await.status, 404);
}

#[tokio::test]
async fn demands_on_users() {
    let provider = with(|habits| {
        habits.attributes_required = vec!["name.givenName".to_owned()];
        habits.user_name_length_max = 5;
        habits.characters_refused = "<>".to_owned();
        habits.single_valued = vec!["emails".to_owned()];
    });
    let base = || {
        let mut base = user("ann");
        base["name"] = json!({ "givenName": "A" });
        base
    };
    for (change, status) in [
        (json!({}), 201),
        (json!({ "userName": "abcdef" }), 400),
        (json!({ "userName": "b", "name": { "familyName": "B" } }), 400),
        (json!({ "userName": "b", "name": { "givenName": "<B>" } }), 400),
        (json!({ "userName": "b", "emails": [{ "value": "x" }, { "value": "y" }] }), 400),
        (json!({ "userName": "b", "emails": [{ "value": "x" }] }), 201),
    ] {
        let mut sent = base();
        sent.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(call(&provider, "POST", "/Users", Some(sent)).await.status, status, "{change}");
    }
}

#[tokio::test]
async fn members_that_are_hidden_ignored_or_too_many() {
    for (returned, shown) in
        [(Returned::Absent, None), (Returned::Null, Some(Value::Null)), (Returned::Empty, Some(json!([])))]
    {
        let provider = with(|habits| habits.members_returned = returned);
        let ann = provider.seed_user(user("ann")).unwrap();
        let made = call(&provider, "POST", "/Groups", Some(group("g", &[&ann]))).await;
        assert_eq!(made.json().get("members").cloned(), shown, "{returned:?}");
        assert_eq!(provider.content().groups[0]["members"][0]["value"], *ann);
    }
    let provider = with(|habits| {
        habits.members_in_create = CreateMembers::Ignored;
        habits.members_per_patch_max = 1;
        habits.members_replace = false;
        habits.member_removal = Removal::ValueList;
        habits.removing_non_member_is_404 = true;
    });
    let (ann, bob) = (provider.seed_user(user("ann")).unwrap(), provider.seed_user(user("bob")).unwrap());
    let made = call(&provider, "POST", "/Groups", Some(group("g", &[&ann]))).await;
    assert!(made.json().get("members").is_none());
    let path = format!("/Groups/{}", made.id());
    for (operation, status) in [
        (json!({ "op": "add", "path": "members", "value": [{ "value": ann }, { "value": bob }] }), 400),
        (json!({ "op": "add", "path": "members", "value": [{ "value": ann }] }), 204),
        (json!({ "op": "replace", "path": "members", "value": [{ "value": ann }] }), 400),
        (json!({ "op": "remove", "path": "members" }), 400),
        (json!({ "op": "remove", "path": format!("members[value eq \"{ann}\"]") }), 400),
        (json!({ "op": "remove", "path": "members", "value": [{ "value": bob }] }), 404),
        (json!({ "op": "remove", "path": "members", "value": [{ "value": ann }] }), 204),
    ] {
        assert_eq!(call(&provider, "PATCH", &path, patch(json!([operation]))).await.status, status, "{operation}");
    }
    let provider = with(|habits| {
        habits.nested_groups = false;
        habits.unknown_members = UnknownMembers::Dropped;
        habits.unique_group_names = true;
    });
    let inner = provider.seed_group(group("inner", &["nobody"])).unwrap();
    assert_eq!(provider.content().groups[0]["members"], json!([]));
    assert_eq!(call(&provider, "POST", "/Groups", Some(group("outer", &[&inner]))).await.status, 400);
    assert_eq!(call(&provider, "POST", "/Groups", Some(group("INNER", &[]))).await.status, 409);
}

#[tokio::test]
async fn patches_that_must_be_written_in_one_way() {
    let path_less = json!({ "op": "replace", "value": { "active": false } });
    let with_path = json!({ "op": "replace", "path": "active", "value": false });
    let capital = json!({ "op": "Replace", "path": "active", "value": false });
    type Case<'a> = (&'a dyn Fn(&mut Behaviour), &'a Value, u16);
    let cases: [Case<'_>; 8] = [
        (&|habits| habits.patch_paths = PatchPaths::Required, &path_less, 400),
        (&|habits| habits.patch_paths = PatchPaths::Required, &with_path, 200),
        (&|habits| habits.patch_paths = PatchPaths::Pathless, &path_less, 200),
        (&|habits| habits.patch_paths = PatchPaths::Pathless, &with_path, 400),
        (&|habits| habits.op_case = OpCase::Lower, &capital, 400),
        (&|habits| habits.op_case = OpCase::Capitalised, &capital, 200),
        (&|habits| habits.op_case = OpCase::Capitalised, &with_path, 400),
        (&|habits| habits.attributes_refused = vec!["active".to_owned()], &with_path, 400),
    ];
    for (change, operation, status) in cases {
        let provider = with(change);
        let id = provider.seed_user(user("a")).unwrap();
        let reply = call(&provider, "PATCH", &format!("/Users/{id}"), patch(json!([operation]))).await;
        assert_eq!(reply.status, status, "{operation}: {}", reply.text);
    }
}

#[tokio::test]
async fn attributes_that_change_on_the_way() {
    let provider = with(|habits| {
        habits.attributes_dropped = vec!["title".to_owned(), "name.familyName".to_owned()];
        habits.attributes_lower_cased = vec!["emails.value".to_owned()];
        habits.attributes_added = json!({ "userType": "External" }).as_object().unwrap().clone();
        habits.booleans_as_text = true;
    });
    let mut ann = user("ann");
    ann["title"] = "Dr".into();
    ann["name"] = json!({ "givenName": "A", "familyName": "B" });
    ann["emails"] = json!([{ "value": "A@X.example", "primary": true }]);
    let shown = call(&provider, "POST", "/Users", Some(ann)).await.json();
    assert!(shown.get("title").is_none());
    assert_eq!(shown["name"], json!({ "givenName": "A" }));
    assert_eq!(shown["emails"], json!([{ "value": "a@x.example", "primary": "True" }]));
    assert_eq!((&shown["userType"], &shown["active"]), (&json!("External"), &json!("True")));
}

#[tokio::test]
async fn errors_in_other_styles() {
    for (style, status) in
        [(StatusStyle::Text, json!("404")), (StatusStyle::Number, json!(404)), (StatusStyle::Absent, Value::Null)]
    {
        let provider = with(|habits| habits.status_style = style);
        assert_eq!(get(&provider, "/Users/none").await.json()["status"], status, "{style:?}");
    }
    let provider = with(|habits| habits.html_errors = true);
    let reply = get(&provider, "/Users/none").await;
    assert_eq!((reply.status, reply.header("content-type")), (404, Some("text/html; charset=utf-8")));
    let provider = with(|habits| habits.scim_type = false);
    provider.seed_user(user("a")).unwrap();
    let reply = call(&provider, "POST", "/Users", Some(user("a"))).await;
    assert_eq!((reply.status, reply.json().get("scimType")), (409, None));
}

#[tokio::test]
async fn a_delete_may_only_deactivate_or_be_refused() {
    let provider = with(|habits| habits.delete_users = DeleteUsers::Deactivate);
    let id = provider.seed_user(user("a")).unwrap();
    assert_eq!(call(&provider, "DELETE", &format!("/Users/{id}"), None).await.status, 204);
    assert_eq!(get(&provider, &format!("/Users/{id}")).await.json()["active"], false);
    provider.change_behaviour(|habits| habits.delete_users = DeleteUsers::Refused);
    assert_eq!(call(&provider, "DELETE", &format!("/Users/{id}"), None).await.status, 405);
    assert_eq!(provider.users_count(), 1);
}

#[tokio::test]
async fn headers_that_are_demanded() {
    let provider = with(|habits| {
        habits.content_type_required = Some("application/json".to_owned());
        habits.delete_refuses_json = true;
    });
    assert_eq!(call(&provider, "POST", "/Users", Some(user("a"))).await.status, 415);
    let id = provider.seed_user(user("a")).unwrap();
    let mut asked = request(&provider, "DELETE", &format!("/Users/{id}"), None);
    asked.headers_mut().insert("accept", "application/json".parse().unwrap());
    assert_eq!(send(&provider, asked).await.status, 400);
    provider.change_behaviour(|habits| habits.user_agent_required = true);
    assert_eq!(get(&provider, "/Users").await.status, 403);
}

#[tokio::test]
async fn too_many_requests_get_429() {
    for (style, expected) in
        [(RetryAfter::Seconds, Some("1")), (RetryAfter::Absent, None), (RetryAfter::Absurd, Some("315360000"))]
    {
        let provider = with(|habits| habits.rate = Some(RateLimit { per_second: 2.0, burst: 3, retry_after: style }));
        for _ in 0..3 {
            assert_eq!(get(&provider, "/Users").await.status, 200);
        }
        let reply = get(&provider, "/Users").await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, expected), "{style:?}");
        assert_eq!(provider.journal().counts.answered(429), 1);
    }
}

#[tokio::test]
async fn the_configuration_can_lie_and_hide() {
    let provider = with(|habits| {
        habits.config = json!({ "patch": { "supported": false } }).as_object().unwrap().clone();
        habits.config_path = "/ServiceProviderConfigs".to_owned();
    });
    assert_eq!(get(&provider, "/ServiceProviderConfig").await.status, 404);
    assert_eq!(get(&provider, "/ServiceProviderConfigs").await.json()["patch"]["supported"], false);
}

#[tokio::test]
async fn new_resources_may_take_time_to_be_found() {
    let provider = with(|habits| habits.visible_after_ms = 3_600_000);
    let id = call(&provider, "POST", "/Users", Some(user("a"))).await.id();
    assert_eq!(get(&provider, &format!("/Users{}", filter("userName eq \"a\""))).await.json()["totalResults"], 0);
    assert_eq!(get(&provider, &format!("/Users/{id}")).await.status, 200);
}

#[tokio::test]
async fn updates_with_other_answers() {
    let provider = with(|habits| {
        habits.put_needs_id = true;
        habits.put_status = 204;
        habits.patch_body = PatchBody::Never;
        habits.group_renames_ignored = true;
    });
    let id = provider.seed_user(user("a")).unwrap();
    let path = format!("/Users/{id}");
    assert_eq!(call(&provider, "PUT", &path, Some(user("a"))).await.status, 400);
    let mut whole = user("a");
    whole["id"] = id.clone().into();
    assert_eq!(call(&provider, "PUT", &path, Some(whole)).await.status, 204);
    let change = || patch(json!([{ "op": "replace", "path": "displayName", "value": "New" }]));
    assert_eq!(call(&provider, "PATCH", &path, change()).await.status, 204);
    let group = provider.seed_group(group("Old", &[])).unwrap();
    assert_eq!(call(&provider, "PATCH", &format!("/Groups/{group}"), change()).await.status, 204);
    assert_eq!(provider.content().groups[0]["displayName"], "Old");
}
