//! The ceiling of this machine now: parallel POST of the same bodies to the same provider by two bare
//! clients. Nothing is stored, mapped or checked; whatever does more is slower.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use hyper_util::rt::TokioIo;
use scimfleet_testkit::directory::SampleDirectory;
use serde_json::Value;

use crate::figure::{BenchError, Figure, number, wrong};
use crate::machine::threads_cpu_s;
use crate::target::{Target, body_of, provider_cpu_s};

pub(crate) const IN_FLIGHT: usize = 64;

/// Everything that a first sync sends, by a bare client.
pub(crate) struct Whole {
    pub(crate) figure: Figure,
    /// CPU of client and provider, in microseconds per user.
    pub(crate) cpu_us: f64,
}

/// What one bare run took.
pub(crate) struct Raw {
    pub(crate) users_per_s: f64,
    pub(crate) provider_share: f64,
    pub(crate) provider_us: f64,
    pub(crate) client_us: f64,
}

/// Users only, by both clients, each several times after one that warms up.
pub(crate) async fn measure(sample: SampleDirectory, latency_ms: u64, runs: usize) -> Result<Vec<Figure>, BenchError> {
    let bodies: Arc<Vec<String>> =
        Arc::new(sample.users().enumerate().map(|(index, user)| body_of(index, user)).collect());
    let mut figures = Vec::new();
    for client in ["reqwest", "hyper"] {
        let (mut samples, mut last) = (Vec::with_capacity(runs), None);
        for round in 0..=runs {
            let target = Target::start(latency_ms).await?;
            let raw = once(client, &target, bodies.clone()).await?;
            if target.provider().users_count() != bodies.len() {
                return wrong(format!("the provider holds {} users", target.provider().users_count()));
            }
            if round > 0 || runs == 1 {
                samples.push(raw.users_per_s);
                last = Some(raw);
            }
            target.stop().await?;
            if runs == 1 && bodies.len() > 20_000 {
                break;
            }
        }
        let name = format!("raw parallel POST by {client}, target {latency_ms} ms");
        let mut figure = Figure::of(name, "users/s", samples);
        if let Some(raw) = last {
            figure = figure.note(format!(
                "client {:.0} µs/user, provider {:.0} µs/user: the provider took {:.0} % of the CPU",
                raw.client_us,
                raw.provider_us,
                raw.provider_share * 100.0
            ));
        }
        figures.push(figure);
    }
    Ok(figures)
}

async fn once(client: &str, target: &Target, bodies: Arc<Vec<String>>) -> Result<Raw, BenchError> {
    let users = number(bodies.len());
    let spent = || (provider_cpu_s(), threads_cpu_s("client"));
    let before = spent();
    let began = Instant::now();
    match client {
        "hyper" => drop(by_hyper(target, "/Users", bodies).await?),
        _ => by_reqwest(target, bodies).await?,
    }
    let took = began.elapsed().as_secs_f64();
    let after = spent();
    let (provider, client) = (after.0 - before.0, after.1 - before.1);
    Ok(Raw {
        users_per_s: users / took,
        provider_share: provider / (provider + client),
        provider_us: provider * 1e6 / users,
        client_us: client * 1e6 / users,
    })
}

async fn by_reqwest(target: &Target, bodies: Arc<Vec<String>>) -> Result<(), BenchError> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(IN_FLIGHT).build()?;
    let (url, token) = (format!("{}/Users", target.base_url()), target.provider().token());
    let answers = futures::stream::iter(0..bodies.len())
        .map(|index| {
            let request = client.post(&url).bearer_auth(&token).header("content-type", "application/scim+json");
            request.body(bodies[index].clone()).send()
        })
        .buffer_unordered(IN_FLIGHT);
    let refused = answers
        .filter(|answer| std::future::ready(!answer.as_ref().is_ok_and(|answer| answer.status() == 201)))
        .count()
        .await;
    if refused > 0 { wrong(format!("{refused} requests were not answered with 201")) } else { Ok(()) }
}

