//! The statements behind filters and behind what is owed, held against the plans of both databases: each must
//! use the index that was made for it. A process of its own, because it listens to the driver's log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use scimfleet_core::ResourceKind;
use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::{ProviderId, ProviderName};
use scimfleet_store::{Compare, Condition, IncomingResource, Selection, SortKey, Store, StoreOptions};
use scimfleet_testkit::statements;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqlSafeStr, SqlStr};

const POSTGRES: &str = "SCIMFLEET_TEST_POSTGRES_URL";
const USERS: usize = 4_000;

fn incoming(line: serde_json::Value) -> IncomingResource {
    let serde_json::Value::Object(mut attributes) = line else { panic!("an object") };
    let kind = if attributes.contains_key("userName") { ResourceKind::User } else { ResourceKind::Group };
    let members = attributes.shift_remove("members").map(|members| serde_json::from_value(members).unwrap());
    IncomingResource { kind, id: None, attributes, members, password: None }
}

/// Some thousand users, some hundred groups, all owed to a provider.
async fn fill(store: &Store) -> ProviderId {
    let settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://acme.example");
    let (provider, _) = store.put_provider(&settings).await.unwrap();
    let user = |n: usize| json!({"userName": format!("user-{n}"), "externalId": format!("e-{n}"), "displayName": format!("Person {n}")});
    let group = |n: usize| json!({"displayName": format!("Group {n}"), "members": [format!("user-{n}"), format!("user-{}", n * 2)]});
    let all: Vec<_> = (0..USERS).map(user).chain((0..400).map(group)).map(incoming).collect();
    for batch in all.chunks(1_000) {
        store.import("test", batch.to_vec()).await.unwrap();
    }
    store.want_everything(provider).await.unwrap();
    provider
}

/// What is asked, and the indices of which one must stand in each plan.
fn searches() -> Vec<(ResourceKind, Condition, &'static [&'static str])> {
    use ResourceKind::{Group, User};
    let name = |text: &str| Condition::Name(Compare::Equal, text.to_owned());
    let both = |one: Condition, other: Condition| Condition::All(vec![one, other]);
    let by_name: &[&str] = &["resources_user_name", "resources_name"];
    vec![
        (User, name("user-7"), by_name),
        (User, Condition::NameBegins("user-77".to_owned()), by_name),
        (Group, name("group 7"), &["resources_name"]),
        (User, Condition::ExternalId("e-7".to_owned()), &["resources_external_id", "resources_external_id_ever"]),
        (User, Condition::Id("x".to_owned()), &["resources_kind", "resources_pkey", "sqlite_autoindex_resources_1"]),
        (User, Condition::Display(Compare::Equal, "Person 7".to_owned()), &["resources_display"]),
        (User, Condition::DisplayBegins("Person 77".to_owned()), &["resources_display"]),
        (Group, Condition::HasMember("x".to_owned()), &["memberships_member"]),
        (User, Condition::MemberOf("x".to_owned()), &["memberships_pkey", "sqlite_autoindex_memberships_1"]),
        (User, both(name("user-7"), Condition::Active(true)), by_name),
    ]
}

/// Asks everything; the statement of each with the indices that may serve it.
async fn asked(store: &Store, provider: ProviderId) -> Vec<(String, Vec<&'static str>)> {
    let mut asked = Vec::new();
    for (kind, condition, indices) in searches() {
        let selection = Selection { kind, condition, sort: SortKey::Id, descending: false };
        statements::take_texts();
        store.count_selected(&selection).await.unwrap();
        store.select_page(&selection, 0, 10).await.unwrap();
        store.select_after(&selection, None, 10).await.unwrap();
        let heard = heard();
        assert_eq!(heard.len(), 3, "{heard:?}");
        asked.extend(heard.into_iter().map(|text| (text, indices.to_vec())));
    }
    statements::take_texts();
    assert_eq!(store.owed(provider, None, 100).await.unwrap().len(), 100);
    for text in heard() {
        for index in ["links_leavers", "links_retries", "links_owed", "links_queued"] {
            asked.push((text.clone(), vec![index]));
        }
    }
    asked
}

/// What the driver logged, but for what it sends when it connects.
fn heard() -> Vec<String> {
    statements::take_texts().into_iter().filter(|text| text.starts_with("SELECT")).collect()
}

fn check(text: &str, plan: &str, indices: &[&str]) {
    let uses = indices.iter().any(|index| {
        let after = plan.split(index).skip(1);
        after.into_iter().any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    });
    assert!(uses, "none of {indices:?} serves\n{text}\n{plan}");
    for table in ["resources", "memberships", "links"] {
        assert!(!plan.contains(&format!("Seq Scan on {table}")), "{table} is read whole by\n{text}\n{plan}");
    }
    // SQLite's word for it, with our short names for these tables.
    let whole = plan.lines().filter(|line| {
        ["SCAN r", "SCAN m", "SCAN l"]
            .iter()
            .any(|scan| line.strip_prefix(scan).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
    });
    assert_eq!(whole.collect::<Vec<_>>(), [""; 0], "{text}\n{plan}");
}

fn sql(text: String) -> SqlStr {
    AssertSqlSafe(text).into_sql_str()
}

async fn on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("plans.db").display());
    let store = Store::connect(&StoreOptions::new(&url), None).await.unwrap();
    store.migrate().await.unwrap();
    let provider = fill(&store).await;
    let asked = asked(&store, provider).await;
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    for (text, indices) in &asked {
        let rows = sqlx::query(sql(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(&pool).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        check(text, &plan.join("\n"), indices);
        let sorted = plan.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(!sorted || !text.contains("marked_at"), "what is owed is sorted: {plan:?}");
    }
    pool.close().await;
    store.close().await;
}

async fn on_postgres() {
    let admin = std::env::var(POSTGRES).unwrap_or_else(|_| panic!("{POSTGRES} is not set: run `make test`"));
    let name = format!("scimfleet_test_{}", uuid::Uuid::now_v7().simple());
    let mut server = PgConnection::connect(&admin).await.unwrap();
    sqlx::raw_sql(sql(format!("CREATE DATABASE {name}"))).execute(&mut server).await.unwrap();
    let url = format!("{}/{name}", admin.rsplit_once('/').unwrap().0);
    let store = Store::connect(&StoreOptions::new(&url), None).await.unwrap();
    store.migrate().await.unwrap();
    let provider = fill(&store).await;
    let asked = asked(&store, provider).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // Plans as they are for a statement that is prepared once and used for any value.
    let setup = "ANALYZE; SET plan_cache_mode = force_generic_plan";
    sqlx::raw_sql(setup).execute(&mut connection).await.unwrap();
    // A page after an id may as well walk the ids until it is full: there PostgreSQL decides by the values.
    let by_condition = asked.iter().filter(|(text, _)| !text.contains("r.id > $"));
    for (number, (text, indices)) in by_condition.enumerate() {
        sqlx::raw_sql(sql(format!("PREPARE p{number} AS {text}"))).execute(&mut connection).await.unwrap();
        let parameters = (1..20).take_while(|n| text.contains(&format!("${n}"))).map(|_| "NULL").collect::<Vec<_>>();
        let explain = format!("EXPLAIN EXECUTE p{number} ({})", parameters.join(", "));
        let rows = sqlx::raw_sql(sql(explain)).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        check(text, &plan.join("\n"), indices);
    }
    connection.close().await.unwrap();
    store.close().await;
    sqlx::raw_sql(sql(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut server).await.unwrap();
}

#[tokio::test]
async fn every_filter_that_should_uses_its_index_on_both_databases() {
    statements::listen();
    on_sqlite().await;
    on_postgres().await;
}
