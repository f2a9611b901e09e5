//! The ceiling of this machine now: parallel POST of the same bodies to the same provider.

use std::time::Instant;

use futures::StreamExt;
use scimfleet_testkit::directory::SampleDirectory;
use scimfleet_testkit::provider::{Behaviour, ServiceProvider};

use crate::figure::{BenchError, Figure, number};

const IN_FLIGHT: usize = 64;
const RUNS: usize = 3;

/// The sample directory of all cases.
pub(crate) const fn sample(users: usize) -> SampleDirectory {
    SampleDirectory { users, groups: 200, seed: 1, inactive_percent: 0 }
}

pub(crate) async fn measure(users: usize) -> Result<Figure, BenchError> {
    let bodies: Vec<String> = sample(users)
        .users()
        .map(|mut user| {
            // As a provider would be sent it: our free attributes stay with us.
            if let Some(user) = user.as_object_mut() {
                user.shift_remove("attributes");
            }
            user.to_string()
        })
        .collect();
    let client = reqwest::Client::builder().pool_max_idle_per_host(IN_FLIGHT).build()?;
    let mut samples = Vec::with_capacity(RUNS);
    // The first round warms up and is not counted.
    for round in 0..=RUNS {
        let provider = ServiceProvider::start(Behaviour::default()).await?;
        provider.cap_journal(0);
        let url = format!("{}/Users", provider.base_url());
        let began = Instant::now();
        let answers = futures::stream::iter(bodies.iter().cloned())
            .map(|body| {
                let request = client.post(&url).bearer_auth(provider.token());
                request.header("content-type", "application/scim+json").body(body).send()
            })
            .buffer_unordered(IN_FLIGHT);
        answers.for_each(|_| async {}).await;
        let took = began.elapsed().as_secs_f64();
        if provider.users_count() != users {
            return Err(BenchError(format!("the provider holds {} of {users} users", provider.users_count())));
        }
        if round > 0 {
            samples.push(number(users) / took);
        }
        provider.stop().await;
    }
    Ok(Figure::of("raw parallel POST, 64 in flight", "users/s", samples))
}
