//! The connection breaks and comes back; nobody has to do anything about it.

use scimfleet_core::ports::QueueError;
use scimfleet_core::task::{Lane, Task};

use crate::cable::Cable;
use crate::harness::{acme, depth_becomes, patiently, rabbit_at, receive, source, take, task, tasks};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_and_publishers_come_back_by_themselves() {
    let cable = Cable::lay().await;
    let bench = rabbit_at(&cable.url).await;
    let queue = bench.queue();
    queue.declare_provider(&acme()).await.unwrap();
    queue.publish(&tasks(Lane::Sync, 1), None).await.unwrap();
    let mut busy = queue.consume(&source(Lane::Sync)).await.unwrap();
    let mut idle = queue.consume(&source(Lane::Changes)).await.unwrap();
    let in_hand = receive(&mut busy).await;

    cable.cut();
    patiently("the outage", async { while queue.publish(&tasks(Lane::Changes, 1), None).await.is_ok() {} }).await;
    // Not acknowledged, whatever the worker believes (its connection may not have noticed yet): it comes again.
    let believed = in_hand.ack().await;
    assert!(matches!(believed, Ok(()) | Err(QueueError::Unreachable { .. })), "{believed:?}");
    patiently("the notice", async { while queue.healthy().await.is_ok() {} }).await;
    assert!(matches!(queue.healthy().await, Err(QueueError::Unreachable { .. })));

    cable.mend();
    let again = receive(&mut busy).await;
    assert!(again.redelivered);
    assert_eq!(Task::decode(&again.body).unwrap().objects, task(Lane::Sync, 0).objects);
    again.ack().await.unwrap();
    patiently("the publisher", async { while queue.publish(&tasks(Lane::Leavers, 1), None).await.is_err() {} }).await;
    queue.publish(&[task(Lane::Changes, 77)], None).await.unwrap();
    while take(&mut idle).await.objects != task(Lane::Changes, 77).objects {}
    queue.healthy().await.unwrap();
    bench.clean_up().await;
}

/// A queue that was deleted meanwhile ends its own consumer and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_deleted_during_an_outage_keeps_nobody_else_away() {
    let cable = Cable::lay().await;
    let behind = rabbit_at(&cable.url).await;
    let queue = behind.queue();
    queue.declare_provider(&acme()).await.unwrap();
    let mut doomed = queue.consume(&source(Lane::Sync)).await.unwrap();
    let mut other = queue.consume(&source(Lane::Changes)).await.unwrap();

    cable.cut();
    let (_connection, channel) = crate::harness::raw_channel().await;
    let name = format!("{}.acme.sync", behind.prefix);
    channel.queue_delete(name.as_str().into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    cable.mend();

    assert!(patiently("the end", doomed.next()).await.is_none());
    patiently("the publisher", async { while queue.publish(&tasks(Lane::Changes, 1), None).await.is_err() {} }).await;
    take(&mut other).await;
    depth_becomes(&*queue, Lane::Changes, 0).await;
    behind.clean_up().await;
}
