//! Databases as earlier versions left them: the schema of each migration with data in it, as texts that are
//! never written again once the next migration is there. This version brings each up to date and reads all of it.
//!
//! `SCIMFLEET_FIXTURES=write` writes the text of the newest one.

use std::process::Command;

use scimfleet_core::state::{LinkState, RunState};
use scimfleet_core::{ProviderName, ResourceKind};
use scimfleet_store::{Opening, RunKind, TokenScope};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr};

use crate::support::{Database, Kind, run, run_empty};

/// Migrations, oldest first, that have a text.
const VERSIONS: [&str; 2] = ["0001", "0002"];

fn path(version: &str, kind: Kind) -> String {
    let database = match kind {
        Kind::Sqlite => "sqlite",
        Kind::Postgres => "postgres",
    };
    format!("{}/tests/fixtures/{version}-{database}.sql", env!("CARGO_MANIFEST_DIR"))
}

/// A person and a group in step, one that left, a change that waits, a secret, a token, and a run that ended.
async fn fill(db: &Database) {
    let provider = db.provider("acme", &["anna", "bert", "cleo"]).await;
    db.import(&[r#"{"displayName": "Staff", "externalId": "staff", "members": ["anna", "bert"]}"#]).await;
    db.store.want_everything(provider).await.unwrap();
    for name in ["anna", "bert", "staff"] {
        db.settle(provider, &db.id(name).await).await;
    }
    db.store.put_provider_secret(provider, &SecretString::from("kept")).await.unwrap();
    db.store.create_token("hr", TokenScope::Directory).await.unwrap();
    db.drain().await;
    db.import(&[r#"{"userName": "cleo", "externalId": "cleo", "title": "Größe 'x'"}"#]).await;
    db.store.delete_resources(&[db.id("bert").await]).await.unwrap();
    let run = db.store.queue_run(provider, RunKind::Full, Opening::Asked).await.unwrap().unwrap();
    db.store.end_run(run, RunState::Cancelled, None).await.unwrap();
}

async fn reads_all(db: &Database) {
    let migrated = db.store.migrate().await;
    migrated.expect("a released migration is never edited; what changes is the next one");
    let provider = db.store.provider(&ProviderName::parse("acme").unwrap()).await.unwrap().unwrap();
    let secret = db.store.provider_secret(provider.id).await.unwrap().unwrap();
    assert_eq!(secret.expose_secret(), "kept");
    assert_eq!(db.store.tokens().await.unwrap()[0].name, "hr");
    let anna = db.id("anna").await;
    let link = db.link(provider.id, &anna).await;
    assert_eq!((link.state, link.remote_id.unwrap().as_str()), (LinkState::InSync, format!("remote-{anna}").as_str()));
    let cleo = db.store.resources(&[db.id("cleo").await]).await.unwrap().remove(0);
    assert_eq!(cleo.document["title"], "Größe 'x'");
    let staff = db.store.resources(&[db.id("staff").await]).await.unwrap().remove(0);
    assert_eq!(staff.kind, ResourceKind::Group);
    assert_eq!(db.store.members_after(&staff.id, None, 10).await.unwrap(), std::slice::from_ref(&anna));
    let runs = db.store.runs(Some(provider.id), 10).await.unwrap();
    assert_eq!((runs.len(), runs[0].state), (1, RunState::Cancelled));
    // It is worked with, too: what waited is relayed, and a change is taken.
    let waiting = db.store.outbox(100).await.unwrap();
    assert!(!waiting.is_empty());
    db.store.relay(&waiting, &[]).await.unwrap();
    db.import(&[r#"{"userName": "dora", "externalId": "dora"}"#]).await;
    db.settle(provider.id, &anna).await;
}

async fn load(db: &Database, version: &str, kind: Kind) {
    let text = std::fs::read_to_string(path(version, kind)).unwrap();
    let mut connection = sqlx::AnyConnection::connect(&db.url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(text).into_sql_str()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The database as text, by its own tool.
fn dump(db: &Database, kind: Kind) -> String {
    let output = match kind {
        Kind::Sqlite => Command::new("sqlite3").args([db.url.trim_start_matches("sqlite://"), ".dump"]).output(),
        Kind::Postgres => {
            Command::new("pg_dump").args(["--inserts", "--no-owner", "--no-privileges", &db.url]).output()
        }
    };
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Words for psql and for the dump's own transaction, settings that end with it, and the planner's figures.
    let ours = |line: &&str| {
        let skipped = ["\\", "--", "SET ", "SELECT pg_catalog.set_config", "PRAGMA", "BEGIN", "COMMIT"];
        !line.is_empty() && !skipped.iter().any(|start| line.starts_with(start)) && !line.contains("sqlite_")
    };
    text.lines().filter(ours).fold(String::new(), |text, line| text + line + "\n")
}

async fn keeps(kind: Kind) {
    if std::env::var("SCIMFLEET_FIXTURES").is_ok_and(|word| word == "write") {
        run(kind, async |db| {
            fill(db).await;
            std::fs::write(path(VERSIONS[VERSIONS.len() - 1], kind), dump(db, kind)).unwrap();
        })
        .await;
    }
    for version in VERSIONS {
        run_empty(kind, async |db| {
            load(db, version, kind).await;
            reads_all(db).await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_sqlite_database_is_brought_up_to_date_and_read() {
    keeps(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_postgres_database_is_brought_up_to_date_and_read() {
    keeps(Kind::Postgres).await;
}
