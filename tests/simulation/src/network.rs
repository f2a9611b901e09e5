//! The network between workers and providers: it takes its time, loses requests and answers, and answers in the
//! name of overloaded gateways. A request that left goes on by itself, whoever sent it may be dead by then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use scimfleet_scim_client::{Carrier, Lost};
use scimfleet_testkit::provider::Running;
use tokio::time::{Instant, sleep};

use crate::trace::Trace;

/// What is wrong on purpose, to show that the oracle sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// A PATCH is answered and not applied.
    PatchesInVain,
    /// A POST arrives twice.
    PostsTwice,
    /// A DELETE is answered and not applied.
    DeletesInVain,
}

/// The network, with a provider behind each host name.
pub struct Network {
    hosts: BTreeMap<String, Arc<Host>>,
    trace: Arc<Trace>,
    weather: Mutex<Weather>,
    defect: Option<Defect>,
}

/// A provider and how it is reached.
pub struct Host {
    name: String,
    provider: Running,
    away_until: Mutex<Option<Instant>>,
    /// Writes that were refused on their way, in the provider's name.
    refused_writes: AtomicU64,
    under_way: AtomicU64,
}

#[derive(Debug)]
struct Weather {
    rng: StdRng,
    /// Requests of a thousand that meet a fault.
    faults_per_mille: u32,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    /// The connection is refused.
    Refused,
    /// It is lost before it is applied.
    Lost,
    /// It is applied, the answer is lost.
    AnswerLost,
    /// Nobody says anything until the client gives up; it is applied all the same.
    Hangs,
    /// A gateway answers.
    Status(u16),
}

impl Network {
    /// Providers by host name.
    pub fn new(
        (seed, faults_per_mille): (u64, u32),
        defect: Option<Defect>,
        trace: Arc<Trace>,
        providers: Vec<(String, Running)>,
    ) -> Self {
        let host = |(name, provider): (String, Running)| {
            let host = Host {
                name: name.clone(),
                provider,
                away_until: Mutex::default(),
                refused_writes: AtomicU64::new(0),
                under_way: AtomicU64::new(0),
            };
            (name, Arc::new(host))
        };
        let weather = Weather { rng: StdRng::seed_from_u64(seed), faults_per_mille };
        Self { hosts: providers.into_iter().map(host).collect(), trace, weather: Mutex::new(weather), defect }
    }

    /// The provider behind a name.
    pub fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.hosts.get(name)
    }

    /// No more faults.
    pub fn calm_down(&self) {
        self.weather().faults_per_mille = 0;
        for host in self.hosts.values() {
            *lock(&host.away_until) = None;
        }
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.hosts.values().any(|host| host.under_way.load(Ordering::Relaxed) > 0)
    }

    fn weather(&self) -> std::sync::MutexGuard<'_, Weather> {
        lock(&self.weather)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Weather {
    /// The time there, the fate, and the time back.
    fn draw(&mut self) -> (Duration, Fate, Duration) {
        let meets_fault = self.rng.random_range(0..1000) < self.faults_per_mille;
        let slow = meets_fault && self.rng.random_bool(0.3);
        let most = if slow { 12_000 } else { 40 };
        let (there, back) = (self.rng.random_range(1..=most), self.rng.random_range(1..=most));
        let fate = if meets_fault { self.fault() } else { Fate::Arrives };
        (Duration::from_millis(there), fate, Duration::from_millis(back))
    }

    fn fault(&mut self) -> Fate {
        match self.rng.random_range(0..100) {
            0..10 => Fate::Refused,
            10..30 => Fate::Lost,
            30..55 => Fate::AnswerLost,
            55..62 => Fate::Hangs,
            62..74 => Fate::Status(503),
            74..80 => Fate::Status(500),
            80..90 => Fate::Status(429),
            _ => Fate::Arrives,
        }
    }
}

impl Host {
    /// The provider itself.
    pub fn provider(&self) -> &Running {
        &self.provider
    }

    /// Away for a time, beginning now.
    pub fn go_away(&self, time: Duration) {
        *lock(&self.away_until) = Some(Instant::now() + time);
    }

