//! What every coordination service must do.

use std::time::{Duration, Instant};

use futures::future::join_all;
use scimfleet_coordination::{Coordination, LEARNED_SETTLES, Rate};

use crate::harness::{Bench, acme, beat, globex, once_an_hour, patiently};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) async fn a_burst_passes_and_then_one_has_to_wait(bench: Bench) {
    for _ in 0..3 {
        assert_eq!(bench.one.try_acquire(&acme(), "users", once_an_hour(3)).await, None);
    }
    let wait = bench.other.try_acquire(&acme(), "users", once_an_hour(3)).await.unwrap();
    assert!(wait > HOUR - MINUTE && wait <= HOUR, "{wait:?}");
}

pub(crate) async fn asking_in_vain_takes_nothing(bench: Bench) {
    assert_eq!(bench.one.try_acquire(&acme(), "users", once_an_hour(1)).await, None);
    for _ in 0..100 {
        let wait = bench.one.try_acquire(&acme(), "users", once_an_hour(1)).await.unwrap();
        assert!(wait <= HOUR, "{wait:?}");
    }
}

pub(crate) async fn waiting_as_told_is_enough(bench: Bench) {
    let rate = Some(Rate { requests: 20, per: Duration::from_secs(1), burst: 1 });
    assert_eq!(bench.one.try_acquire(&acme(), "users", rate).await, None);
    for _ in 0..5 {
        let mut told = 0;
        while let Some(wait) = bench.one.try_acquire(&acme(), "users", rate).await {
            told += 1;
            // The clocks here and there may differ by a tick, so a second, tiny wait is allowed.
            assert!(told <= 2, "told to wait {wait:?} after waiting as told");
            tokio::time::sleep(wait).await;
        }
    }
}

pub(crate) async fn without_a_rate_only_the_gate_counts(bench: Bench) {
    for _ in 0..100 {
        assert_eq!(bench.one.try_acquire(&acme(), "users", None).await, None);
    }
    bench.other.close_gate(&acme(), HOUR).await;
    assert!(bench.one.try_acquire(&acme(), "users", None).await.is_some());
}

pub(crate) async fn providers_and_routes_have_their_own_allowance(bench: Bench) {
    for (provider, route) in [(acme(), "users"), (acme(), "groups: any text, ü"), (acme(), ""), (globex(), "users")] {
        assert_eq!(bench.one.try_acquire(&provider, route, once_an_hour(1)).await, None, "{provider} {route}");
        assert!(bench.one.try_acquire(&provider, route, once_an_hour(1)).await.is_some(), "{provider} {route}");
    }
}

pub(crate) async fn a_gate_closes_one_provider_on_all_routes_for_all(bench: Bench) {
    assert_eq!(bench.other.gate(&acme()).await, None);
    bench.one.close_gate(&acme(), HOUR).await;
    for view in [&bench.one, &bench.other] {
        let wait = view.gate(&acme()).await.unwrap();
        assert!(wait > HOUR - MINUTE && wait <= HOUR, "{wait:?}");
        for route in ["users", "groups"] {
            let wait = view.try_acquire(&acme(), route, once_an_hour(9)).await.unwrap();
            assert!(wait > HOUR - MINUTE, "{wait:?}");
        }
        assert_eq!(view.gate(&globex()).await, None);
    }
    assert_eq!(bench.other.try_acquire(&globex(), "users", once_an_hour(9)).await, None);
}

pub(crate) async fn a_gate_is_never_shortened(bench: Bench) {
    bench.one.close_gate(&acme(), HOUR).await;
    bench.one.close_gate(&acme(), Duration::from_millis(1)).await;
    bench.other.close_gate(&acme(), Duration::ZERO).await;
    for view in [&bench.one, &bench.other] {
        assert!(view.gate(&acme()).await.unwrap() > HOUR - MINUTE);
    }
    bench.other.close_gate(&acme(), 2 * HOUR).await;
    assert!(bench.one.gate(&acme()).await.unwrap() > HOUR);
}

pub(crate) async fn a_gate_opens_by_itself(bench: Bench) {
    bench.one.close_gate(&acme(), Duration::from_millis(200)).await;
    for (view, route) in [(&bench.one, "users"), (&bench.other, "groups")] {
        patiently("the gate", async {
            while let Some(wait) = view.gate(&acme()).await {
                tokio::time::sleep(wait).await;
            }
        })
        .await;
        assert_eq!(view.try_acquire(&acme(), route, once_an_hour(1)).await, None);
    }
}

