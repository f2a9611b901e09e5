//! From HTTP request to answer: faults, limits, credentials, routing, journal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Response, header};
use scimfleet_core::ResourceKind;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Payload, Refusal};
use super::behaviour::Behaviour;
use super::check::{self, Findings, Violation};
use super::fault::{Fault, Script};
use super::journal::{Entry, Recorder};
use super::limiter::{Limiter, retry_after};
use super::list::{Query, list};
use super::render::Scene;
use super::resources::{Call, operate};
use super::socket::Cutter;
use super::storage::Storage;
use super::{bulk, discovery, uri};

/// The path of the base URL.
pub(crate) const BASE_PATH: &str = "/scim/v2";
/// A bulk request of the largest kind fits; anything beyond is no test.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Violations that are kept; one mistake repeated a million times is told often enough by then.
const VIOLATIONS_MAX: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Service {
    behaviour: RwLock<Arc<Behaviour>>,
    token: RwLock<String>,
    pub(crate) base: OnceLock<String>,
    storage: Mutex<Storage>,
    recorder: Mutex<Recorder>,
    script: Mutex<Script>,
    violations: Mutex<Vec<Violation>>,
    limiters: Mutex<BTreeMap<String, Limiter>>,
    started: Instant,
    pub(crate) stopping: CancellationToken,
}

