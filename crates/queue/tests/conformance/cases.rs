//! What every queue must do.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{FutureExt, poll};
use scimfleet_core::ports::{Consumer, DeadLetter, Queue, QueueError, Source, TRACEPARENT_HEADER};
use scimfleet_core::task::{Job, Lane, Task};
use scimfleet_queue::{PROVIDER_HEADER, RUN_HEADER};

use crate::harness::{acme, depth_becomes, full_task, globex, patiently, receive, source, take, task, tasks};

type Shared = Arc<dyn Queue>;

async fn declared(queue: &Shared) {
    queue.declare_provider(&acme()).await.unwrap();
}

async fn consumer(queue: &Shared, lane: Lane) -> Box<dyn Consumer> {
    queue.consume(&source(lane)).await.unwrap()
}

async fn still_waits(consumer: &mut Box<dyn Consumer>) {
    assert!(poll!(consumer.next()).is_pending());
}

async fn ended(consumer: &mut Box<dyn Consumer>) {
    assert!(patiently("the end", consumer.next()).await.is_none());
}

pub(crate) async fn a_task_arrives_as_it_was_sent(queue: Shared) {
    declared(&queue).await;
    let sent = full_task();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    queue.publish(std::slice::from_ref(&sent), Some(traceparent)).await.unwrap();

    let delivery = receive(&mut consumer(&queue, Lane::Sync).await).await;
    assert_eq!(Task::decode(&delivery.body).unwrap(), sent);
    assert!(!delivery.redelivered);
    assert_eq!(delivery.headers[PROVIDER_HEADER], "acme");
    assert_eq!(delivery.headers[RUN_HEADER], sent.run.unwrap().to_string());
    assert_eq!(delivery.headers[TRACEPARENT_HEADER], traceparent);
    delivery.ack().await.unwrap();
}

pub(crate) async fn order_is_kept_within_a_lane(queue: Shared) {
    declared(&queue).await;
    let sent = tasks(Lane::Changes, 600);
    queue.publish(&sent, None).await.unwrap();
    let mut consumer = consumer(&queue, Lane::Changes).await;
    for expected in &sent {
        assert_eq!(&take(&mut consumer).await, expected);
    }
}

pub(crate) async fn lanes_and_providers_do_not_mix(queue: Shared) {
    declared(&queue).await;
    queue.declare_provider(&globex()).await.unwrap();
    let sent: Vec<_> = Lane::ALL.iter().enumerate().map(|(number, lane)| task(*lane, number)).collect();
    queue.publish(&sent, None).await.unwrap();
    for expected in &sent {
        assert_eq!(&take(&mut consumer(&queue, expected.lane).await).await, expected);
        depth_becomes(&*queue, expected.lane, 0).await;
        assert_eq!(queue.depth(&globex(), expected.lane).await.unwrap(), 0);
    }
}

pub(crate) async fn a_consumer_holds_one_delivery_at_a_time(queue: Shared) {
    declared(&queue).await;
    let mut holder = consumer(&queue, Lane::Sync).await;
    queue.publish(&tasks(Lane::Sync, 1), None).await.unwrap();
    let in_hand = receive(&mut holder).await;

    // All the others go to somebody else, so nothing waits in the holder's buffer.
    queue.publish(&tasks(Lane::Sync, 5), None).await.unwrap();
    let mut other = consumer(&queue, Lane::Sync).await;
    for number in 0..5 {
        assert_eq!(take(&mut other).await.objects, task(Lane::Sync, number).objects);
    }
    still_waits(&mut holder).await;

    in_hand.ack().await.unwrap();
    drop(other);
    queue.publish(&tasks(Lane::Sync, 1), None).await.unwrap();
    take(&mut holder).await;
}

pub(crate) async fn a_waiting_consumer_is_woken(queue: Shared) {
    declared(&queue).await;
    let mut waiting = consumer(&queue, Lane::Leavers).await;
    let receiving = tokio::spawn(async move { take(&mut waiting).await });
    tokio::task::yield_now().await;
    let sent = task(Lane::Leavers, 7);
    queue.publish(std::slice::from_ref(&sent), None).await.unwrap();
    assert_eq!(receiving.await.unwrap(), sent);
}

