//! The console over a temporary database, asked as a browser or a program would.

mod access;
mod api;
mod dry_run;
mod live;
mod mappings;
mod pages;
mod settings;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use scimfleet_core::plan::Change;
use scimfleet_core::preview::{Contribution, DryRun, Impact, Planned, Preview};
use scimfleet_core::provider::{MappingText, ProviderSettings};
use scimfleet_core::state::RunState;
use scimfleet_core::task::{Cause, Lane};
use scimfleet_core::{ProviderId, ProviderName, ResourceId, ResourceKind, RunId, TaskId};
use scimfleet_queue::MemoryQueue;
use scimfleet_store::{
    HoldItem, IncomingResource, LogEntry, NewTask, Opening, ProviderRow, ResourceRow, RunKind, StoreOptions,
    TokenScope, Verdict, Wanted,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use tower::ServiceExt;

use super::*;

/// Must never be seen in any answer.
const ADMIN: &str = "canary-admin-token";
const SECRET: &str = "canary-provider-secret";

struct Console {
    state: ConsoleState,
    router: Router,
    store: Store,
    _folder: tempfile::TempDir,
}

/// An answer as a test looks at it.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn tag(&self) -> String {
        self.headers[header::ETAG].to_str().unwrap().to_owned()
    }

    fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// Stands in for the other roles: what it says shows which question reached it.
struct Answers;

#[async_trait::async_trait]
impl Insight for Answers {
    async fn scope(&self, _: &ProviderRow, object: &ResourceRow) -> Result<&'static str, InsightError> {
        Ok(if object.active { "in scope" } else { "out of scope" })
    }

    async fn preview(
        &self,
        provider: &ProviderRow,
        object: &ResourceRow,
        draft: Option<&MappingText>,
    ) -> Result<Preview, InsightError> {
        let mapping = draft.map_or("10-user-default", |draft| draft.name.as_str()).to_owned();
        let payload = serde_json::json!({ "title": draft.map(|draft| &draft.expression), "password": SECRET });
        let Value::Object(merged) = payload.clone() else { panic!("an object") };
        Ok(Preview {
            mappings: vec![Contribution { mapping, payload, remark: None }],
            merged: Some(merged),
            invalid: None,
            warnings: Value::Null,
            operation: format!("create {} at {}", object.name(), provider.settings.name),
            changes: Vec::new(),
            requests: Vec::new(),
        })
    }

    async fn check(&self, mapping: &MappingText) -> Result<(), InsightError> {
        match mapping.expression.split_once('?') {
            Some((before, _)) => Err(InsightError::Wrong(format!("line 1\n{before}?\n{}^", " ".repeat(before.len())))),
            None => Ok(()),
        }
    }

    async fn check_scope(&self, expression: &str) -> Result<(), InsightError> {
        if expression.contains('?') { Err(InsightError::Wrong("scope.users: line 1".to_owned())) } else { Ok(()) }
    }

    async fn impact(&self, provider: &ProviderRow, _: &MappingText) -> Result<Impact, InsightError> {
        match provider.settings.name.as_str() {
            "dead" => Err(InsightError::Failed("it has no token".to_owned())),
            _ => Ok(Impact { looked_at: 3, whole: true, changed: 2, invalid: 1 }),
        }
    }

    async fn movers(&self, provider: &ProviderRow) -> Result<(u64, u64), InsightError> {
        Ok((0, if provider.settings.scope.users.is_some() { 7 } else { 0 }))
    }

    async fn probe(&self, provider: &ProviderRow) -> Result<Probe, InsightError> {
        if provider.settings.name.as_str() == "dead" {
            return Err(InsightError::Failed("`dead` does not answer".to_owned()));
        }
        let findings = vec![["list users".to_owned(), "ok".to_owned(), "1 a page".to_owned()]];
        Ok(Probe { findings, ..Probe::default() })
    }

    async fn dry_run(
        &self,
        provider: &ProviderRow,
        planned_max: usize,
        looked_at: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<DryRun, InsightError> {
        looked_at(7);
        match provider.settings.name.as_str() {
            "dead" => return Err(InsightError::Failed("`dead` does not answer".to_owned())),
            "slow" => std::future::pending().await,
            _ => {}
        }
        let mut dry = DryRun { planned_max, unchanged: 5, kept: 1, ..DryRun::default() };
        dry.parked.push(("cora".to_owned(), "no name".to_owned()));
        for n in 0..120 {
            let change = |path: &str, to: &str| Change { path: path.to_owned(), from: None, to: Some(to.into()) };
            dry.note(Planned {
                operation: if n < 2 { "delete" } else { "patch" }.to_owned(),
                kind: ResourceKind::User,
                object: ResourceId::parse(format!("u{n}")).unwrap(),
                name: format!("user-{n}"),
                remote_id: None,
                changes: vec![change("title", "Engineer"), change("password", SECRET)],
            });
        }
        Ok(dry)
    }

    async fn offboard(&self, user: &ResourceRow) -> Result<(), InsightError> {
        if user.active { Err(InsightError::Failed("still active".to_owned())) } else { Ok(()) }
    }
}

