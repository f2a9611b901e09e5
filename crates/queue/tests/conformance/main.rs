//! One contract, two queues: every case runs over the in-process queue and over RabbitMQ.
//!
//! The RabbitMQ cases need a broker; its URL stands in `SCIMFLEET_TEST_AMQP_URL`. Without it they
//! fail: a suite that skips proves nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cable;
mod cases;
mod harness;
mod outage;
mod rabbit_only;

macro_rules! conformance {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let queue = crate::harness::memory();
                crate::cases::$case(queue).await;
            })+
        }

        mod rabbit {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let bench = crate::harness::rabbit().await;
                crate::cases::$case(bench.queue()).await;
                bench.clean_up().await;
            })+
        }
    };
}

conformance!(
    a_task_arrives_as_it_was_sent,
    order_is_kept_within_a_lane,
    lanes_and_providers_do_not_mix,
    a_consumer_holds_one_delivery_at_a_time,
    a_waiting_consumer_is_woken,
    a_dropped_delivery_comes_again,
    a_dropped_consumer_gives_back_what_it_buffered,
    cancelling_gives_back_the_buffer_and_keeps_what_is_in_hand,
    a_dropped_next_loses_nothing,
    every_task_goes_to_one_of_many_consumers,
    an_unknown_provider_is_unroutable,
    one_callers_unroutable_task_is_not_anothers,
    consuming_an_unknown_queue_is_refused,
    declaring_again_keeps_messages,
    deleting_a_provider_ends_its_consumers,
    depth_counts_what_waits,
    jobs_travel_as_they_are,
    dead_letters_carry_their_reason_and_stay,
    chosen_dead_letters_are_replayed,
    a_dead_letter_without_a_queue_stays,
    chosen_dead_letters_are_dropped,
    closing_ends_consumers_and_refuses_work,
);