/// Eight tasks of two workers, as fast as they may. What was granted is compared with the time that
/// really passed, so a slow machine changes both sides.
pub(crate) async fn a_limit_is_shared_and_used(bench: Bench) {
    const PER_SECOND: u32 = 100;
    let rate = Rate { requests: PER_SECOND, per: Duration::from_secs(1), burst: 20 };
    let start = Instant::now();
    let tasks = (0..8).map(|number| {
        let view = if number % 2 == 0 { bench.one.clone() } else { bench.other.clone() };
        tokio::spawn(async move { take_for(&*view, rate, start, Duration::from_secs(3)).await })
    });
    let granted: u32 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    let allowed = f64::from(PER_SECOND) * start.elapsed().as_secs_f64();
    let granted = f64::from(granted);
    assert!(granted - f64::from(rate.burst) <= allowed, "{granted} of {allowed:.1} and a burst");
    assert!(granted >= 0.95 * allowed, "{granted} of {allowed:.1}");
}

async fn take_for(view: &dyn Coordination, rate: Rate, start: Instant, time: Duration) -> u32 {
    let mut granted = 0;
    while start.elapsed() < time {
        match view.try_acquire(&acme(), "users", Some(rate)).await {
            None => granted += 1,
            Some(wait) => tokio::time::sleep(wait).await,
        }
    }
    granted
}

pub(crate) async fn a_pace_that_one_learned_is_known_to_all(bench: Bench) {
    assert_eq!(bench.other.learned_rate(&acme()).await, None);
    bench.one.learn_rate(&acme(), 12.5, HOUR).await;
    for view in [&bench.one, &bench.other] {
        let learned = view.learned_rate(&acme()).await.unwrap();
        assert!((learned.per_second - 12.5).abs() < 1e-9, "{learned:?}");
        assert!(learned.age < MINUTE, "{learned:?}");
        assert_eq!(view.learned_rate(&globex()).await, None);
    }
}

/// Several workers meet one refusal: the first to say so is heard. Later refusals are about the new pace.
pub(crate) async fn what_was_learned_settles_before_it_is_replaced(bench: Bench) {
    let began = Instant::now();
    bench.one.learn_rate(&acme(), 8.0, HOUR).await;
    bench.other.learn_rate(&acme(), 4.0, HOUR).await;
    let known = bench.one.learned_rate(&acme()).await.unwrap().per_second;
    // A machine that slept between the two has let it settle.
    assert!((known - 8.0).abs() < 1e-9 || began.elapsed() >= LEARNED_SETTLES, "{known}");
    patiently("the pace to be replaced", async {
        while bench.one.learned_rate(&acme()).await.unwrap().per_second > 4.5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            bench.other.learn_rate(&acme(), 4.0, HOUR).await;
        }
    })
    .await;
    // The clocks here and there may differ by a tick.
    assert!(began.elapsed() >= LEARNED_SETTLES.mul_f64(0.9), "replaced after {:?}", began.elapsed());
}

pub(crate) async fn a_pace_is_forgotten_by_itself(bench: Bench) {
    bench.one.learn_rate(&acme(), 3.0, Duration::from_millis(200)).await;
    patiently("the pace to be forgotten", async {
        for view in [&bench.one, &bench.other] {
            while view.learned_rate(&acme()).await.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
}

pub(crate) async fn workers_are_listed_until_they_fall_silent(bench: Bench) {
    assert_eq!(bench.one.workers().await.unwrap(), []);
    bench.one.heartbeat(&beat("w-2"), HOUR).await.unwrap();
    bench.other.heartbeat(&beat("w-1"), HOUR).await.unwrap();
    let mut busy = beat("w-2");
    busy.tasks_in_flight = 3;
    bench.one.heartbeat(&busy, HOUR).await.unwrap();
    assert_eq!(bench.other.workers().await.unwrap(), [beat("w-1"), busy.clone()]);

    bench.other.heartbeat(&beat("w-1"), Duration::from_millis(50)).await.unwrap();
    patiently("the silent worker to be forgotten", async {
        while bench.one.workers().await.unwrap() != [busy.clone()] {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) async fn a_worker_is_asked_to_end(bench: Bench) {
    assert!(!bench.one.is_asked_to_end("w-1").await.unwrap());
    bench.other.ask_to_end("w-1", HOUR).await.unwrap();
    assert!(bench.one.is_asked_to_end("w-1").await.unwrap());
    assert!(!bench.one.is_asked_to_end("w-2").await.unwrap());
}

pub(crate) async fn the_epoch_never_goes_back(bench: Bench) {
    assert_eq!(bench.one.epoch("db").await.unwrap(), None);
    for (raised, held) in [(5, 5), (3, 5), (12, 12)] {
        bench.one.raise_epoch("db", raised).await.unwrap();
        assert_eq!(bench.other.epoch("db").await.unwrap(), Some(held));
        assert_eq!(bench.other.epoch("another").await.unwrap(), None);
    }
}

pub(crate) async fn it_is_healthy(bench: Bench) {
    bench.one.healthy().await.unwrap();
}
