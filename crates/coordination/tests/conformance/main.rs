//! One contract, two coordination services: every case runs in-process and over Redis.
//!
//! The Redis cases need a server; its URL stands in `SCIMFLEET_TEST_REDIS_URL`. Without it they
//! fail: a suite that skips proves nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod harness;
mod redis_only;

macro_rules! conformance {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::cases::$case(crate::harness::memory()).await;
            })+
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let bench = crate::harness::redis().await;
                let prefix = bench.prefix.clone();
                crate::cases::$case(bench).await;
                crate::harness::clean_up(&prefix).await;
            })+
        }
    };
}

conformance!(
    a_burst_passes_and_then_one_has_to_wait,
    asking_in_vain_takes_nothing,
    waiting_as_told_is_enough,
    without_a_rate_only_the_gate_counts,
    providers_and_routes_have_their_own_allowance,
    a_gate_closes_one_provider_on_all_routes_for_all,
    a_gate_is_never_shortened,
    a_gate_opens_by_itself,
    a_limit_is_shared_and_used,
    a_pace_that_one_learned_is_known_to_all,
    what_was_learned_settles_before_it_is_replaced,
    a_pace_is_forgotten_by_itself,
    workers_are_listed_until_they_fall_silent,
    a_worker_is_asked_to_end,
    the_epoch_never_goes_back,
    it_is_healthy,
);
