//! An in-memory SCIM 2.0 service provider on loopback (RFC 7643, RFC 7644): strict by default, with the
//! habits of real applications as data ([`Behaviour`]), faults by script, a journal of every request, and
//! a record of whatever broke the RFC.
//!
//! It keeps nothing on disk and never calls anybody.

mod answer;
mod attributes;
mod behaviour;
mod bulk;
mod check;
mod discovery;
mod document;
mod fault;
mod filter;
mod journal;
mod limiter;
mod list;
mod members;
mod patch;
pub mod persona;
mod render;
mod resources;
mod service;
mod socket;
mod storage;
mod uri;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use scimfleet_core::ResourceKind;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use behaviour::{
    Behaviour, CreateMembers, DeleteUsers, Filtering, IdSource, OpCase, Paging, PatchBody, PatchPaths, RateLimit,
    Removal, RetryAfter, Returned, StatusStyle, Total, UnknownMembers,
};
pub use check::Violation;
pub use fault::{Fault, Matcher};
pub use journal::{Counts, ENTRIES_MAX_DEFAULT, Entry, Journal, Mark};
pub use storage::Deleted;

use axum::body::Bytes;

use render::{Projection, Scene, truth};
use resources::{Call, operate};
use service::{BASE_PATH, Service};
use socket::{CuttableListener, Cutter};
use storage::Storage;

/// How long stopping waits for answers that are on their way.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// Starts service providers.
#[derive(Debug)]
pub struct ServiceProvider;

impl ServiceProvider {
    /// Starts on 127.0.0.1, on a free port and with a random token.
    pub async fn start(behaviour: Behaviour) -> io::Result<Running> {
        let token = Uuid::new_v4().simple().to_string();
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), &token, behaviour).await
    }

    /// Starts at an address and with a token of choice.
    pub async fn start_at(address: SocketAddr, token: &str, behaviour: Behaviour) -> io::Result<Running> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service::new(behaviour, token.to_owned(), Storage::new()));
        let _ = service.base.set(format!("http://{address}{BASE_PATH}"));
        let app = service.router().into_make_service_with_connect_info::<Cutter>();
        let stopping = service.stopping.clone();
        let server = tokio::spawn(async move {
            let served = axum::serve(CuttableListener(listener), app);
            let _ = served.with_graceful_shutdown(stopping.cancelled_owned()).await;
        });
        Ok(Running { service, server: Some(server), address })
    }

    /// Not listening at all: for requests through [`Running::router`] or [`Running::answer`]. Its ids are counted,
    /// so that it does the same again.
    pub fn unbound(behaviour: Behaviour) -> Running {
        let service = Arc::new(Service::new(behaviour, "token".to_owned(), Storage::counting()));
        Running { service, server: None, address: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

/// What a service provider holds, as documents with `id`; groups with all their `members`.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// In the order of creation.
    pub users: Vec<Value>,
    /// In the order of creation.
    pub groups: Vec<Value>,
}

/// A running service provider. It stops when it is dropped.
#[derive(Debug)]
pub struct Running {
    service: Arc<Service>,
    server: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.service.stopping.cancel();
    }
}

impl Running {
    /// `http://127.0.0.1:<port>/scim/v2`
    pub fn base_url(&self) -> String {
        self.service.base().to_owned()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bearer token that every request must carry.
    pub fn token(&self) -> String {
        self.service.token()
    }

    /// Demands another token from now on; the old one gets 401.
    pub fn set_token(&self, token: &str) {
        self.service.set_token(token.to_owned());
    }

    /// Stops listening, lets answers finish (2 s at the most) and closes every connection.
    pub async fn stop(mut self) {
        self.service.stopping.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(STOP_WAIT, &mut server).await.is_err()
        {
            server.abort();
        }
    }

    /// The same provider as an axum router, for requests without a socket.
    pub fn router(&self) -> axum::Router {
        self.service.router()
    }

    /// Answers one request without a socket; `None`: the connection was cut instead.
    pub async fn answer(&self, request: axum::http::Request<Bytes>) -> Option<axum::http::Response<Bytes>> {
        self.service.carried(request).await
    }

    /// The habits now.
    pub fn behaviour(&self) -> Behaviour {
        (*self.service.behaviour()).clone()
    }

    /// Changes habits while it runs; requests already in work keep the old ones.
    pub fn change_behaviour(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut behaviour = self.behaviour();
        change(&mut behaviour);
        self.service.set_behaviour(behaviour);
    }

    /// Lets requests meet a fault. Steps are tried in the order in which they were given.
    pub fn script(&self, matcher: Matcher, fault: Fault) {
        self.service.script().push(matcher, fault);
    }

    /// Forgets all scripted faults.
    pub fn clear_script(&self) {
        self.service.script().clear();
    }

    /// Every request so far (as many as are kept) and all counters.
    pub fn journal(&self) -> Journal {
        self.since(&Mark::default())
    }

    /// A point in the journal to count from.
    pub fn mark(&self) -> Mark {
        self.service.recorder().mark()
    }

    /// The journal since `mark`.
    pub fn since(&self, mark: &Mark) -> Journal {
        self.service.recorder().since(mark)
    }

    /// Only the counters since `mark`: cheap however long the journal is.
    pub fn counts_since(&self, mark: &Mark) -> Counts {
        self.service.recorder().counts_since(mark)
    }

    /// Keeps at most so many requests; 0 keeps counters only.
    pub fn cap_journal(&self, entries_max: usize) {
        self.service.recorder().cap(entries_max);
    }

    /// Whatever broke the RFC so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.service.violations().clone()
    }

