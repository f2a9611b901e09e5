//! Lists of authentik's API, page by page, each proven whole by its own counts.

use std::collections::HashSet;

use scimfleet_core::ProviderName;
use scimfleet_scim_client::{Authorization, Egress, JsonClient, JsonConfig, Limits, TlsOptions};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::sources::SourceError;

/// Results asked for per page: as many as authentik gives.
const PAGE_SIZE: u64 = 100;
/// Pages of one list: ten million results, beyond any directory.
const PAGES_MAX: u64 = 100_000;
/// A group of 100,000 members fits into an answer with nineteen like it.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const JSON_VALUES_MAX: usize = 8_000_000;
/// How often a list is read anew that changed while it was read.
const READS_MAX: u32 = 3;

/// authentik's API.
#[derive(Debug, Clone)]
pub struct Authentik {
    client: JsonClient,
}

/// A list as the API describes it.
#[derive(Deserialize)]
struct Answer {
    pagination: Pagination,
    results: Vec<Value>,
}

#[derive(Deserialize)]
struct Pagination {
    next: f64,
    count: f64,
}

/// A query parameter.
pub(super) type Parameter = (&'static str, String);

impl Authentik {
    /// `url` is authentik's own address, with or without `/api/v3`; connects to nothing.
    ///
    /// # Errors
    /// When no request could be made with this.
    pub fn new(
        name: ProviderName,
        url: &Url,
        token: SecretString,
        egress: Egress,
        tls: TlsOptions,
    ) -> Result<Self, SourceError> {
        let mut base_url = url.clone();
        let path = base_url.path().trim_end_matches('/').to_owned();
        if !path.ends_with("/api/v3") {
            base_url.set_path(&format!("{path}/api/v3"));
        }
        let limits =
            Limits { answer_bytes_max: ANSWER_BYTES_MAX, json_values_max: JSON_VALUES_MAX, ..Limits::default() };
        let authorization = Authorization::Bearer(token);
        Ok(Self { client: JsonClient::new(JsonConfig { name, base_url, authorization, egress, tls, limits })? })
    }

    /// Everything that a list holds; for lists that fit into memory.
    pub(super) async fn all<T: DeserializeOwned>(
        &self,
        list: &str,
        query: &[Parameter],
    ) -> Result<Vec<T>, SourceError> {
        let mut reads = 0;
        loop {
            reads += 1;
            let mut found = Vec::new();
            let walked = self.walk(list, PAGE_SIZE, query, |one: T| {
                found.push(one);
                Ok(())
            });
            match walked.await {
                Ok(()) => return Ok(found),
                Err(SourceError::Incomplete { .. }) if reads < READS_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands on what a list holds, once each. An error says that it is not whole, after some was handed on.
    pub(super) async fn walk<T: DeserializeOwned>(
        &self,
        list: &str,
        page_size: u64,
        query: &[Parameter],
        mut take: impl FnMut(T) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let incomplete = |reason: String| SourceError::Incomplete { what: list.to_owned(), reason };
        let malformed = |reason: String| SourceError::Malformed { what: list.to_owned(), reason };
        let mut seen = HashSet::new();
        let mut count = None;
        for page in 1..=PAGES_MAX {
            let mut asked = query.to_vec();
            asked.push(("page", page.to_string()));
            asked.push(("page_size", page_size.to_string()));
            let answer = self.client.get(&format!("/{list}/"), &asked).await?;
            let answer: Answer = serde_json::from_value(answer).map_err(|error| malformed(error.to_string()))?;
            let total = whole_number(answer.pagination.count).ok_or_else(|| malformed("`count` is no count".into()))?;
            if *count.get_or_insert(total) != total {
                return Err(incomplete("its length changed while it was read".to_owned()));
            }
            for result in answer.results {
                let key = key_of(&result).ok_or_else(|| malformed("a result has neither `pk` nor `id`".into()))?;
                if seen.insert(key) {
                    take(serde_json::from_value(result).map_err(|error| malformed(error.to_string()))?)?;
                }
            }
            if answer.pagination.next < 1.0 {
                let read = seen.len() as u64;
                return match read == total {
                    true => Ok(()),
                    false => {
                        Err(incomplete(format!("it counts {total} and showed {read}; may the token read them all?")))
                    }
                };
            }
        }
        Err(incomplete(format!("it has no end after {PAGES_MAX} pages")))
    }
}

/// How often a read is begun anew that was not whole.
pub(super) const fn reads_max() -> u32 {
    READS_MAX
}

/// What identifies a result. A few models have no `pk`.
fn key_of(result: &Value) -> Option<String> {
    let key = result.get("pk").or_else(|| result.get("id"))?;
    Some(key.as_str().map_or_else(|| key.to_string(), str::to_owned))
}

fn whole_number(number: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number in range"
    )]
    (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64)
}
