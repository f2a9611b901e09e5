//! Listings: page after page, and the proof that nothing is missing.
//!
//! Only a complete listing allows conclusions from absence (R15), and providers get totals, page sizes
//! and positions wrong. So completeness is counted here from distinct ids and is never taken from a
//! provider's word alone. Whatever is odd makes a listing incomplete; it never makes it fail.

use scimfleet_core::RemoteId;
use scimfleet_core::profile::{Paging, Profile};
use scimfleet_core::scim::message::ListResponse;
use scimfleet_core::scim::{Document, ResourceKind};
use serde::{Deserialize, Serialize};

use crate::answer::{remote_id, tidy};
use crate::client::{Projection, RequestContext, ScimClient};
use crate::config::Limits;
use crate::delivered::{DIGEST_SEED, Delivered, digest, mix};
use crate::error::ScimError;

/// Pages without a resource, one after another, that a provider with cursors may send.
const EMPTY_PAGES_MAX: u64 = 10;

/// Where a listing stands, with what has been counted so far. It is saved, and another worker goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPosition {
    at: At,
    #[serde(default)]
    counted: Counted,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum At {
    /// `startIndex`, counted from 1.
    Index(u64),
    /// `cursor` (RFC 9865 §2); empty for the first page.
    Cursor(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Counted {
    pages: u64,
    /// Pages without a resource since the last one with.
    empty_pages: u64,
    /// Resources delivered, repeated ones included.
    delivered: u64,
    /// Resources that had been delivered before.
    repeated: u64,
    /// Resources that cannot be told apart: no object, or no id.
    unreadable: u64,
    /// As the provider said last.
    total: Option<u64>,
    /// The total fell meanwhile: with index paging something may have slipped by.
    shrunk: bool,
    /// Of the ids of the last page, to notice the same page coming again.
    fingerprint: Option<u64>,
}

impl ListPosition {
    /// The beginning, by index; goes over to cursors when the provider hands one out.
    pub fn start() -> Self {
        Self { at: At::Index(1), counted: Counted::default() }
    }

    /// The beginning, for a provider that pages by cursor only (`pagination.index` is false).
    pub fn start_by_cursor() -> Self {
        Self { at: At::Cursor(String::new()), counted: Counted::default() }
    }

    /// The beginning, as the profile says.
    pub fn start_of(profile: &Profile) -> Self {
        match profile.paging {
            Paging::Index => Self::start(),
            Paging::Cursor => Self::start_by_cursor(),
        }
    }

    /// Resources delivered so far, repeated ones included.
    pub fn delivered(&self) -> u64 {
        self.counted.delivered
    }

    pub(crate) fn query(&self, count: u32) -> Vec<(&'static str, String)> {
        let position = match &self.at {
            At::Index(index) => ("startIndex", index.to_string()),
            At::Cursor(cursor) => ("cursor", cursor.clone()),
        };
        vec![position, ("count", count.to_string())]
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The resources as the provider shows them, repeated ones included.
    pub resources: Vec<Document>,
    /// Ids of those among them that had been delivered before, as far as that is kept.
    pub again: Vec<RemoteId>,
    /// Where the next page is; `None` at the end.
    pub next: Option<ListPosition>,
    /// How many there are in all, as far as the provider says.
    pub total: Option<u64>,
    /// What the listing as a whole was worth; `Some` exactly when `next` is `None`.
    pub listing: Option<Listing>,
}

/// What a listing that has ended is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Every resource was delivered: what is not among them is not there.
    Complete {
        /// Distinct resources.
        resources: u64,
    },
    /// Something may be missing.
    Incomplete(Incompleteness),
}

/// Why a listing proves nothing about what it lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incompleteness {
    /// The position is ignored, or the listing goes in a circle.
    #[error("the same page came again after {delivered} resources; the provider seems to ignore `startIndex`")]
    SamePage {
        /// Resources delivered until then.
        delivered: u64,
    },
    /// `totalResults` promised more.
    #[error("the provider announced {announced} resources and delivered {delivered} different ones")]
    Fewer {
        /// `totalResults`.
        announced: u64,
        /// Distinct resources.
        delivered: u64,
    },
    /// Nothing was said about the size, and what came does not speak for itself.
    #[error("the provider did not say how many resources there are, and {repeated} of {delivered} came twice")]
    NoTotal {
        /// Resources delivered.
        delivered: u64,
        /// Those that came again.
        repeated: u64,
    },
    /// Some resources cannot be told apart.
    #[error("{count} resources came without a readable id")]
    Unreadable {
        /// How many.
        count: u64,
    },
    /// Resources went while they were listed, so that others may have moved past the position.
    #[error("resources were removed while they were listed; something may have slipped by")]
    Moved,
    /// More pages or resources than any directory has.
    #[error("gave up after {pages} pages and {delivered} resources; the listing seems to have no end")]
    Endless {
        /// Pages read.
        pages: u64,
        /// Resources delivered.
        delivered: u64,
    },
}

impl Page {
    /// Weighs one answer at `position`; `count` is what was asked for.
    pub(crate) fn new(
        position: &ListPosition,
        list: ListResponse,
        count: u64,
        limits: &Limits,
        delivered: Option<&mut Delivered>,
    ) -> Self {
        let (unreadable, total, cursor) = (list.unreadable, list.total_results, list.next_cursor);
        let resources: Vec<Document> = list.resources.into_iter().map(tidy).collect();
        let ids: Vec<RemoteId> = resources.iter().filter_map(remote_id).collect();
        let digests: Vec<u64> = ids.iter().map(digest).collect();
        let again: Vec<RemoteId> = delivered.map_or_else(Vec::new, |delivered| {
            let known = ids.into_iter().zip(&digests).filter(|(_, digest)| !delivered.add(**digest));
            known.map(|(id, _)| id).collect()
        });
        let arrived = Arrived {
            delivered: (resources.len() + unreadable) as u64,
            unreadable: (resources.len() + unreadable - digests.len()) as u64,
            repeated: again.len() as u64,
            fingerprint: digests.iter().fold(DIGEST_SEED, |sum, digest| mix(sum, &digest.to_le_bytes())),
            total,
            cursor,
        };
        let (next, listing) = match step(position, arrived, count, limits) {
            Ok(next) => (Some(next), None),
            Err(listing) => (None, Some(listing)),
        };
        Self { resources, again, next, total, listing }
    }
}

/// What of a page matters for the position.
struct Arrived {
    delivered: u64,
    unreadable: u64,
    repeated: u64,
    fingerprint: u64,
    total: Option<u64>,
    cursor: Option<String>,
}

/// Where to go on, or what the listing was worth.
fn step(position: &ListPosition, page: Arrived, count: u64, limits: &Limits) -> Result<ListPosition, Listing> {
    let before = &position.counted;
    if page.delivered > 0 && before.fingerprint == Some(page.fingerprint) {
        return Err(Listing::Incomplete(Incompleteness::SamePage { delivered: before.delivered }));
    }
    let now = before.with(&page);
    if now.pages >= limits.listing_pages_max
        || now.delivered >= limits.listing_resources_max
        || now.empty_pages > EMPTY_PAGES_MAX
    {
        let (pages, delivered) = (now.pages, now.delivered);
        return Err(Listing::Incomplete(Incompleteness::Endless { pages, delivered }));
    }
    match (&position.at, page.cursor) {
        (_, Some(cursor)) => Ok(ListPosition { at: At::Cursor(cursor), counted: now }),
        (At::Cursor(_), None) => Err(now.worth()),
        (At::Index(_), None) if page.delivered == 0 || now.is_all_there(count) => Err(now.worth()),
        // By what came, not by what was asked for: a short page is not the last.
        (At::Index(index), None) => {
            Ok(ListPosition { at: At::Index(index.saturating_add(page.delivered)), counted: now })
        }
    }
}

impl Counted {
    fn with(&self, page: &Arrived) -> Self {
        Self {
            pages: self.pages + 1,
            empty_pages: if page.delivered == 0 { self.empty_pages + 1 } else { 0 },
            delivered: self.delivered + page.delivered,
            repeated: self.repeated + page.repeated,
            unreadable: self.unreadable + page.unreadable,
            total: page.total.or(self.total),
            shrunk: self.shrunk || matches!((self.total, page.total), (Some(before), Some(now)) if now < before),
            fingerprint: Some(page.fingerprint),
        }
    }

    /// Whether the total is reached. A first page that is exactly full and says that it is all may come
    /// from a provider that calls the size of the page the total; the next page tells. A total that was
    /// passed is wrong in any case, and then only an empty page is the end.
    fn is_all_there(&self, count: u64) -> bool {
        let is_suspicious = self.pages == 1 && self.delivered == count;
        !is_suspicious && self.total == Some(self.delivered)
    }

    fn worth(&self) -> Listing {
        let (delivered, repeated) = (self.delivered, self.repeated);
        let resources = delivered - repeated.min(delivered);
        Listing::Incomplete(match self.total {
            _ if self.unreadable > 0 => Incompleteness::Unreadable { count: self.unreadable },
            _ if self.shrunk => Incompleteness::Moved,
            Some(announced) if resources < announced => Incompleteness::Fewer { announced, delivered: resources },
            None if resources == 0 || repeated > 0 => Incompleteness::NoTotal { delivered, repeated },
            _ => return Listing::Complete { resources },
        })
    }
}

/// Reads a whole listing and tells what it is worth.
///
/// An error leaves the position where it was, so that the same page can be asked for again.
pub struct Lister {
    client: ScimClient,
    kind: ResourceKind,
    position: Option<ListPosition>,
    delivered: Delivered,
    listing: Option<Listing>,
}

impl Lister {
    /// From the beginning, as the client's profile says that this provider pages.
    pub fn new(client: ScimClient, kind: ResourceKind) -> Self {
        let start = ListPosition::start_of(client.profile());
        Self::resume(client, kind, start)
    }

    /// From a saved position. Give what was read already to [`Lister::already_delivered`]; without them a resource
    /// that comes once before and once after the break is counted twice.
    pub fn resume(client: ScimClient, kind: ResourceKind, position: ListPosition) -> Self {
        Self { client, kind, position: Some(position), delivered: Delivered::default(), listing: None }
    }

    /// Tells what was delivered before `position` was saved.
    #[must_use]
    pub fn already_delivered(mut self, delivered: Delivered) -> Self {
        self.delivered = delivered;
        self
    }

    /// What was delivered so far, to be saved beside the position.
    pub fn delivered(&self) -> &Delivered {
        &self.delivered
    }

    /// The same, when nothing more is asked for.
    pub fn into_delivered(self) -> Delivered {
        self.delivered
    }

    /// The next page; `None` after the last.
    pub async fn next_page(
        &mut self,
        projection: Projection<'_>,
        context: &RequestContext,
    ) -> Result<Option<Page>, ScimError> {
        let Some(position) = self.position.clone() else { return Ok(None) };
        let list = self.client.ask_list(self.kind, &position, projection, context).await?;
        let count = u64::from(self.client.page_size());
        let page = Page::new(&position, list, count, self.client.limits(), Some(&mut self.delivered));
        self.position.clone_from(&page.next);
        self.listing.clone_from(&page.listing);
        Ok(Some(page))
    }

    /// Where the next page is, to be saved; `None` at the end.
    pub fn position(&self) -> Option<&ListPosition> {
        self.position.as_ref()
    }

    /// What the listing was worth, once it has ended.
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
