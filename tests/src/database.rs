//! A database of its own for a story.

use std::process::Command;

/// Where the stories find PostgreSQL.
const POSTGRES: &str = "SCIMFLEET_TEST_POSTGRES_URL";
/// Any 32 bytes in base64: a cluster's key comes from outside.
const KEY: &str = "c3RvcmllcyBzdG9yaWVzIHN0b3JpZXMgc3RvcmllcyE=";

/// A PostgreSQL database, dropped at the end.
#[derive(Debug)]
pub struct Postgres {
    admin: String,
    name: String,
    url: String,
}

impl Postgres {
    /// Creates one.
    ///
    /// # Panics
    /// When PostgreSQL is not there.
    pub fn create() -> Self {
        let Ok(admin) = std::env::var(POSTGRES) else {
            panic!("{POSTGRES} is unset; run `make test`, or `tests/services/with-services.sh -- cargo test`")
        };
        let name = format!("scimfleet_story_{}", crate::process::unique());
        psql(&admin, &format!("CREATE DATABASE {name}"));
        let url = match admin.rsplit_once('/') {
            Some((server, _)) => format!("{server}/{name}"),
            None => panic!("{POSTGRES} names no database"),
        };
        Self { admin, name, url }
    }

    /// What makes the binary use it.
    pub fn environment(&self) -> [(&str, &str); 2] {
        [("SCIMFLEET_STORE_URL", &self.url), ("SCIMFLEET_SECRETS_KEY", KEY)]
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            psql(&self.admin, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

fn psql(url: &str, sql: &str) {
    match Command::new("psql").args(["-qX", "-v", "ON_ERROR_STOP=1", "-c", sql, url]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{sql}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("psql: {error}"),
    }
}
