//! What only RabbitMQ has: properties on the wire, the broker's own dead-lettering, its refusals.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, BasicRejectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use scimfleet_core::ProviderName;
use scimfleet_core::ports::{QueueError, Source};
use scimfleet_core::task::{Lane, OBJECTS_PER_TASK_MAX, Task};
use scimfleet_queue::{PROVIDER_HEADER, RUN_HEADER, connect};

use crate::harness::{acme, amqp_url, full_task, patiently, rabbit, raw_channel, receive, source, take, task, tasks};

async fn get(channel: &Channel, queue: &str) -> lapin::message::Delivery {
    patiently("a message", async {
        loop {
            if let Some(got) = channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap() {
                return got.delivery;
            }
        }
    })
    .await
}

fn text(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test]
async fn a_message_has_the_properties_of_the_contract() {
    let bench = rabbit().await;
    let queue = bench.queue();
    queue.declare_provider(&acme()).await.unwrap();
    let sent = full_task();
    queue.publish(std::slice::from_ref(&sent), Some("00-aa-bb-01")).await.unwrap();

    let (_connection, channel) = raw_channel().await;
    let delivery = get(&channel, &format!("{}.acme.sync", bench.prefix)).await;
    let properties = &delivery.properties;
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), sent.task.to_string());
    assert_eq!(text(properties, PROVIDER_HEADER).unwrap(), "acme");
    assert_eq!(text(properties, RUN_HEADER), sent.run.map(|run| run.to_string()));
    assert_eq!(text(properties, "traceparent").unwrap(), "00-aa-bb-01");
    assert!(Task::decode(&delivery.data).unwrap().objects.len() <= OBJECTS_PER_TASK_MAX);
    bench.clean_up().await;
}

/// Arguments can never change once a queue is there: an upgrade that declares others is refused by
/// every broker in use. The broker compares them for us.
#[tokio::test]
async fn the_arguments_of_queues_never_change() {
    let bench = rabbit().await;
    bench.queue().declare_provider(&acme()).await.unwrap();
    let prefix = &bench.prefix;
    let dead = format!("{prefix}.dead");
    let common = [("x-queue-type", "quorum"), ("x-overflow", "reject-publish")];
    let to_dead = [("x-dead-letter-exchange", dead.as_str()), ("x-dead-letter-strategy", "at-least-once")];
    let (_connection, channel) = raw_channel().await;
    for name in ["jobs", "acme.leavers", "acme.changes", "acme.sync", "dead"] {
        let mut arguments = FieldTable::default();
        for (key, value) in common.iter().chain(if name == "dead" { &[] } else { &to_dead[..] }) {
            arguments.insert((*key).into(), AMQPValue::LongString((*value).into()));
        }
        if name == "dead" {
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000_000_000));
        }
        let queue = format!("{prefix}.{name}");
        channel.queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    }
    bench.clean_up().await;
}

#[tokio::test]
async fn what_the_broker_dead_letters_has_the_brokers_reason() {
    let bench = rabbit().await;
    let queue = bench.queue();
    queue.declare_provider(&acme()).await.unwrap();
    let sent = task(Lane::Leavers, 1);
    queue.publish(std::slice::from_ref(&sent), None).await.unwrap();
    let (_connection, channel) = raw_channel().await;
    let delivery = get(&channel, &format!("{}.acme.leavers", bench.prefix)).await;
    delivery.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap();

    let letter = patiently("the dead letter", async {
        loop {
            if let Some(letter) = queue.dead_letters(1).await.unwrap().pop() {
                return letter;
            }
        }
    })
    .await;
    assert_eq!(letter.reason, "rejected");
    assert_eq!(letter.routing_key, "acme.leavers");
    assert_eq!(letter.id, sent.task.to_string());
    assert_eq!(queue.replay_dead_letters(&[letter.id]).await.unwrap(), 1);
    assert_eq!(take(&mut queue.consume(&source(Lane::Leavers)).await.unwrap()).await, sent);
    bench.clean_up().await;
}