async fn console() -> Console {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("c.db").display());
    let key = SecretString::from(format!("{}=", "A".repeat(43)));
    let sealer = scimfleet_store::Sealer::from_base64(&key).unwrap();
    let store = Store::connect(&StoreOptions::new(url), Some(sealer)).await.unwrap();
    store.migrate().await.unwrap();
    let queue = Arc::new(MemoryQueue::new("scimfleet").unwrap());
    let coordination = Arc::new(scimfleet_coordination::MemoryCoordination::new());
    let state = ConsoleState::new(store.clone(), Some(SecretString::from(ADMIN))).with_cluster(queue, coordination);
    let state = state.with_insight(Arc::new(Answers));
    Console { router: router(state.clone()), state, store, _folder: folder }
}

impl Console {
    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 22).await.unwrap();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        for secret in [ADMIN, SECRET] {
            assert!(!body.contains(secret), "a secret is in the answer");
        }
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The API, with the admin token.
    async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.api_if(method, path, body, None).await
    }

    /// The same on the condition that nothing moved since.
    async fn api_if(&self, method: &str, path: &str, body: Option<Value>, tag: Option<&str>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(tag) = tag {
            request = request.header(header::IF_MATCH, tag);
        }
        let body = body.map(|body| Body::from(body.to_string())).unwrap_or_default();
        self.send(request.body(body).unwrap()).await
    }

    #[track_caller]
    fn browser(&self) -> Browser<'_> {
        Browser { console: self, cookies: Vec::new(), form_token: String::new() }
    }

    async fn signed_in(&self) -> Browser<'_> {
        let mut browser = self.browser();
        let answer = browser.sign_in(ADMIN).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/"));
        browser.get("/workers").await;
        browser
    }

    async fn provider(&self, name: &str) -> ProviderId {
        let settings = ProviderSettings::new(
            ProviderName::parse(name).unwrap(),
            "https://x:canary-provider-secret@127.0.0.1:1/v2",
        );
        let (id, _) = self.store.put_provider(&settings).await.unwrap();
        self.store.put_provider_secret(id, &SecretString::from(SECRET)).await.unwrap();
        id
    }

    async fn user(&self, name: &str) -> ResourceId {
        let mut attributes = scimfleet_core::scim::Document::new();
        attributes.insert("userName".to_owned(), name.into());
        attributes.insert("password".to_owned(), SECRET.into());
        let person = IncomingResource { kind: ResourceKind::User, id: None, attributes, members: None, password: None };
        self.store.import("import:test", vec![person]).await.unwrap();
        let found = self.store.find_resources(name).await.unwrap();
        found.into_iter().next().unwrap().id
    }

    /// Makes a link for each of these users.
    async fn link(&self, provider: ProviderId, users: &[ResourceId]) {
        let verdict = |id: &ResourceId| Verdict {
            resource_id: id.clone(),
            kind: ResourceKind::User,
            wanted: Wanted::Yes,
            changed: true,
        };
        let verdicts: Vec<Verdict> = users.iter().map(verdict).collect();
        self.store.apply_verdicts(provider, &verdicts).await.unwrap();
    }

    async fn run(&self, provider: ProviderId, tasks: usize) -> RunId {
        let run = self.store.queue_run(provider, RunKind::Full, Opening::Asked).await.unwrap().unwrap();
        let task = |n: usize| NewTask {
            id: TaskId(serde_json::from_str(&format!("\"00000000-0000-7000-8000-{n:012}\"")).unwrap()),
            kind: ResourceKind::User,
            lane: Lane::Sync,
            cause: Cause::Full,
            objects: vec![ResourceId::parse(format!("u{n}")).unwrap()],
        };
        let tasks: Vec<NewTask> = (0..tasks).map(task).collect();
        let moved = self.store.open_phase(run, provider, RunState::Queued, RunState::Users, &tasks, 0).await.unwrap();
        assert!(moved);
        run
    }

    async fn hold(&self, provider: ProviderId, users: &[ResourceId]) -> String {
        let item = |id: &ResourceId| HoldItem {
            resource_id: id.clone(),
            kind: ResourceKind::User,
            name: format!("name of {id}"),
            operation: "deleted".to_owned(),
            marked: 1,
        };
        let items: Vec<HoldItem> = users.iter().map(item).collect();
        self.store.withhold(provider, None, "all 2 accounts would go", &items).await.unwrap()
    }

    /// Notes a write in the log.
    async fn write(&self, provider: ProviderId, object: &ResourceId, operation: &str, run: Option<RunId>) {
        let entry = LogEntry {
            id: LogEntry::key(),
            resource_id: object.clone(),
            kind: ResourceKind::User,
            operation: operation.to_owned(),
            outcome: "done".to_owned(),
            removal: 0,
            remote_id: None,
            attributes: "[]".to_owned(),
            status: Some(200),
            detail: None,
            cause: if run.is_some() { "full" } else { "change" }.to_owned(),
            run_id: run.map(|run| run.to_string()),
            task_id: None,
            duration_ms: 1,
        };
        self.store.append_log(provider, &[entry]).await.unwrap();
    }

    async fn token(&self, scope: TokenScope) -> String {
        self.store.create_token("stored", scope).await.unwrap().1.expose_secret().to_owned()
    }
}