/// One connection for each request in flight, each kept busy. Returns the id that each body was given.
async fn by_hyper(target: &Target, endpoint: &str, bodies: Arc<Vec<String>>) -> Result<Vec<String>, BenchError> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut connections = tokio::task::JoinSet::new();
    let token = target.provider().token();
    for _ in 0..IN_FLIGHT.min(bodies.len()) {
        let stream = tokio::net::TcpStream::connect(target.provider().address()).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (next, bodies, token) = (next.clone(), bodies.clone(), token.clone());
        let path = format!("/scim/v2{endpoint}");
        connections.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(body) = bodies.get(index) else { return Ok::<_, BenchError>(ids) };
                let request = hyper::Request::post(&path)
                    .header(HOST, "127.0.0.1")
                    .header(AUTHORIZATION, format!("Bearer {token}"))
                    .header(CONTENT_TYPE, "application/scim+json")
                    .body(Full::new(Bytes::from(body.clone())))?;
                sender.ready().await?;
                let answer = sender.send_request(request).await?;
                let status = answer.status();
                let id = answer.headers().get(LOCATION).and_then(|url| url.to_str().ok()?.rsplit('/').next());
                let id = id.unwrap_or_default().to_owned();
                let shown = answer.into_body().collect().await?.to_bytes();
                if status != 201 {
                    return wrong(format!("{status}: {}", String::from_utf8_lossy(&shown)));
                }
                ids.push((index, id));
            }
        });
    }
    let mut all = vec![String::new(); bodies.len()];
    while let Some(ids) = connections.join_next().await {
        for (index, id) in ids?? {
            all[index] = id;
        }
    }
    Ok(all)
}

/// Users, then groups with all their members, teams before the departments that contain them: the whole of
/// what a first sync sends. Users per second of all of it.
pub(crate) async fn whole(sample: SampleDirectory, latency_ms: u64, runs: usize) -> Result<Whole, BenchError> {
    let users: Arc<Vec<String>> =
        Arc::new(sample.users().enumerate().map(|(index, user)| body_of(index, user)).collect());
    let groups: Vec<Value> = sample.groups().collect();
    let (mut samples, mut cpu_us) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    for round in 0..=runs {
        let target = Target::start(latency_ms).await?;
        let spent = provider_cpu_s() + threads_cpu_s("client");
        let began = Instant::now();
        let ids = by_hyper(&target, "/Users", users.clone()).await?;
        let mut accounts: HashMap<String, String> =
            ids.into_iter().enumerate().map(|(index, id)| (crate::target::name_of(index), id)).collect();
        let (outer, inner): (Vec<&Value>, Vec<&Value>) =
            groups.iter().partition(|group| members(group).any(|member| member["type"] == "Group"));
        for wave in [inner, outer] {
            let bodies: Vec<String> = wave.iter().map(|group| with_accounts(group, &accounts)).collect();
            let ids = by_hyper(&target, "/Groups", Arc::new(bodies)).await?;
            let names = wave.iter().map(|group| group["externalId"].as_str().unwrap_or_default().to_owned());
            accounts.extend(names.zip(ids));
        }
        if round > 0 || runs == 1 {
            samples.push(number(sample.users) / began.elapsed().as_secs_f64());
            let spent = provider_cpu_s() + threads_cpu_s("client") - spent;
            cpu_us.push(spent * 1e6 / number(sample.users));
        }
        if target.provider().groups_count() != sample.groups {
            return wrong(format!("the provider holds {} groups", target.provider().groups_count()));
        }
        target.stop().await?;
        if runs == 1 {
            break;
        }
    }
    let name = format!("raw POST of users and groups, target {latency_ms} ms");
    let cpu_us = Figure::of("", "µs/user", cpu_us).value;
    let figure = Figure::of(name, "users/s", samples).note(format!("client and provider {cpu_us:.0} µs/user"));
    Ok(Whole { figure, cpu_us })
}

fn members(group: &Value) -> impl Iterator<Item = &Value> {
    group["members"].as_array().into_iter().flatten()
}

fn with_accounts(group: &Value, accounts: &HashMap<String, String>) -> String {
    let account = |member: &Value| accounts.get(member["value"].as_str().unwrap_or_default()).cloned();
    let listed: Vec<Value> = members(group).map(|member| serde_json::json!({ "value": account(member) })).collect();
    let mut body = group.clone();
    body["members"] = listed.into();
    body.to_string()
}
