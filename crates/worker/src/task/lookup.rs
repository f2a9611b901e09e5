//! Is the account there already? Asked before every create (R16), after an ambiguous answer (R20) and
//! after a 409.

use std::collections::HashMap;

use scimfleet_core::adoption::{Account, Judgement, Wish, judge};
use scimfleet_core::provider::MatchAttribute;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::resource::fold;
use scimfleet_core::{RemoteId, ResourceKind};
use scimfleet_scim_client::{Lister, Listing, Projection};
use scimfleet_store::{Candidate, StoreError};
use serde_json::Value;

use super::Session;
use super::attempt::Attempt;
use super::wire::{Failure, Halt, Route};

/// What to look for, owned.
pub(crate) struct Sought {
    pub(crate) external_id: Option<String>,
    pub(crate) name: String,
    pub(crate) name_key: String,
}

impl Sought {
    pub(crate) fn of(kind: ResourceKind, document: &Document) -> Self {
        let name = document.get(kind.naming_attribute()).and_then(Value::as_str).unwrap_or_default().to_owned();
        let external_id = document.get("externalId").and_then(Value::as_str).map(str::to_owned);
        Self { external_id, name_key: fold(&name), name }
    }

    fn wish(&self) -> Wish<'_> {
        Wish { external_id: self.external_id.as_deref(), name_key: &self.name_key }
    }
}

/// Candidates of a complete listing, by what they can be recognised by.
#[derive(Default)]
pub(crate) struct Listed {
    by_external_id: HashMap<String, Vec<Candidate>>,
    by_name: HashMap<String, Vec<Candidate>>,
}

impl Listed {
    pub(crate) fn new(candidates: Vec<Candidate>) -> Self {
        let mut listed = Self::default();
        for candidate in candidates {
            if let Some(external_id) = &candidate.external_id {
                listed.by_external_id.entry(external_id.clone()).or_default().push(candidate.clone());
            }
            if let Some(name) = &candidate.name_key {
                listed.by_name.entry(name.clone()).or_default().push(candidate);
            }
        }
        listed
    }

    fn accounts(&self, sought: &Sought) -> Vec<Account> {
        let by_id = sought.external_id.as_ref().and_then(|id| self.by_external_id.get(id));
        let by_name = self.by_name.get(&sought.name_key);
        let mut accounts: Vec<Account> = Vec::new();
        for candidate in by_id.into_iter().chain(by_name).flatten() {
            if !accounts.iter().any(|known| known.remote_id == candidate.remote_id) {
                accounts.push(Account {
                    remote_id: candidate.remote_id.clone(),
                    external_id: candidate.external_id.clone(),
                    name_key: candidate.name_key.clone(),
                });
            }
        }
        accounts
    }
}

/// A listing that a task read for its look-ups.
pub(crate) struct Everybody {
    accounts: Vec<Account>,
    /// Why it proves nothing about whom it lacks.
    incomplete: Option<String>,
}

/// Why nobody can say whether the account is there.
#[derive(Debug)]
pub(crate) enum LookError {
    /// The provider was not asked, or did not answer.
    Halt(Halt),
    /// The database: it knows whose account is whose.
    Store(StoreError),
    /// A write may have been applied, and no complete listing shows whether it was.
    Undecided(String),
}

impl From<Halt> for LookError {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<StoreError> for LookError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// How an object is looked up.
pub(crate) enum Look<'a> {
    /// In the complete listing that this run made.
    Listed(&'a Listed),
    /// By asking the provider; a listing that this task read already will do.
    Live,
    /// By asking the provider now: something was just written.
    Fresh,
}

impl Session<'_> {
    /// Looks an object up and judges what was found.
    pub(crate) async fn look_up(
        &self,
        attempt: &mut Attempt,
        sought: &Sought,
        look: Look<'_>,
    ) -> Result<Judgement, LookError> {
        let settings = &self.provider.row.settings;
        let accounts = match look {
            Look::Listed(listed) => listed.accounts(sought),
            Look::Live => self.ask(attempt, sought, attempt.has_open_intent()).await?,
            Look::Fresh => self.ask(attempt, sought, true).await?,
        };
        Ok(judge(sought.wish(), &accounts, &settings.match_order, settings.adopt))
    }

    async fn ask(&self, attempt: &mut Attempt, sought: &Sought, fresh: bool) -> Result<Vec<Account>, LookError> {
        let kind = attempt.link.kind;
        let mut accounts = Vec::new();
        let mut understood = true;
        for attribute in &self.provider.row.settings.match_order {
            let (name, value) = match attribute {
                MatchAttribute::ExternalId => ("externalId", sought.external_id.as_deref()),
                MatchAttribute::UserName => (kind.naming_attribute(), Some(sought.name.as_str())),
            };
            let Some(value) = value else { continue };
            if !self.provider.profile.can_filter_by(name) || self.health.filters_lie() {
                understood = false;
                continue;
            }
            let found = self.find(attempt, name, value).await?;
            understood &= found.refused == 0;
            accounts.extend(found.resources.iter().filter_map(|document| account_of(kind, document)));
            if !accounts.is_empty() {
                break;
            }
        }
        if accounts.is_empty() && understood {
            understood = self.filters_find(attempt).await?;
        }
        if accounts.is_empty() && !understood {
            accounts = self.search_listing(attempt, sought, fresh).await?;
        }
        accounts.sort_by(|one, other| one.remote_id.cmp(&other.remote_id));
        accounts.dedup_by(|one, other| one.remote_id == other.remote_id);
        self.without_owned(attempt, accounts).await
    }

