//! A database of its own for each case, and short words for what the cases do.

use std::time::Duration;

use futures::FutureExt;
use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::state::LinkState;
use scimfleet_core::{ProviderId, ProviderName, RemoteId, ResourceId, ResourceKind};
use scimfleet_store::{
    ClaimedLink, Imported, IncomingResource, LinkResult, LinkRow, Sealer, Store, StoreOptions, TaskRecord, Verdict,
    Wanted,
};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};

/// Where the tests find PostgreSQL.
const POSTGRES: &str = "SCIMFLEET_TEST_POSTGRES_URL";
/// A lease that outlives every test.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// How long a signal or another task may take before a case fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Which database a case runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A database of its own.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) store: Store,
    folder: tempfile::TempDir,
    admin: Option<(String, String)>,
}

/// Defines cases that run on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($db:ident: &Database) $body:block)+) => {
        $(async fn $name($db: &$crate::support::Database) $body)+

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::support::run($crate::support::Kind::Sqlite, async |db| super::$name(db).await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::support::run($crate::support::Kind::Postgres, async |db| super::$name(db).await).await;
            })+
        }
    };
}
pub(crate) use on_both;

/// Runs a case on a fresh database, which is dropped whatever the case does.
pub(crate) async fn run(kind: Kind, case: impl AsyncFnOnce(&Database)) {
    let database = Database::create(kind).await;
    let outcome = std::panic::AssertUnwindSafe(case(&database)).catch_unwind().await;
    database.drop_it().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn sealer(letter: char) -> Sealer {
    sealers(&letter.to_string())
}

/// With a key for each letter; the first one seals.
pub(crate) fn sealers(letters: &str) -> Sealer {
    let keys: Vec<String> = letters.chars().map(|letter| format!("{}=", letter.to_string().repeat(43))).collect();
    Sealer::from_base64(&SecretString::from(keys.join(" "))).unwrap()
}

impl Database {
    async fn create(kind: Kind) -> Self {
        let database = Self::create_empty(kind).await;
        database.store.migrate().await.unwrap();
        database
    }

    async fn create_empty(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, admin) = match kind {
            Kind::Sqlite => (format!("sqlite://{}", folder.path().join("test.db").display()), None),
            Kind::Postgres => {
                let admin = std::env::var(POSTGRES).unwrap_or_else(|_| {
                    panic!(
                        "{POSTGRES} is not set: run `make test`, or \
                         `tests/services/with-services.sh -- cargo test -p scimfleet-store`"
                    )
                });
                let name = format!("scimfleet_test_{}", uuid::Uuid::now_v7().simple());
                execute(&admin, format!("CREATE DATABASE {name}")).await;
                let (server, _) = admin.rsplit_once('/').unwrap();
                (format!("{server}/{name}"), Some((admin.clone(), name)))
            }
        };
        let store = connect(&url).await;
        Self { url, store, folder, admin }
    }

    /// Another handle to the same database, as another process has one.
    pub(crate) async fn other(&self) -> Store {
        connect(&self.url).await
    }

    async fn drop_it(self) {
        self.store.close().await;
        if let Some((admin, name)) = &self.admin {
            execute(admin, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
        self.folder.close().unwrap();
    }

    /// A provider, and these users (by userName, also their externalId) wanted there.
    pub(crate) async fn provider(&self, name: &str, users: &[&str]) -> ProviderId {
        let settings = ProviderSettings::new(ProviderName::parse(name).unwrap(), "https://acme.example/scim/v2");
        let (id, _) = self.store.put_provider(&settings).await.unwrap();
        let arrivals = users.iter().map(|user| arrival(user)).collect();
        self.store.import("test", arrivals).await.unwrap();
        self.store.want_everything(id).await.unwrap();
        id
    }

    /// The id of a resource by externalId or name.
    pub(crate) async fn id(&self, reference: &str) -> ResourceId {
        let found = self.store.find_resources(reference).await.unwrap();
        assert_eq!(found.len(), 1, "`{reference}`: {found:?}");
        found.into_iter().next().unwrap().id
    }

    pub(crate) async fn ids(&self, references: &[&str]) -> Vec<ResourceId> {
        let mut ids = Vec::new();
        for reference in references {
            ids.push(self.id(reference).await);
        }
        ids
    }

    /// Imports lines from the source `test`.
    pub(crate) async fn import(&self, lines: &[&str]) -> Vec<Imported> {
        self.import_from("test", lines).await
    }

    pub(crate) async fn import_from(&self, source: &str, lines: &[&str]) -> Vec<Imported> {
        self.store.import(source, lines.iter().map(|line| incoming(line)).collect()).await.unwrap()
    }

    /// Claims one object for a minute.
    pub(crate) async fn claim(&self, provider: ProviderId, id: &ResourceId) -> ClaimedLink {
        let (mut claimed, held) = self.store.claim(provider, "worker", std::slice::from_ref(id), LONG).await.unwrap();
        assert_eq!((claimed.len(), held.len()), (1, 0));
        claimed.remove(0)
    }

    pub(crate) async fn link(&self, provider: ProviderId, id: &ResourceId) -> LinkRow {
        self.store.links_at(provider, std::slice::from_ref(id)).await.unwrap().remove(0)
    }

    /// Gives an object an account: claims, records it in sync.
    pub(crate) async fn settle(&self, provider: ProviderId, id: &ResourceId) {
        let link = self.claim(provider, id).await;
        let record = TaskRecord { results: vec![in_sync(&link)], arrived: vec![id.clone()], ..TaskRecord::default() };
        self.store.record(provider, &record).await.unwrap();
    }

    /// The changes that wait, as `name change +added -removed`, and forgets them.
    pub(crate) async fn drain(&self) -> Vec<String> {
        let rows = self.store.outbox(1000).await.unwrap();
        let mut lines = Vec::new();
        for row in &rows {
            let mut line = format!("{} {}", self.name(&row.resource_id).await, row.change);
            for (sign, list) in [('+', &row.added), ('-', &row.removed)] {
                for id in list {
                    line += &format!(" {sign}{}", self.name(id).await);
                }
            }
            lines.push(line);
        }
        self.store.relay(&rows, &[]).await.unwrap();
        lines.sort();
        lines
    }

    /// userName or displayName of a resource, a tombstone too.
    pub(crate) async fn name(&self, id: &ResourceId) -> String {
        self.store.resources(std::slice::from_ref(id)).await.unwrap()[0].name().to_owned()
    }

    /// The members of a group by name, sorted.
    pub(crate) async fn members(&self, group: &str) -> Vec<String> {
        let group = self.id(group).await;
        let mut names = Vec::new();
        for id in self.store.members_after(&group, None, 1000).await.unwrap() {
            names.push(self.name(&id).await);
        }
        names.sort();
        names
    }
}

async fn connect(url: &str) -> Store {
    let options = StoreOptions { url: url.to_owned(), connections: 6 };
    Store::connect(&options, Some(sealer('A'))).await.unwrap()
}

async fn execute(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.expect("PostgreSQL of the tests answers");
    sqlx::raw_sql(AssertSqlSafe(sql).into_sql_str()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Changes what no function of the store changes: time passes.
pub(crate) async fn execute_on(db: &Database, sql: String) {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&db.url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql).into_sql_str()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A database whose schema was not made yet.
pub(crate) async fn run_empty(kind: Kind, case: impl AsyncFnOnce(&Database)) {
    let database = Database::create_empty(kind).await;
    let outcome = std::panic::AssertUnwindSafe(case(&database)).catch_unwind().await;
    database.drop_it().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A line of JSON as it arrives; a group has a `displayName` and no `userName`.
pub(crate) fn incoming(line: &str) -> IncomingResource {
    let mut attributes: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
    let explicit = attributes.shift_remove("kind");
    let group = explicit == Some(Value::from("group")) || explicit.is_none() && !attributes.contains_key("userName");
    let kind = if group { ResourceKind::Group } else { ResourceKind::User };
    let id = attributes.shift_remove("id").map(|id| id.as_str().unwrap().parse().unwrap());
    let members = attributes.shift_remove("members").map(|members| serde_json::from_value(members).unwrap());
    IncomingResource { kind, id, attributes, members, password: None }
}

/// A user whose externalId is its userName.
pub(crate) fn arrival(name: &str) -> IncomingResource {
    incoming(&serde_json::json!({"userName": name, "externalId": name}).to_string())
}

pub(crate) fn remote(text: &str) -> RemoteId {
    RemoteId::parse(text).unwrap()
}

/// What a worker records for an object that it brought in step.
pub(crate) fn in_sync(link: &ClaimedLink) -> LinkResult {
    LinkResult {
        state: LinkState::InSync,
        remote_id: Some(remote(&format!("remote-{}", link.resource_id))),
        ownership: Some(scimfleet_core::state::Ownership::Created),
        sent_digest: Some("digest".to_owned()),
        sent_document: Some("{}".to_owned()),
        synced_generation: 1,
        ..unchanged(link)
    }
}

/// A result that leaves the link as it was claimed.
pub(crate) fn unchanged(link: &ClaimedLink) -> LinkResult {
    LinkResult {
        resource_id: link.resource_id.clone(),
        fencing: link.fencing,
        marked: link.marked,
        state: link.state,
        park_reason: None,
        remote_id: link.remote_id.clone(),
        ownership: link.ownership,
        version: link.version.clone(),
        sent_digest: link.sent_digest.clone(),
        sent_document: link.sent_document.clone(),
        synced_generation: link.synced_generation,
        still_dirty: false,
        attempts: 0,
        due_at_ms: 0,
        last_error: None,
        intent: None,
        last_run: None,
        rewritten: false,
        members_compared: false,
    }
}

pub(crate) fn verdict(id: &ResourceId, wanted: Wanted, changed: bool) -> Verdict {
    Verdict { resource_id: id.clone(), kind: ResourceKind::User, wanted, changed }
}

/// One word for each outcome; the reason of a rejection.
pub(crate) fn words(outcomes: &[Imported]) -> Vec<String> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Imported::Created(_) => "created".to_owned(),
            Imported::Updated(_) => "updated".to_owned(),
            Imported::Unchanged(_) => "unchanged".to_owned(),
            Imported::Rejected(rejection) => rejection.to_string(),
        })
        .collect()
}
