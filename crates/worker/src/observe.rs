//! Observing: what a provider holds, page by page (R15). Accounts that links name write no row; the others
//! become candidates for adoption; only a complete listing says that something is gone.

use std::time::Duration;

use scimfleet_core::outcome::Outcome;
use scimfleet_core::retry::{Class, clamp_retry_after};
use scimfleet_core::state::ProviderState;
use scimfleet_core::{ResourceId, ResourceKind, RunId};
use scimfleet_scim_client::{Delivered, ListPosition, Lister, Listing, Page, Projection, ScimError};
use scimfleet_store::{Counts, Seen, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::planted::{Defect, is_planted};
use crate::task::lookup::account_of;
use crate::task::pace::TASK_TIME_MAX;
use crate::task::wire::{Route, Turn};
use crate::task::{Session, TaskError};

/// A listing is saved this often, so that another worker loses little. What is saved grows with what was
/// read: by pages instead of by time, a large listing would do little else.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Members of groups that a listing shows at the most: some megabytes.
const MEMBERS_LISTED_MAX: i64 = 10_000;

/// A listing waits this long for its next page: it holds no object meanwhile. A longer wait hands it on.
const PAGE_WAIT_MAX: Duration = Duration::from_secs(5);
/// A listing that may not go on now, for no time that anybody named, is looked at again after this long.
const HANDED_ON_FOR: Duration = Duration::from_secs(1);

/// Where a listing stands, for whoever goes on with it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved<D = Delivered> {
    at: Option<ListPosition>,
    /// How many accounts of ours were seen.
    ours: u64,
    /// Everybody who was seen. While the listing is read, its reader has it.
    delivered: D,
}

/// What reading came to.
enum End {
    Finished(Listing),
    TimeIsOver,
    /// The provider wants no more requests for this long.
    Later(Duration),
    /// Listing is not possible there, or broke off: no conclusions, but the run goes on.
    NotListed(String),
}