pub(crate) async fn a_dropped_delivery_comes_again(queue: Shared) {
    declared(&queue).await;
    queue.publish(&tasks(Lane::Changes, 2), None).await.unwrap();
    let mut consumer = consumer(&queue, Lane::Changes).await;
    drop(receive(&mut consumer).await);

    let again = receive(&mut consumer).await;
    assert!(again.redelivered);
    assert_eq!(Task::decode(&again.body).unwrap().objects, task(Lane::Changes, 0).objects);
    again.ack().await.unwrap();
    assert_eq!(take(&mut consumer).await.objects, task(Lane::Changes, 1).objects);
}

pub(crate) async fn a_dropped_consumer_gives_back_what_it_buffered(queue: Shared) {
    declared(&queue).await;
    queue.publish(&tasks(Lane::Sync, 1), None).await.unwrap();
    drop(consumer(&queue, Lane::Sync).await);
    let mut next = consumer(&queue, Lane::Sync).await;
    take(&mut next).await;
    depth_becomes(&*queue, Lane::Sync, 0).await;
}

pub(crate) async fn cancelling_gives_back_the_buffer_and_keeps_what_is_in_hand(queue: Shared) {
    declared(&queue).await;
    let mut first = consumer(&queue, Lane::Sync).await;
    queue.publish(&tasks(Lane::Sync, 2), None).await.unwrap();
    let in_hand = receive(&mut first).await;
    first.cancel().await;
    ended(&mut first).await;

    let mut second = consumer(&queue, Lane::Sync).await;
    assert_eq!(take(&mut second).await.objects, task(Lane::Sync, 1).objects);
    in_hand.ack().await.unwrap();

    let mut buffering = consumer(&queue, Lane::Sync).await;
    second.cancel().await;
    queue.publish(&tasks(Lane::Sync, 1), None).await.unwrap();
    buffering.cancel().await;
    depth_becomes(&*queue, Lane::Sync, 1).await;
}

pub(crate) async fn a_dropped_next_loses_nothing(queue: Shared) {
    declared(&queue).await;
    let mut consumer = consumer(&queue, Lane::Sync).await;
    let sent = tasks(Lane::Sync, 20);
    let publishing = tokio::spawn({
        let (queue, sent) = (queue.clone(), sent.clone());
        async move { queue.publish(&sent, None).await.unwrap() }
    });
    let mut received = Vec::new();
    patiently("all tasks", async {
        while received.len() < sent.len() {
            // Polled once and dropped: what `select!` does to it.
            if let Some(delivery) = consumer.next().now_or_never() {
                let delivery = delivery.unwrap();
                received.push(Task::decode(&delivery.body).unwrap());
                delivery.ack().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    publishing.await.unwrap();
    assert_eq!(received, sent);
}

pub(crate) async fn every_task_goes_to_one_of_many_consumers(queue: Shared) {
    declared(&queue).await;
    let sent = tasks(Lane::Sync, 1000);
    let mut workers = Vec::new();
    for _ in 0..4 {
        let mut consumer = consumer(&queue, Lane::Sync).await;
        workers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            while let Some(delivery) = consumer.next().await {
                ids.push(Task::decode(&delivery.body).unwrap().task);
                delivery.ack().await.unwrap();
            }
            ids
        }));
    }
    queue.publish(&sent, None).await.unwrap();
    depth_becomes(&*queue, Lane::Sync, 0).await;
    // Ends the consumers once all is settled; deletion waits for nothing else.
    let mut probe = consumer(&queue, Lane::Sync).await;
    assert!(probe.next().now_or_never().is_none());
    queue.delete_provider(&acme()).await.unwrap();

    let mut received = Vec::new();
    for worker in workers {
        received.extend(patiently("a worker", worker).await.unwrap());
    }
    assert_eq!(received.len(), sent.len(), "delivered twice or not at all");
    let distinct: BTreeSet<_> = received.into_iter().collect();
    assert_eq!(distinct, sent.iter().map(|task| task.task).collect());
}

pub(crate) async fn an_unknown_provider_is_unroutable(queue: Shared) {
    match queue.publish(&tasks(Lane::Changes, 1), None).await {
        Err(QueueError::Unroutable { routing_key }) => assert_eq!(routing_key, "acme.changes"),
        other => panic!("{other:?}"),
    }
    declared(&queue).await;
    queue.publish(&tasks(Lane::Changes, 1), None).await.unwrap();
}

pub(crate) async fn one_callers_unroutable_task_is_not_anothers(queue: Shared) {
    declared(&queue).await;
    let good = tasks(Lane::Changes, 5);
    let mut bad = tasks(Lane::Changes, 1);
    bad[0].provider = globex();
    // Whatever a call leaves behind for the next one is there before the crowd comes.
    queue.publish(&good, None).await.unwrap();
    let calls = (0..200).map(|number| {
        let (queue, tasks) = (queue.clone(), if number % 2 == 0 { good.clone() } else { bad.clone() });
        tokio::spawn(async move { queue.publish(&tasks, None).await })
    });
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        let result = patiently("a publish", call).await.unwrap();
        assert_eq!(result.is_ok(), number % 2 == 0, "call {number}: {result:?}");
    }
    depth_becomes(&*queue, Lane::Changes, 505).await;
}

