//! Reading a provider outside of tasks, for a person's command: listings to their end, and single accounts. Each request
//! waits for its turn as those of tasks do. Nothing is leased meanwhile, so it waits for as long as it takes.

use std::time::Duration;

use scimfleet_core::ports::{Coordination, Rate};
use scimfleet_core::retry::{Class, clamp_retry_after};
use scimfleet_core::scim::Document;
use scimfleet_core::task::Lane;
use scimfleet_core::{RemoteId, ResourceKind};
use scimfleet_scim_client::{Answer, Lister, Listing, Page, Projection, RequestContext, ScimError};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::allowance::{allowance, slow_down, steady};
use crate::provider::Provider;
use crate::task::wire::Route;

/// So many 429 in a row, each waited out as it asked, and the command ends: that provider wants to be left alone.
const THROTTLED_MAX: u32 = 8;
/// A wait longer than this is said, so that nobody takes it for a hang.
const WAIT_SAID: Duration = Duration::from_secs(5);

/// Reads one provider.
pub(crate) struct Reader<'a> {
    pub(crate) provider: &'a Provider,
    coordination: &'a dyn Coordination,
    context: RequestContext,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(provider: &'a Provider, coordination: &'a dyn Coordination) -> Self {
        Self { provider, coordination, context: RequestContext::default() }
    }

    /// Hands every resource of a kind to `each`, and says what the listing is worth: only a complete one allows
    /// conclusions from absence (R15).
    pub(crate) async fn read_all(
        &self,
        kind: ResourceKind,
        projection: Projection<'_>,
        mut each: impl FnMut(Document),
    ) -> Result<Option<Listing>, ScimError> {
        let mut lister = Lister::new(self.provider.client.clone(), kind);
        while let Some(page) = self.next_page(&mut lister, kind, projection).await? {
            page.resources.into_iter().for_each(&mut each);
        }
        Ok(lister.listing().cloned())
    }

    /// The next page of a listing; `None` at its end.
    pub(crate) async fn next_page(
        &self,
        lister: &mut Lister,
        kind: ResourceKind,
        projection: Projection<'_>,
    ) -> Result<Option<Page>, ScimError> {
        let mut throttled = 0;
        while lister.position().is_some() {
            let turn = self.turn(kind, Route::Read).await;
            let asked = lister.next_page(projection, &self.context).await;
            drop(turn);
            match asked {
                Ok(page) => return Ok(page),
                // The position stays where it was: the same page is asked for again.
                Err(error) => self.wait_out(error, &mut throttled).await?,
            }
        }
        Ok(None)
    }

    /// One account by its id.
    pub(crate) async fn get(&self, kind: ResourceKind, account: &RemoteId) -> Result<Answer, ScimError> {
        let mut throttled = 0;
        loop {
            let turn = self.turn(kind, Route::Read).await;
            let asked = self.provider.client.get(kind, account, &self.context).await;
            drop(turn);
            match asked {
                Ok(answer) => return Ok(answer),
                Err(error) => self.wait_out(error, &mut throttled).await?,
            }
        }
    }

    /// A place among the provider's requests that is not kept for leavers, and one request's worth of each rate
    /// that the request counts to.
    pub(crate) async fn turn(&self, kind: ResourceKind, route: Route) -> Option<OwnedSemaphorePermit> {
        let place = self.provider.in_flight.take(Lane::Sync).await;
        for (class, rate) in self.provider.profile.rates_of(kind, route.action(), 0) {
            self.allowed(class, Some(steady(rate))).await;
        }
        self.allowed("all", None).await;
        self.provider.health.learning.sent(Instant::now());
        place
    }

    async fn allowed(&self, class: &str, own: Option<Rate>) {
        let name = self.provider.row.name();
        loop {
            let rate = if own.is_some() { own } else { allowance(self.coordination, self.provider).await };
            let Some(wait) = self.coordination.try_acquire(name, class, rate).await else { return };
            if wait >= WAIT_SAID {
                tracing::info!(provider = %name, seconds = wait.as_secs(), "waiting for the provider's allowance");
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// After a 429 all workers wait for as long as it asked; any other error is given back.
    async fn wait_out(&self, error: ScimError, throttled: &mut u32) -> Result<(), ScimError> {
        if error.class() != Class::Throttled || *throttled >= THROTTLED_MAX {
            return Err(error);
        }
        *throttled += 1;
        slow_down(self.coordination, self.provider, clamp_retry_after(error.retry_after())).await;
        Ok(())
    }
}