/// What a browser remembers.
struct Browser<'a> {
    console: &'a Console,
    cookies: Vec<String>,
    /// Of the last page that had a form.
    form_token: String,
}

impl Browser<'_> {
    async fn ask(&mut self, method: &str, path: &str, body: String, site: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, self.cookies.join("; "))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site);
        let answer = self.console.send(request.body(Body::from(body)).unwrap()).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            let name = pair.split('=').next().unwrap().to_owned();
            self.cookies.retain(|known| !known.starts_with(&format!("{name}=")));
            self.cookies.push(pair);
        }
        if let Some((_, rest)) = answer.body.split_once("name=\"form_token\" value=\"") {
            self.form_token = rest.split('"').next().unwrap().to_owned();
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, String::new(), "same-origin").await
    }

    /// Sends a form of the last page.
    async fn post(&mut self, path: &str, fields: &str) -> Answer {
        let body = format!("form_token={}&{fields}", self.form_token);
        self.ask("POST", path, body, "same-origin").await
    }

    async fn sign_in(&mut self, token: &str) -> Answer {
        self.get("/sign-in").await;
        self.post("/sign-in", &format!("token={token}")).await
    }

    /// A page that is there, and small enough.
    async fn page(&mut self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        assert!(answer.body.len() < 100_000, "{path} has {} bytes", answer.body.len());
        answer.body
    }
}