pub(crate) async fn consuming_an_unknown_queue_is_refused(queue: Shared) {
    match queue.consume(&source(Lane::Sync)).await {
        Err(QueueError::Undeclared { queue }) => assert!(queue.ends_with(".acme.sync"), "{queue}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("consumes from nowhere"),
    }
}

pub(crate) async fn declaring_again_keeps_messages(queue: Shared) {
    declared(&queue).await;
    queue.publish(&tasks(Lane::Sync, 1), None).await.unwrap();
    declared(&queue).await;
    take(&mut consumer(&queue, Lane::Sync).await).await;
}

pub(crate) async fn deleting_a_provider_ends_its_consumers(queue: Shared) {
    declared(&queue).await;
    let mut consumers = Vec::new();
    for lane in Lane::ALL {
        consumers.push(consumer(&queue, *lane).await);
    }
    for _ in 0..2 {
        queue.delete_provider(&acme()).await.unwrap();
    }
    for consumer in &mut consumers {
        ended(consumer).await;
        ended(consumer).await;
    }
    assert!(matches!(queue.publish(&tasks(Lane::Sync, 1), None).await, Err(QueueError::Unroutable { .. })));
}

pub(crate) async fn depth_counts_what_waits(queue: Shared) {
    assert_eq!(queue.depth(&acme(), Lane::Sync).await.unwrap(), 0);
    declared(&queue).await;
    queue.publish(&tasks(Lane::Sync, 3), None).await.unwrap();
    depth_becomes(&*queue, Lane::Sync, 3).await;
    assert_eq!(queue.depth(&acme(), Lane::Changes).await.unwrap(), 0);
    let mut consumer = consumer(&queue, Lane::Sync).await;
    let in_hand = receive(&mut consumer).await;
    depth_becomes(&*queue, Lane::Sync, 2).await;
    in_hand.ack().await.unwrap();
}

pub(crate) async fn jobs_travel_as_they_are(queue: Shared) {
    let job = Job::SyncObject { provider: acme(), object: "anna".to_owned() };
    queue.publish_job(&job).await.unwrap();
    queue.publish_raw_job(b"not a job").await.unwrap();
    let mut consumer = queue.consume(&Source::Jobs).await.unwrap();
    let first = receive(&mut consumer).await;
    assert_eq!(Job::decode(&first.body).unwrap(), job);
    first.ack().await.unwrap();
    let second = receive(&mut consumer).await;
    assert_eq!(&second.body[..], b"not a job");
    second.ack().await.unwrap();
}

/// Publishes `count` tasks and dead-letters each with its number as the reason.
async fn bury(queue: &Shared, count: usize) -> Vec<Task> {
    declared(queue).await;
    let sent = tasks(Lane::Changes, count);
    queue.publish(&sent, None).await.unwrap();
    let mut consumer = consumer(queue, Lane::Changes).await;
    for number in 0..count {
        receive(&mut consumer).await.dead_letter(&format!("reason {number}")).await.unwrap();
    }
    sent
}

fn ids(tasks: &[Task]) -> Vec<String> {
    tasks.iter().map(|task| task.task.to_string()).collect()
}

async fn dead(queue: &Shared) -> Vec<DeadLetter> {
    queue.dead_letters(100).await.unwrap()
}

pub(crate) async fn dead_letters_carry_their_reason_and_stay(queue: Shared) {
    let sent = bury(&queue, 3).await;
    depth_becomes(&*queue, Lane::Changes, 0).await;
    // Often, because on some brokers looking counts as a delivery.
    for _ in 0..25 {
        let letters = dead(&queue).await;
        assert_eq!(letters.len(), 3);
        for (number, (letter, task)) in letters.iter().zip(&sent).enumerate() {
            assert_eq!(letter.id, task.task.to_string());
            assert_eq!(letter.reason, format!("reason {number}"));
            assert_eq!(letter.routing_key, "acme.changes");
            assert_eq!(Task::decode(letter.body.as_bytes()).unwrap(), *task);
        }
    }
    assert_eq!(queue.dead_letters(2).await.unwrap(), dead(&queue).await[..2]);
}

pub(crate) async fn chosen_dead_letters_are_replayed(queue: Shared) {
    let sent = bury(&queue, 3).await;
    assert_eq!(queue.replay_dead_letters(&ids(&sent[1..2])).await.unwrap(), 1);
    assert_eq!(dead(&queue).await.len(), 2);
    let mut consumer = consumer(&queue, Lane::Changes).await;
    let again = receive(&mut consumer).await;
    assert_eq!(Task::decode(&again.body).unwrap(), sent[1]);
    assert_eq!(again.headers[PROVIDER_HEADER], "acme");
    again.dead_letter("a second reason").await.unwrap();
    let reasons: Vec<_> = dead(&queue).await.into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, ["reason 0", "reason 2", "a second reason"]);

    assert_eq!(queue.replay_dead_letters(&[]).await.unwrap(), 3);
    assert_eq!(dead(&queue).await, []);
    for number in [0, 2, 1] {
        assert_eq!(take(&mut consumer).await, sent[number]);
    }
}