/// Any AMQP client may publish jobs, with properties that we never set.
#[tokio::test]
async fn a_foreign_job_can_be_dead_lettered() {
    let bench = rabbit().await;
    let queue = bench.queue();
    let (_connection, channel) = raw_channel().await;
    let mut headers = FieldTable::default();
    headers.insert("CC".into(), AMQPValue::FieldArray(vec![AMQPValue::LongString("jobs".into())].into()));
    headers.insert("n".into(), AMQPValue::LongInt(1));
    let properties = BasicProperties::default().with_headers(headers).with_delivery_mode(1);
    let options = BasicPublishOptions::default();
    let exchange = bench.prefix.as_str().into();
    channel.basic_publish(exchange, "jobs".into(), options, b"\xff{", properties).await.unwrap();

    let mut jobs = queue.consume(&Source::Jobs).await.unwrap();
    receive(&mut jobs).await.dead_letter(&"long ".repeat(1000)).await.unwrap();
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].routing_key, "jobs");
    assert_eq!(letters[0].body, "\u{fffd}{");
    assert_eq!(letters[0].reason.len(), 500);
    assert_eq!(queue.drop_dead_letters(&[letters[0].id.clone()]).await.unwrap(), 1);
    bench.clean_up().await;
}

/// The broker gave it away in between: the work is done a second time, and nobody believes otherwise.
#[tokio::test]
async fn acknowledging_after_the_queue_is_gone_is_no_silent_success() {
    let bench = rabbit().await;
    let queue = bench.queue();
    queue.declare_provider(&acme()).await.unwrap();
    queue.publish(&tasks(Lane::Sync, 1), None).await.unwrap();
    let mut consumer = queue.consume(&source(Lane::Sync)).await.unwrap();
    let in_hand = receive(&mut consumer).await;
    queue.close().await;
    assert!(matches!(in_hand.ack().await, Err(QueueError::Unreachable { .. })));
    bench.clean_up().await;
}

#[tokio::test]
async fn a_consumer_ends_when_somebody_else_deletes_its_queue() {
    let bench = rabbit().await;
    let queue = bench.queue();
    queue.declare_provider(&acme()).await.unwrap();
    let mut consumer = queue.consume(&source(Lane::Sync)).await.unwrap();
    let (_connection, channel) = raw_channel().await;
    let name = format!("{}.acme.sync", bench.prefix);
    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    assert!(patiently("the end", consumer.next()).await.is_none());
    bench.clean_up().await;
}

/// A new provider is a new queue for every process at the same moment. Consuming from a quorum queue that another
/// process is just declaring costs the connection, and with it everybody else's consumers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_meet_a_new_provider_together_keep_their_connections() {
    const PROCESSES: usize = 4;
    const PROVIDERS: usize = 20;
    let bench = rabbit().await;
    let mut seats = tokio::task::JoinSet::new();
    for _ in 0..PROCESSES {
        let queue = std::sync::Arc::new(connect(&amqp_url(), &bench.prefix).await.unwrap());
        for (number, lane) in (0..PROVIDERS).flat_map(|number| Lane::ALL.iter().map(move |lane| (number, *lane))) {
            let (queue, provider) = (queue.clone(), ProviderName::parse(format!("new{number}")).unwrap());
            seats.spawn(async move {
                queue.declare_provider(&provider).await?;
                queue.consume(&Source::Tasks(provider, lane)).await.map(drop)
            });
        }
    }
    let mut failed = Vec::new();
    while let Some(seat) = seats.join_next().await {
        failed.extend(seat.unwrap().err().map(|error| error.to_string()));
    }
    for number in 0..PROVIDERS {
        bench.queue().delete_provider(&ProviderName::parse(format!("new{number}")).unwrap()).await.unwrap();
    }
    assert!(failed.is_empty(), "{} of {}: {}", failed.len(), PROCESSES * PROVIDERS * Lane::ALL.len(), failed[0]);
    bench.clean_up().await;
}

#[tokio::test]
async fn errors_do_not_show_credentials() {
    let url = amqp_url();
    let address = url.rsplit('@').next().unwrap().trim_start_matches("amqp://").to_owned();
    for url in [format!("amqp://canary:s3cret@{address}"), "amqp://canary:s3cret@127.0.0.1:1".to_owned()] {
        let error = connect(&url, "test").await.err().unwrap();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("canary"), "{shown}");
    }
}
