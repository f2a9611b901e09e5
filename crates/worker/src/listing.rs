//! Reading a provider's listing to its end, outside of tasks.

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::Document;
use scimfleet_scim_client::{Lister, Listing, Projection, RequestContext, ScimError};

use crate::provider::Provider;

/// Hands every resource of a kind to `each`, and says what the listing is worth: only a complete one allows
/// conclusions from absence (R15).
pub(crate) async fn read_all(
    provider: &Provider,
    kind: ResourceKind,
    projection: Projection<'_>,
    context: &RequestContext,
    mut each: impl FnMut(Document),
) -> Result<Option<Listing>, ScimError> {
    let mut lister = Lister::new(provider.client.clone(), kind);
    while let Some(page) = lister.next_page(projection, context).await? {
        page.resources.into_iter().for_each(&mut each);
    }
    Ok(lister.listing().cloned())
}