pub(crate) async fn a_dead_letter_without_a_queue_stays(queue: Shared) {
    bury(&queue, 2).await;
    queue.publish_raw_job(b"{}").await.unwrap();
    let mut jobs = queue.consume(&Source::Jobs).await.unwrap();
    receive(&mut jobs).await.dead_letter("malformed").await.unwrap();
    queue.delete_provider(&acme()).await.unwrap();

    let error = queue.replay_dead_letters(&[]).await.unwrap_err();
    assert!(matches!(error, QueueError::Unroutable { routing_key } if routing_key == "acme.changes"));
    assert_eq!(dead(&queue).await.len(), 2);
    assert_eq!(&receive(&mut jobs).await.body[..], b"{}");
}

pub(crate) async fn chosen_dead_letters_are_dropped(queue: Shared) {
    let sent = bury(&queue, 4).await;
    assert_eq!(queue.drop_dead_letters(&ids(&sent[..2])).await.unwrap(), 2);
    let left: Vec<_> = dead(&queue).await.into_iter().map(|letter| letter.id).collect();
    assert_eq!(left, ids(&sent[2..]));
    assert_eq!(queue.drop_dead_letters(&ids(&sent[..2])).await.unwrap(), 0);
    assert_eq!(queue.drop_dead_letters(&[]).await.unwrap(), 2);
    assert_eq!(dead(&queue).await, []);
}

pub(crate) async fn closing_ends_consumers_and_refuses_work(queue: Shared) {
    declared(&queue).await;
    queue.healthy().await.unwrap();
    let mut waiting = consumer(&queue, Lane::Sync).await;
    let waiting = tokio::spawn(async move { waiting.next().await.is_none() });
    tokio::task::yield_now().await;
    queue.close().await;
    assert!(patiently("the consumer's end", waiting).await.unwrap());
    assert!(matches!(queue.healthy().await, Err(QueueError::Unreachable { .. })));
    assert!(matches!(queue.publish(&tasks(Lane::Sync, 1), None).await, Err(QueueError::Unreachable { .. })));
    assert!(queue.consume(&source(Lane::Sync)).await.is_err());
}