    /// Whether a filter finds who is there. Some providers answer every look-up with nothing, and everybody
    /// would be made a second time: before the first "nobody" is believed, an account that is known to be
    /// there is looked for. Two requests, once for each kind in a process.
    async fn filters_find(&self, attempt: &mut Attempt) -> Result<bool, LookError> {
        let kind = attempt.link.kind;
        if self.health.is_checked(kind) {
            return Ok(!self.health.filters_lie());
        }
        let name = kind.naming_attribute();
        let known = self.worker.store.accounts_after(self.provider.row.id, kind, None, 1).await?;
        let Some((_, account)) = known.first().filter(|_| self.provider.profile.can_filter_by(name)) else {
            return Ok(true);
        };
        let Ok(answer) = self.get(attempt, account).await else { return Ok(true) };
        let shown = answer.document.as_ref().and_then(|document| document.get(name)).and_then(Value::as_str);
        let Some(shown) = shown else { return Ok(true) };
        let finds = !self.find(attempt, name, shown).await?.resources.is_empty();
        self.health.note_filters(kind, finds);
        if !finds {
            tracing::warn!(provider = %self.provider.row.name(), kind = %kind, "a filter does not find an account that is there; everybody is listed instead");
            self.remember_no_filter().await;
        }
        Ok(finds)
    }

    /// For a provider that understands no filter: everybody is read, once in a task. It is slow, and happens
    /// only for creates outside a full sync and after an ambiguous answer.
    async fn search_listing(
        &self,
        attempt: &mut Attempt,
        sought: &Sought,
        fresh: bool,
    ) -> Result<Vec<Account>, LookError> {
        let mut everybody = self.everybody.lock().await;
        if everybody.is_none() || fresh {
            *everybody = Some(self.list_everybody(attempt).await?);
        }
        let Some(everybody) = everybody.as_ref() else { return Ok(Vec::new()) };
        let accounts: Vec<Account> = everybody
            .accounts
            .iter()
            .filter(|account| {
                account.external_id.is_some() && account.external_id == sought.external_id
                    || account.name_key.as_deref() == Some(&sought.name_key)
            })
            .cloned()
            .collect();
        match &everybody.incomplete {
            Some(reason) if accounts.is_empty() && attempt.has_open_intent() => {
                Err(LookError::Undecided(reason.clone()))
            }
            _ => Ok(accounts),
        }
    }

    async fn list_everybody(&self, attempt: &mut Attempt) -> Result<Everybody, LookError> {
        match self.list_once(attempt).await {
            Err(Halt::Failed(failure)) if failure.is_cursor_lost() => Ok(self.list_once(attempt).await?),
            listed => Ok(listed?),
        }
    }

    async fn list_once(&self, attempt: &mut Attempt) -> Result<Everybody, Halt> {
        let kind = attempt.link.kind;
        let mut lister = Lister::new(self.provider.client.clone(), kind);
        let mut accounts = Vec::new();
        loop {
            let mut turn = self.turn(kind, Route::Read).await.map_err(Halt::NotNow)?;
            let page = turn.wait(lister.next_page(Projection::Except("members"), &self.context)).await;
            self.note_reply(&page);
            let Some(page) = page.map_err(|error| Halt::Failed(Failure::new(error)))? else { break };
            attempt.requests.request("GET", 1);
            accounts.extend(page.resources.iter().filter_map(|document| account_of(kind, document)));
        }
        let incomplete = match lister.listing() {
            Some(Listing::Incomplete(reason)) => Some(reason.to_string()),
            _ => None,
        };
        Ok(Everybody { accounts, incomplete })
    }

    /// Accounts that another of our objects owns are nobody's to take.
    async fn without_owned(&self, attempt: &Attempt, accounts: Vec<Account>) -> Result<Vec<Account>, LookError> {
        let mut free = Vec::with_capacity(accounts.len());
        for account in accounts {
            let provider = self.provider.row.id;
            let owner = self.worker.store.owner_of(provider, attempt.link.kind, &account.remote_id).await?;
            if owner.is_none_or(|owner| owner == *attempt.id()) {
                free.push(account);
            }
        }
        Ok(free)
    }
}

/// What an account shows of its identity.
pub(crate) fn account_of(kind: ResourceKind, document: &Document) -> Option<Account> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    Some(Account {
        remote_id: RemoteId::parse(text("id")?).ok()?,
        external_id: text("externalId").filter(|text| !text.is_empty()).map(str::to_owned),
        name_key: text(kind.naming_attribute()).map(fold),
    })
}