/// A panic in one test's closure must not hide what the others hold.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    pub(crate) fn new(behaviour: Behaviour, token: String, storage: Storage) -> Self {
        Self {
            behaviour: RwLock::new(Arc::new(behaviour)),
            token: RwLock::new(token),
            base: OnceLock::new(),
            storage: Mutex::new(storage),
            recorder: Mutex::new(Recorder::new()),
            script: Mutex::new(Script::default()),
            violations: Mutex::new(Vec::new()),
            limiters: Mutex::default(),
            started: Instant::now(),
            stopping: CancellationToken::new(),
        }
    }

    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(handle).with_state(Arc::clone(self))
    }

    /// Answers a request that came without a socket; `None`: the connection was cut.
    pub(crate) async fn carried(self: &Arc<Self>, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let response = handle(State(Arc::clone(self)), request.map(Body::from)).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, BODY_BYTES_MAX).await.ok()?;
        Some(Response::from_parts(parts, body))
    }

    pub(crate) fn base(&self) -> &str {
        self.base.get().map_or("http://localhost/scim/v2", String::as_str)
    }

    pub(crate) fn behaviour(&self) -> Arc<Behaviour> {
        Arc::clone(&self.behaviour.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        *self.behaviour.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(behaviour);
    }

    pub(crate) fn token(&self) -> String {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_token(&self, token: String) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    pub(crate) fn storage(&self) -> MutexGuard<'_, Storage> {
        lock(&self.storage)
    }

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.recorder)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    pub(crate) fn violations(&self) -> MutexGuard<'_, Vec<Violation>> {
        lock(&self.violations)
    }

    /// Answers one request, without faults and journal.
    fn answer(&self, behaviour: &Behaviour, request: &Incoming) -> Answer {
        if !request.inside {
            // Beside the base URL there is no SCIM, so the error is not SCIM's either.
            return Answer::html(404);
        }
        let outcome = match self.limited(behaviour, request) {
            Some(answer) => return answer,
            None => self.admit(behaviour, request).and_then(|()| self.route(behaviour, request)),
        };
        outcome.unwrap_or_else(|refusal| Answer::refused(refusal, behaviour))
    }

    fn limited(&self, behaviour: &Behaviour, request: &Incoming) -> Option<Answer> {
        let endpoint = request.path.get(1..).and_then(|path| path.split('/').next()).unwrap_or_default();
        let applies = |class: &str| {
            let (class, larger_than) = class.split_once('>').unwrap_or((class, ""));
            let is_asked = match class.split_once(' ') {
                Some((method, path)) => method == request.method && path == format!("/{endpoint}"),
                None => class == request.method,
            };
            is_asked
                && (larger_than.is_empty() || larger_than.parse().is_ok_and(|size: usize| request.body.len() > size))
        };
        let own =
            behaviour.rates.iter().filter(|(class, _)| applies(class)).map(|(class, limit)| (class.as_str(), *limit));
        for (class, limit) in behaviour.rate.map(|limit| ("", limit)).into_iter().chain(own) {
            let mut limiters = lock(&self.limiters);
            let limiter = limiters.entry(class.to_owned()).or_insert_with(Limiter::new);
            if let Err(wait) = limiter.take(limit, Instant::now()) {
                let mut answer = Answer::refused(Refusal::new(429, None, "too many requests"), behaviour);
                answer.retry_after = retry_after(limit.retry_after, wait);
                return Some(answer);
            }
        }
        None
    }

    /// Credentials and headers.
    fn admit(&self, behaviour: &Behaviour, request: &Incoming) -> Result<(), Refusal> {
        let sent = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if sent != Some(self.token.read().unwrap_or_else(PoisonError::into_inner).as_str()) {
            return Err(Refusal::new(401, None, "a valid bearer token is needed"));
        }
        if behaviour.user_agent_required && request.header(header::USER_AGENT).is_none() {
            return Err(Refusal::new(403, None, "`User-Agent` is needed"));
        }
        let accepts_json = request.header(header::ACCEPT).is_some_and(|accept| accept.contains("json"));
        if request.method == "DELETE" && behaviour.delete_refuses_json && accepts_json {
            return Err(Refusal::new(400, None, "this `Accept` is not understood"));
        }
        if request.body.is_empty() {
            return Ok(());
        }
        let content_type = request.header(header::CONTENT_TYPE).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match behaviour.content_type_required.as_deref() {
            Some(wanted) if !wanted.eq_ignore_ascii_case(essence) => {
                Err(Refusal::new(415, None, format!("`Content-Type` is `{wanted}`")))
            }
            None if !["application/scim+json", "application/json"].contains(&essence) => {
                self.blame(request, vec![("RFC 7644 §3.1", format!("`Content-Type` is `{essence}`"))]);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn route(&self, behaviour: &Behaviour, request: &Incoming) -> Result<Answer, Refusal> {
        let scene = Scene { behaviour, base: self.base() };
        let path = request.path.as_str();
        if let Some(found) = discovery::discover(scene, path) {
            return found;
        }
        if path == "/Bulk" && behaviour.bulk && request.method == "POST" {
            let body = request.json()?;
            self.blame(request, check::bulk(&body, behaviour));
            return bulk::bulk(scene, &mut self.storage(), &body, request.body.len());
        }
        let unknown = || Refusal::not_found(&format!("endpoint `{path}`"));
        let (kind, rest) = [ResourceKind::User, ResourceKind::Group]
            .into_iter()
            .find_map(|kind| path.strip_prefix(kind.endpoint()).map(|rest| (kind, rest)))
            .ok_or_else(unknown)?;
        match (rest, request.method.as_str()) {
            ("", "GET") => list(scene, &self.storage(), kind, &request.query()),
            ("/.search", "POST") => list(scene, &self.storage(), kind, &Query::from_body(&request.json()?)),
            ("", _) => self.one(scene, request, kind, None),
            (id, _) => match id.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/')) {
                Some(id) => self.one(scene, request, kind, Some(uri::decode(id))),
                None => Err(unknown()),
            },
        }
    }

    fn one(
        &self,
        scene: Scene<'_>,
        request: &Incoming,
        kind: ResourceKind,
        id: Option<String>,
    ) -> Result<Answer, Refusal> {
        let body = if request.body.is_empty() { None } else { Some(request.json()?) };
        if let Some(body) = &body {
            let found = match request.method.as_str() {
                "POST" => check::resource(kind, body, true, scene.behaviour),
                "PUT" => check::resource(kind, body, false, scene.behaviour),
                "PATCH" => check::patch(kind, body, scene.behaviour),
                method => vec![("RFC 9110 §9.3", format!("{method} with a body"))],
            };
            self.blame(request, found);
        }
        let mut call = Call {
            method: request.method.clone(),
            kind,
            id,
            if_match: request.header(header::IF_MATCH).map(str::to_owned),
            if_none_match: request.header(header::IF_NONE_MATCH).map(str::to_owned),
            body,
            projection: request.query().projection(),
        };
        operate(scene, &mut self.storage(), &mut call)
    }

    fn fault(&self, request: &Incoming) -> Option<Fault> {
        let mut script = self.script();
        if script.is_empty() {
            return None;
        }
        match request.uri.query() {
            Some(query) => script.next(&request.method, &format!("{}?{query}", request.path)),
            None => script.next(&request.method, &request.path),
        }
    }

    fn blame(&self, request: &Incoming, found: Findings) {
        if found.is_empty() {
            return;
        }
        let mut violations = self.violations();
        let room = VIOLATIONS_MAX.saturating_sub(violations.len());
        violations.extend(found.into_iter().take(room).map(|(rule, detail)| Violation {
            method: request.method.clone(),
            path: request.path.clone(),
            rule,
            detail,
        }));
    }

    fn record(&self, behaviour: &Behaviour, request: &Incoming, answer: &Answer, cut: bool) {
        let status = if cut { 0 } else { answer.status };
        let mut recorder = self.recorder();
        if !recorder.keeps_entries() {
            return recorder.count(&request.method, &request.path, status, answer.operations);
        }
        let entry = Entry {
            number: 0,
            at: self.started.elapsed(),
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.uri.query().unwrap_or_default().to_owned(),
            status,
            object: answer.object.clone().or_else(|| request.object()),
            operations: answer.operations,
            traceparent: request.headers.get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned),
            body: behaviour.journal_bodies.then(|| request.body.clone()),
        };
        recorder.record(entry);
    }
}

