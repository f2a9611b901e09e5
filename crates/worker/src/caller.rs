//! Single requests outside of tasks, for a person's command, each in its turn.

use scimfleet_core::ports::Coordination;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::PatchOperation;
use scimfleet_core::{RemoteId, ResourceKind};
use scimfleet_scim_client::{Answer, Found, ListPosition, Page, Projection, RequestContext, ScimClient, ScimError};

use crate::listing::Reader;
use crate::provider::Provider;
use crate::task::wire::Route;

/// Calls one provider.
pub(crate) struct Caller<'a> {
    turns: Reader<'a>,
    client: &'a ScimClient,
    context: RequestContext,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(provider: &'a Provider, coordination: &'a dyn Coordination) -> Self {
        let turns = Reader::new(provider, coordination);
        Self { turns, client: &provider.client, context: RequestContext::default() }
    }

    /// Where a listing begins.
    pub(crate) fn start(&self) -> ListPosition {
        ListPosition::start_of(self.client.profile())
    }

    pub(crate) async fn list(
        &self,
        kind: ResourceKind,
        position: &ListPosition,
        projection: Projection<'_>,
    ) -> Result<Page, ScimError> {
        let _turn = self.turns.turn(kind, Route::Read).await;
        self.client.list(kind, position, projection, &self.context).await
    }

    pub(crate) async fn find(&self, kind: ResourceKind, attribute: &str, value: &str) -> Result<Found, ScimError> {
        let _turn = self.turns.turn(kind, Route::Read).await;
        self.client.find(kind, attribute, value, &self.context).await
    }

    pub(crate) async fn get(&self, kind: ResourceKind, account: &RemoteId) -> Result<Answer, ScimError> {
        let _turn = self.turns.turn(kind, Route::Read).await;
        self.client.get(kind, account, &self.context).await
    }

    pub(crate) async fn create(&self, kind: ResourceKind, document: &Document) -> Result<Answer, ScimError> {
        let _turn = self.turns.turn(kind, Route::Create).await;
        self.client.create(kind, document, &self.context).await
    }

    pub(crate) async fn patch(
        &self,
        kind: ResourceKind,
        account: &RemoteId,
        operations: &[PatchOperation],
    ) -> Result<Answer, ScimError> {
        let _turn = self.turns.turn(kind, Route::Update).await;
        self.client.patch(kind, account, operations, None, &self.context).await
    }

    pub(crate) async fn delete(&self, kind: ResourceKind, account: &RemoteId) -> Result<Answer, ScimError> {
        let _turn = self.turns.turn(kind, Route::Delete).await;
        self.client.delete(kind, account, None, &self.context).await
    }
}
