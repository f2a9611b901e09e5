use super::*;

#[test]
fn sizes_are_counted_to_the_byte() {
    let operation = |id: &str| BulkOperation {
        method: BulkMethod::Post,
        bulk_id: Some(id.to_owned()),
        version: None,
        path: "/Users".to_owned(),
        data: Some(json!({ "userName": id })),
    };
    let operations = vec![operation("a"), operation("b"), operation("c")];
    let sizes: Vec<usize> = operations.iter().map(bytes_of).collect();
    let whole = bytes_of(&BulkRequest { fail_on_errors: None, operations });
    let fits = |bytes: usize| Room { operations: 10, bytes }.fits(sizes.iter().copied());
    assert_eq!((fits(whole + 1), fits(whole - 1), fits(envelope_bytes())), (3, 2, 0));
    assert_eq!(Room { operations: 2, bytes: 10_000 }.fits(sizes.iter().copied()), 2);
}

#[tokio::test]
async fn nobody_is_waited_for_who_is_done() {
    let bulk = Bulk::new(Some(Room { operations: 10, bytes: 10_000 }));
    assert!(bulk.begin(3, HashSet::new()));
    let document = serde_json::Map::new();
    let call =
        || Call { kind: ResourceKind::User, account: None, content: Content::Create(&document, None), version: None };
    let (one, other) = (call(), call());
    let profile = Profile::default();
    let ids = ["a", "b"].map(|id| ResourceId::parse(id).unwrap());
    let offering = futures::future::join(bulk.submit(&ids[0], &one, &profile), bulk.submit(&ids[1], &other, &profile));
    let gathering = async {
        assert!(matches!(bulk.next(10), Next::Wait(Some(_))), "the third may still join");
        bulk.leave(&ids[0], None);
        let Next::Send(batch) = bulk.next(10) else { panic!("not sent") };
        assert_eq!(batch.len(), 2);
        for queued in batch {
            bulk.answer(queued, Submitted::Alone { requests: 0 });
        }
        assert!(matches!(bulk.next(10), Next::Wait(None)), "both are at work again");
    };
    futures::future::join(offering, gathering).await;
    bulk.leave(&ids[0], None);
    bulk.leave(&ids[1], None);
    assert!(matches!(bulk.next(10), Next::Done));
}