/// A request that was read whole.
#[derive(Debug)]
struct Incoming {
    method: String,
    uri: axum::http::Uri,
    /// Below the base URL, if it is inside.
    path: String,
    inside: bool,
    headers: HeaderMap,
    body: Bytes,
}

impl Incoming {
    fn new(parts: &mut Parts, body: Bytes) -> Self {
        let whole = parts.uri.path();
        let below = whole.strip_prefix(BASE_PATH).filter(|below| below.is_empty() || below.starts_with('/'));
        let path = below.unwrap_or(whole).to_owned();
        Self {
            inside: below.is_some(),
            method: parts.method.as_str().to_owned(),
            uri: parts.uri.clone(),
            path,
            headers: std::mem::take(&mut parts.headers),
            body,
        }
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn query(&self) -> Query {
        axum::extract::Query::try_from_uri(&self.uri).map(|query| query.0).unwrap_or_default()
    }

    fn json(&self) -> Result<Map<String, Value>, Refusal> {
        serde_json::from_slice(&self.body).map_err(|_| Refusal::bad("invalidSyntax", "the body is not a JSON object"))
    }

    /// The id in the path.
    fn object(&self) -> Option<String> {
        let rest = self.path.strip_prefix("/Users/").or_else(|| self.path.strip_prefix("/Groups/"))?;
        Some(uri::decode(rest))
    }
}

async fn handle(State(service): State<Arc<Service>>, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let cutter = parts.extensions.get::<ConnectInfo<Cutter>>().map(|info| info.0.clone());
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else { return Answer::html(400).into_response() };
    let incoming = Incoming::new(&mut parts, body);
    let behaviour = service.behaviour();
    if behaviour.latency_ms > 0 {
        pause(&service, Duration::from_millis(behaviour.latency_ms)).await;
    }
    let fault = service.fault(&incoming);
    let (answer, cut) = respond(&service, &behaviour, &incoming, fault).await;
    service.record(&behaviour, &incoming, &answer, cut.is_some());
    match (cut, cutter) {
        (None, _) => {}
        (Some(reset), Some(cutter)) => cutter.cut(reset),
        // Without a socket the nearest thing to a cut connection is a body that breaks.
        (Some(_), None) => return broken_body(),
    }
    answer.into_response()
}

/// Waits, but not beyond the provider's end.
async fn pause(service: &Service, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = service.stopping.cancelled() => {}
    }
}

fn broken_body() -> Response<Body> {
    let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by script");
    Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, _>(broken)])))
}

/// The answer, and whether the connection is cut instead (`true` by a reset).
async fn respond(
    service: &Service,
    behaviour: &Behaviour,
    incoming: &Incoming,
    fault: Option<Fault>,
) -> (Answer, Option<bool>) {
    let refused = |status: u16| Answer::refused(Refusal::new(status, None, "scripted"), behaviour);
    let text = |content_type, body: &str| Payload::Text { content_type, body: body.to_owned() };
    let answer = match fault {
        None => service.answer(behaviour, incoming),
        Some(Fault::Status(status)) => refused(status),
        Some(Fault::ExpiredCursor) => {
            Answer::refused(Refusal::bad("expiredCursor", "the cursor has expired"), behaviour)
        }
        Some(Fault::Throttled(after)) => Answer { retry_after: Some(after), ..refused(429) },
        Some(Fault::StatusAfterApplying(status)) => {
            let object = service.answer(behaviour, incoming).object;
            Answer { object, ..refused(status) }
        }
        Some(Fault::ResetBeforeApplying) => return (refused(500), Some(true)),
        Some(Fault::ResetAfterApplying) => return (service.answer(behaviour, incoming), Some(true)),
        Some(Fault::DropAnswerAfterApplying) => return (service.answer(behaviour, incoming), Some(false)),
        Some(Fault::Delay(time)) => {
            pause(service, time).await;
            service.answer(behaviour, incoming)
        }
        Some(Fault::DelayAnswer(time)) => {
            let answer = service.answer(behaviour, incoming);
            pause(service, time).await;
            answer
        }
        Some(Fault::BlackHole) => {
            service.stopping.cancelled().await;
            return (refused(503), Some(false));
        }
        Some(Fault::Garbage) => Answer::new(200, text("application/scim+json", "{\"schemas\": [\u{0}oops")),
        Some(Fault::HtmlPage(status)) => Answer::html(status),
        Some(Fault::Body(status, body)) => Answer::new(status, text("application/scim+json", &body)),
        Some(Fault::EmptyAfterApplying) => Answer { payload: Payload::Nothing, ..service.answer(behaviour, incoming) },
    };
    (answer, None)
}
