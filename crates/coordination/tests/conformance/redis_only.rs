//! Life without Redis: shares instead of the common limit, and the way back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scimfleet_coordination::{Coordination, Rate, connect};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

use crate::harness::{NOWHERE, acme, beat, clean_up, patiently, redis, redis_url};

const HOUR: Duration = Duration::from_secs(3600);

/// A way to Redis that can be cut.
struct Cable {
    url: String,
    plugged: watch::Sender<bool>,
}

impl Cable {
    async fn lay() -> Self {
        let url = redis_url();
        // scheme://user:password@host:port/database
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, database) = rest.split_once('/').unwrap_or((rest, "0"));
        let (account, target) = authority.rsplit_once('@').map_or(("", authority), |(account, host)| (account, host));
        let (target, at) = (target.to_owned(), if account.is_empty() { "" } else { "@" });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let (plugged, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, target.clone(), state.clone()));
            }
        });
        Self { url: format!("{scheme}://{account}{at}{own}/{database}"), plugged }
    }

    fn cut(&self) {
        self.plugged.send_replace(false);
    }

    fn mend(&self) {
        self.plugged.send_replace(true);
    }
}

/// While the cable is cut, connections end at once, and those that come are dropped.
async fn carry(mut stream: TcpStream, target: String, mut plugged: watch::Receiver<bool>) {
    if !*plugged.borrow_and_update() {
        return;
    }
    let mut server = TcpStream::connect(target).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut server) => {}
        _ = plugged.wait_for(|plugged| !plugged) => {}
    }
}

async fn granted_in(view: &dyn Coordination, rate: Rate, time: Duration) -> (u32, f64) {
    let start = Instant::now();
    let mut granted = 0;
    while start.elapsed() < time {
        match view.try_acquire(&acme(), "users", Some(rate)).await {
            None => granted += 1,
            Some(wait) => tokio::time::sleep(wait).await,
        }
    }
    (granted, start.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_worker_takes_its_share_and_comes_back() {
    let prefix = format!("test-{}", Uuid::new_v4().simple());
    let cable = Cable::lay().await;
    let behind = connect(&cable.url, &prefix, NOWHERE.as_ref()).await.unwrap();
    let direct = connect(&redis_url(), &prefix, NOWHERE.as_ref()).await.unwrap();
    for worker in ["w-1", "w-2", "w-3", "w-4"] {
        behind.heartbeat(&beat(worker), HOUR).await.unwrap();
    }

    cable.cut();
    assert!(behind.healthy().await.is_err());
    let rate = Rate { requests: 100, per: Duration::from_secs(1), burst: 50 };
    let (granted, seconds) = granted_in(&*behind, rate, Duration::from_secs(2)).await;
    let share = 25.0 * seconds + 1.0;
    assert!(f64::from(granted) <= share, "{granted} of {share:.1}");
    assert!(granted > 0, "nothing goes without Redis");

    cable.mend();
    direct.close_gate(&acme(), HOUR).await;
    patiently("the way back", async {
        while behind.gate(&acme()).await.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    clean_up(&prefix).await;
}

#[tokio::test]
async fn a_worker_starts_without_redis_and_assumes_that_it_is_not_alone() {
    let cable = Cable::lay().await;
    cable.cut();
    let prefix = format!("test-{}", Uuid::new_v4().simple());
    let alone: Arc<dyn Coordination> = connect(&cable.url, &prefix, NOWHERE.as_ref()).await.unwrap();
    let rate = Some(Rate { requests: 1, per: HOUR, burst: 9 });
    assert_eq!(alone.try_acquire(&acme(), "users", rate).await, None);
    let wait = alone.try_acquire(&acme(), "users", rate).await.unwrap();
    assert!(wait > 7 * HOUR && wait <= 8 * HOUR, "{wait:?}");
}

#[tokio::test]
async fn a_gate_holds_where_it_was_closed_even_if_redis_forgets_it() {
    let bench = redis().await;
    bench.one.close_gate(&acme(), HOUR).await;
    clean_up(&bench.prefix).await;
    assert!(bench.one.gate(&acme()).await.is_some());
    assert!(bench.one.try_acquire(&acme(), "users", None).await.is_some());
}

#[tokio::test]
async fn odd_limits_are_exact() {
    let bench = redis().await;
    // 1.04 ms apart: more digits of a moment than Lua's own conversion of numbers keeps.
    let rate = Rate { requests: 25, per: Duration::from_millis(26), burst: 1000 };
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(bench.one.try_acquire(&acme(), "users", Some(rate)).await, None);
    }
    // Without a burst one has to wait for all of them.
    let owed = Duration::from_millis(104);
    let wait = bench.other.try_acquire(&acme(), "users", Some(Rate { burst: 1, ..rate })).await.unwrap_or_default();
    assert!(wait <= owed, "{wait:?}");
    assert!(wait >= owed.saturating_sub(start.elapsed()), "{wait:?} after {:?}", start.elapsed());
    clean_up(&bench.prefix).await;
}

#[tokio::test]
async fn an_absurd_wait_is_cut_to_a_day() {
    let bench = redis().await;
    bench.one.close_gate(&acme(), Duration::MAX).await;
    for view in [&bench.one, &bench.other] {
        let wait = view.gate(&acme()).await.unwrap();
        assert!(wait > 23 * HOUR && wait <= 24 * HOUR, "{wait:?}");
    }
    clean_up(&bench.prefix).await;
}

#[tokio::test]
async fn errors_do_not_show_credentials() {
    for url in ["redis://canary:s3cret@127.0.0.1:notaport", "ftp://canary:s3cret@127.0.0.1"] {
        let error = connect(url, "test", NOWHERE.as_ref()).await.err().unwrap();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("canary"), "{shown}");
    }
    let address = redis_url().rsplit(['@', '/']).next().unwrap().to_owned();
    let refused = connect(&format!("redis://canary:s3cret@{address}"), "test", NOWHERE.as_ref()).await.unwrap();
    let error = refused.healthy().await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