impl Session<'_> {
    pub(crate) async fn observe(&self) -> Result<(), TaskError> {
        let Some(run) = self.task.run else { return Ok(()) };
        self.back_in_service().await?;
        let kind = self.task.kind;
        if kind == ResourceKind::Group && !self.provider.profile.groups {
            self.worker
                .store
                .note_listing(run, kind.as_str(), &json!({ "complete": false, "note": "no groups there" }))
                .await?;
            return self.close_observing(Counts::default()).await;
        }
        if !self.provider.profile.listing {
            let note = "the profile says that a listing does not show everybody; nothing is concluded from it";
            self.worker.store.note_listing(run, kind.as_str(), &json!({ "complete": false, "note": note })).await?;
            return self.close_observing(Counts::default()).await;
        }
        let Some(position) = self.worker.store.task_position(self.task.task).await? else { return Ok(()) };
        let mut saved: Saved = position.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let mut counts = Counts::default();
        let end = match self.read_pages(run, &mut saved, &mut counts).await? {
            Ok(end) => end,
            Err(error) if error.is_cursor_lost() => {
                saved = Saved::default();
                match self.read_pages(run, &mut saved, &mut counts).await? {
                    Ok(end) => end,
                    Err(error) => self.not_listed(error)?,
                }
            }
            Err(error) => self.not_listed(error)?,
        };
        match end {
            End::TimeIsOver => self.hand_on(&saved, counts, Duration::ZERO).await,
            End::Later(wait) => self.hand_on(&saved, counts, wait).await,
            End::Finished(listing) => {
                self.conclude(run, &listing, &saved).await?;
                self.close_observing(counts).await
            }
            End::NotListed(note) => {
                self.worker.store.note_listing(run, kind.as_str(), &json!({ "complete": false, "note": note })).await?;
                self.close_observing(counts).await
            }
        }
    }

    /// Discovery went through: whoever was degraded is back.
    async fn back_in_service(&self) -> Result<(), StoreError> {
        let row = &self.provider.row;
        if matches!(row.state, ProviderState::Degraded | ProviderState::Quarantined) {
            tracing::info!(provider = %row.name(), "the provider is back");
            self.worker.store.set_provider_state(row.id, ProviderState::Active, None).await?;
        }
        self.health.reset_if_tripped();
        Ok(())
    }

    /// A provider that cannot list is worked with all the same; one that is down is not.
    fn not_listed(&self, error: ScimError) -> Result<End, TaskError> {
        match error.class() {
            Class::Credentials | Class::Transient | Class::Unknown => {
                Err(crate::provider::ProviderError::from(error).into())
            }
            _ => Ok(End::NotListed(error.to_string())),
        }
    }

    async fn read_pages(
        &self,
        run: RunId,
        saved: &mut Saved,
        counts: &mut Counts,
    ) -> Result<Result<End, ScimError>, StoreError> {
        let began = Instant::now();
        let mut saved_at = began;
        let (client, kind) = (self.provider.client.clone(), self.task.kind);
        let lister = match saved.at.clone() {
            Some(position) => Lister::resume(client, kind, position),
            None => Lister::new(client, kind),
        };
        let mut lister = lister.already_delivered(std::mem::take(&mut saved.delivered));
        let projection = self.projection().await?;
        loop {
            let mut turn = match self.page_turn().await {
                Ok(turn) => turn,
                Err(wait) => {
                    saved.delivered = lister.into_delivered();
                    return Ok(Ok(End::Later(wait)));
                }
            };
            let asked_at_ms = self.worker.store.now_ms();
            let asked = turn.wait(lister.next_page(projection, &self.context)).await;
            self.note_reply(&asked);
            drop(turn);
            let page = match asked {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) if error.class() == Class::Throttled => {
                    let wait = clamp_retry_after(error.retry_after());
                    self.note_throttled(wait);
                    saved.delivered = lister.into_delivered();
                    return Ok(Ok(End::Later(wait)));
                }
                Err(error) => return Ok(Err(error)),
            };
            counts.request("GET", 1);
            saved.ours += self.note_page(run, &page, asked_at_ms).await?;
            saved.at = lister.position().cloned();
            if saved.at.is_some() && began.elapsed() > TASK_TIME_MAX {
                saved.delivered = lister.into_delivered();
                return Ok(Ok(End::TimeIsOver));
            }
            if saved.at.is_some() && saved_at.elapsed() > SAVE_EVERY {
                let now = Saved { at: saved.at.clone(), ours: saved.ours, delivered: lister.delivered() };
                self.save(&now).await?;
                saved_at = Instant::now();
            }
        }
        let listing = lister.listing().cloned();
        saved.delivered = lister.into_delivered();
        Ok(Ok(match listing {
            Some(listing) => End::Finished(listing),
            None => End::NotListed("the listing ended without a verdict".to_owned()),
        }))
    }

    /// Waits for the turn of the next page as every request does, or says after how long to go on. Nothing is
    /// leased while listing, so no lease limits it.
    async fn page_turn(&self) -> Result<Turn<'_>, Duration> {
        loop {
            self.tenure.renewed(Instant::now());
            match self.turn(self.task.kind, Route::Read).await {
                Ok(turn) => return Ok(turn),
                Err(Outcome::Throttled(wait)) if wait <= PAGE_WAIT_MAX => tokio::time::sleep(wait).await,
                Err(Outcome::Throttled(wait)) => return Err(wait),
                Err(_) => return Err(HANDED_ON_FOR),
            }
        }
    }

    /// Members are asked for while there are few: then drift in them is seen, too (R22).
    async fn projection(&self) -> Result<Projection<'static>, StoreError> {
        let few = self.task.kind == ResourceKind::Group
            && !self.worker.store.has_more_memberships(self.provider.row.id, MEMBERS_LISTED_MAX).await?;
        Ok(if few { Projection::Default } else { Projection::Except("members") })
    }

    /// Returns how many accounts of ours it showed for the first time.
    async fn note_page(&self, run: RunId, page: &Page, asked_at_ms: i64) -> Result<u64, StoreError> {
        let kind = self.task.kind;
        let accounts = page.resources.iter().filter_map(|document| account_of(kind, document));
        let mut seen: Vec<Seen> = accounts
            .map(|account| Seen {
                remote_id: account.remote_id,
                external_id: account.external_id,
                name_key: account.name_key,
            })
            .collect();
        // One row per account: PostgreSQL refuses to upsert a key twice in one statement.
        seen.sort_by(|one, other| one.remote_id.cmp(&other.remote_id));
        seen.dedup_by(|one, other| one.remote_id == other.remote_id);
        let linked = self.worker.store.record_seen(self.provider.row.id, kind, run, &seen).await?;
        self.compare_page(&page.resources, &linked, asked_at_ms).await?;
        Ok(linked.keys().filter(|account| !page.again.contains(account)).count() as u64)
    }

    async fn save<D: Serialize + Sync>(&self, saved: &Saved<D>) -> Result<(), StoreError> {
        let text = serde_json::to_string(saved).unwrap_or_default();
        self.worker.store.save_position(self.task.task, &text).await
    }

    /// The time of a task, or the provider's patience, is over: the position is saved, and the task is due
    /// again after `wait`.
    async fn hand_on(&self, saved: &Saved, counts: Counts, wait: Duration) -> Result<(), TaskError> {
        self.save(saved).await?;
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let close = scimfleet_store::TaskClose::Later {
            task: self.task.task,
            counts,
            worker: self.worker.name.clone(),
            due_at_ms: self.worker.store.now_ms().saturating_add(wait_ms),
            left: 0,
        };
        self.worker.store.close_run_task(&close).await?;
        Ok(())
    }

    /// Draws the conclusions that a complete listing allows; notes an incomplete one.
    async fn conclude(&self, run: RunId, listing: &Listing, saved: &Saved) -> Result<(), TaskError> {
        let store = &self.worker.store;
        let (kind, provider) = (self.task.kind, self.provider.row.id);
        match listing {
            Listing::Incomplete(reason) if !is_planted(Defect::IncompleteIsAbsent) => {
                self.note_incomplete(run, &reason.to_string()).await?;
            }
            Listing::Complete { .. } if saved.ours == 0 && self.hides_somebody().await? => {
                self.note_incomplete(run, "the listing shows none of our accounts, and one of them is there").await?;
            }
            Listing::Incomplete(_) => {
                self.mark_missing(saved).await?;
                store.note_listing(run, kind.as_str(), &json!({ "complete": true })).await?;
            }
            Listing::Complete { resources } => {
                store.forget_unseen(provider, kind, run).await?;
                let missing = self.mark_missing(saved).await?;
                let listing = json!({ "complete": true, "resources": resources, "missing": missing });
                store.note_listing(run, kind.as_str(), &listing).await?;
            }
        }
        Ok(())
    }

    async fn note_incomplete(&self, run: RunId, note: &str) -> Result<(), StoreError> {
        let kind = self.task.kind;
        tracing::warn!(provider = %self.provider.row.name(), kind = %kind, note, "the listing is incomplete; nothing is concluded from absence");
        self.worker.store.note_listing(run, kind.as_str(), &json!({ "complete": false, "note": note })).await
    }

    /// Whether an account of ours, which the listing did not show, can be read by its id. A provider that
    /// answers every listing with nothing would otherwise get everybody a second time.
    async fn hides_somebody(&self) -> Result<bool, StoreError> {
        let (kind, provider) = (self.task.kind, self.provider.row.id);
        let known = self.worker.store.accounts_after(provider, kind, None, 1).await?;
        let Some((_, account)) = known.first() else { return Ok(false) };
        // Unasked, nobody knows: then nothing is concluded.
        let Ok(mut turn) = self.page_turn().await else { return Ok(true) };
        Ok(turn.wait(self.provider.client.get(kind, account, &self.context)).await.is_ok())
    }

    /// Accounts of ours that a complete listing did not show are looked at one by one: their link is
    /// marked, and an update that meets a 404 finds out (R30).
    async fn mark_missing(&self, saved: &Saved) -> Result<u64, StoreError> {
        let store = &self.worker.store;
        let (kind, provider) = (self.task.kind, self.provider.row.id);
        if store.count_accounts(provider, kind).await? <= saved.ours {
            return Ok(0);
        }
        let mut after: Option<ResourceId> = None;
        let mut missing = 0;
        loop {
            let page = store.accounts_after(provider, kind, after.as_ref(), 1000).await?;
            let Some((last, _)) = page.last() else { return Ok(missing) };
            after = Some(last.clone());
            let gone: Vec<ResourceId> = page
                .iter()
                .filter(|(_, account)| !saved.delivered.contains(account))
                .map(|(id, _)| id.clone())
                .collect();
            missing += store.mark_missing(provider, &gone).await?;
        }
    }

    async fn close_observing(&self, counts: Counts) -> Result<(), TaskError> {
        if let Some(close) = self.done(counts) {
            self.worker.store.close_run_task(&close).await?;
        }
        Ok(())
    }
}