    /// Writes that were refused on their way.
    pub fn refused_writes(&self) -> u64 {
        self.refused_writes.load(Ordering::Relaxed)
    }

    fn is_away(&self) -> bool {
        lock(&self.away_until).is_some_and(|until| Instant::now() < until)
    }

    async fn exchange(
        self: Arc<Self>,
        request: Request<Bytes>,
        (there, fate, back): (Duration, Fate, Duration),
        defect: Option<Defect>,
        trace: Arc<Trace>,
    ) -> Result<Response<Bytes>, Lost> {
        let words = format!(
            "{} {}{}",
            request.method(),
            self.name,
            request.uri().path_and_query().map_or("", |path| path.as_str())
        );
        trace.tell(|| format!("→ {words} {}", String::from_utf8_lossy(request.body())));
        sleep(there).await;
        let lost = |sent, reason: &str| Err(Lost { sent, reason: reason.to_owned() });
        let fate = if self.is_away() { Fate::Refused } else { fate };
        match fate {
            Fate::Refused => return lost(false, "connection refused"),
            Fate::Lost => return lost(true, "connection reset"),
            Fate::Status(status) => {
                if request.method() != "GET" {
                    self.refused_writes.fetch_add(operations(&request), Ordering::Relaxed);
                }
                trace.tell(|| format!("← {status} {words}"));
                return Ok(gateway(status));
            }
            Fate::Arrives | Fate::AnswerLost | Fate::Hangs => {}
        }
        if defect == Some(Defect::PostsTwice) && request.method() == "POST" {
            self.provider.answer(request.clone()).await;
        }
        let answer = match defect.and_then(|defect| defect.answer(&request)) {
            Some(answer) => Some(answer),
            None => self.provider.answer(request).await,
        };
        trace.tell(|| format!("· {} {words}", answer.as_ref().map_or(0, |answer| answer.status().as_u16())));
        sleep(back).await;
        match (answer, fate) {
            (_, Fate::AnswerLost) | (None, _) => lost(true, "connection closed before message completed"),
            (_, Fate::Hangs) => std::future::pending().await,
            (Some(answer), _) => Ok(answer),
        }
    }
}

impl Defect {
    /// The answer that does nothing, if the request meets the defect.
    fn answer(self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let in_vain = match self {
            Self::PatchesInVain => request.method() == "PATCH",
            Self::DeletesInVain => request.method() == "DELETE",
            Self::PostsTwice => false,
        };
        in_vain.then(|| gateway(204))
    }
}

/// A request counts as many writes as it asks for.
fn operations(request: &Request<Bytes>) -> u64 {
    if !request.uri().path().ends_with("/Bulk") {
        return 1;
    }
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
    body["Operations"].as_array().map_or(1, |all| all.len() as u64)
}

fn gateway(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    if status == 429 {
        response.headers_mut().insert("retry-after", http::HeaderValue::from_static("2"));
    }
    response
}

impl Carrier for Network {
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, Lost>> {
        Box::pin(async move {
            let name = request.uri().host().unwrap_or_default().to_owned();
            let Some(host) = self.hosts.get(&name).cloned() else {
                return Err(Lost { sent: false, reason: "no such host".to_owned() });
            };
            let fate = self.weather().draw();
            let (trace, hangs, defect) = (self.trace.clone(), fate.1 == Fate::Hangs, self.defect);
            // By itself: whoever sent it may be killed, the request is on its way.
            let exchange = tokio::spawn(async move {
                host.under_way.fetch_add(1, Ordering::Relaxed);
                let work = host.clone().exchange(request, fate, defect, trace);
                let outcome = if hangs {
                    // Longer than any client waits.
                    tokio::time::timeout(Duration::from_secs(60), work).await.ok()
                } else {
                    Some(work.await)
                };
                host.under_way.fetch_sub(1, Ordering::Relaxed);
                outcome
            });
            match exchange.await {
                Ok(Some(outcome)) => outcome,
                Ok(None) | Err(_) => Err(Lost { sent: true, reason: "the connection broke".to_owned() }),
            }
        })
    }
}