    /// What it holds.
    pub fn content(&self) -> Content {
        let storage = self.service.storage();
        let all = |kind| storage.table(kind).iter(0).map(|stored| truth(kind, stored)).collect();
        Content { users: all(ResourceKind::User), groups: all(ResourceKind::Group) }
    }

    /// How many users it holds.
    pub fn users_count(&self) -> usize {
        self.service.storage().table(ResourceKind::User).len()
    }

    /// How many groups it holds.
    pub fn groups_count(&self) -> usize {
        self.service.storage().table(ResourceKind::Group).len()
    }

    /// One resource by id, with all its members.
    pub fn resource(&self, kind: ResourceKind, id: &str) -> Option<Value> {
        self.service.storage().table(kind).get(id).map(|stored| truth(kind, stored))
    }

    /// Users with this `userName`, or groups with this `displayName`, without regard to case.
    pub fn named(&self, kind: ResourceKind, name: &str) -> Vec<Value> {
        self.service.storage().table(kind).named(name).into_iter().map(|stored| truth(kind, stored)).collect()
    }

    /// Resources with this `externalId`.
    pub fn with_external_id(&self, kind: ResourceKind, external_id: &str) -> Vec<Value> {
        let storage = self.service.storage();
        storage.table(kind).with_external_id(external_id).into_iter().map(|stored| truth(kind, stored)).collect()
    }

    /// The password that was last set for a user.
    pub fn password(&self, id: &str) -> Option<String> {
        self.service.storage().table(ResourceKind::User).get(id).and_then(|stored| stored.password.clone())
    }

    /// Everything that was deleted, in order.
    pub fn deleted(&self) -> Vec<Deleted> {
        self.service.storage().deleted.clone()
    }

    /// `externalId`s that more than one resource of a kind carries.
    pub fn duplicates(&self, kind: ResourceKind) -> Vec<String> {
        let storage = self.service.storage();
        let mut ids: Vec<&str> =
            storage.table(kind).iter(0).filter_map(|stored| stored.document.get("externalId")?.as_str()).collect();
        ids.sort_unstable();
        let mut twice: Vec<String> =
            ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned()).collect();
        twice.dedup();
        twice
    }

    /// Puts a user there as if somebody else had; returns its id. No journal, no faults.
    ///
    /// # Errors
    /// The provider's words when it refuses the document.
    pub fn seed_user(&self, document: Value) -> Result<String, String> {
        self.seed(ResourceKind::User, document)
    }

    /// Puts a group there as if somebody else had; returns its id.
    ///
    /// # Errors
    /// The provider's words when it refuses the document.
    pub fn seed_group(&self, document: Value) -> Result<String, String> {
        self.seed(ResourceKind::Group, document)
    }

    fn seed(&self, kind: ResourceKind, document: Value) -> Result<String, String> {
        let body = document.as_object().cloned().unwrap_or_default();
        self.perform("POST", kind, None, Some(body)).map(Option::unwrap_or_default)
    }

    /// Changes a resource behind everybody's back (drift): `document` is exchanged as by PUT.
    ///
    /// # Errors
    /// The provider's words when it refuses the document.
    pub fn tamper(
        &self,
        kind: ResourceKind,
        id: &str,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), String> {
        let Some(Value::Object(mut document)) = self.resource(kind, id) else { return Err(format!("no `{id}`")) };
        change(&mut document);
        self.perform("PUT", kind, Some(id), Some(document)).map(drop)
    }

    /// Deletes a resource behind everybody's back.
    ///
    /// # Errors
    /// The provider's words when there is none.
    pub fn remove(&self, kind: ResourceKind, id: &str) -> Result<(), String> {
        self.perform("DELETE", kind, Some(id), None).map(drop)
    }

    fn perform(
        &self,
        method: &str,
        kind: ResourceKind,
        id: Option<&str>,
        body: Option<Map<String, Value>>,
    ) -> Result<Option<String>, String> {
        // Whoever works on the provider's own side is not bound by what its SCIM front can do.
        let behaviour = Behaviour { put: true, delete_users: DeleteUsers::Delete, groups: true, ..self.behaviour() };
        let mut call = Call {
            method: method.to_owned(),
            kind,
            id: id.map(str::to_owned),
            if_match: None,
            if_none_match: None,
            body,
            projection: Projection::default(),
        };
        let scene = Scene { behaviour: &behaviour, base: self.service.base() };
        operate(scene, &mut self.service.storage(), &mut call)
            .map(|answer| answer.object)
            .map_err(|refusal| refusal.detail)
    }
}

#[cfg(test)]
mod tests;
