use serde_json::{Value, json};

use super::*;

/// A provider as a function from the query's position to its answer.
fn walk(limits: &Limits, count: u64, mut answer: impl FnMut(&ListPosition) -> Value) -> (u64, u64, Listing) {
    let (mut position, mut delivered, mut requests) = (ListPosition::start(), Delivered::default(), 0);
    loop {
        requests += 1;
        let list = ListResponse::try_from(answer(&position)).unwrap();
        let page = Page::new(&position, list, count, limits, Some(&mut delivered));
        match (page.next, page.listing) {
            // Saved and read again, as another worker would.
            (Some(next), None) => position = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap(),
            (None, Some(listing)) => return (requests, delivered.count(), listing),
            odd => panic!("neither on nor at an end: {odd:?}"),
        }
    }
}

fn index(position: &ListPosition) -> usize {
    match position.at {
        At::Index(index) => usize::try_from(index).unwrap() - 1,
        At::Cursor(ref cursor) => cursor.parse().unwrap(),
    }
}

fn users(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(|number| json!({ "id": number.to_string() })).collect()
}

/// `size` users, at most `page` at once, `totalResults` by `total` from (size, delivered).
fn provider(size: usize, page: usize, total: fn(usize, usize) -> Option<usize>) -> impl Fn(&ListPosition) -> Value {
    move |position| {
        let start = index(position).min(size);
        let users = users(start..(start + page).min(size));
        let mut answer = json!({ "Resources": users });
        if let Some(total) = total(size, users.len()) {
            answer["totalResults"] = json!(total);
        }
        answer
    }
}

#[test]
fn honest_listings_are_complete_without_a_request_too_many() {
    // (size, page size of the provider, requests)
    for (size, page, requests) in [(0, 10, 1), (7, 10, 1), (10, 10, 2), (25, 10, 3), (20, 10, 2), (25, 4, 7)] {
        let outcome = walk(&Limits::default(), 10, provider(size, page, |size, _| Some(size)));
        let resources = size as u64;
        assert_eq!(outcome, (requests, resources, Listing::Complete { resources }), "{size} by {page}");
    }
}

#[test]
fn without_a_total_the_empty_page_ends_it() {
    let outcome = walk(&Limits::default(), 10, provider(25, 10, |_, _| None));
    assert_eq!(outcome, (4, 25, Listing::Complete { resources: 25 }));
    let (_, _, nothing) = walk(&Limits::default(), 10, provider(0, 10, |_, _| None));
    assert_eq!(nothing, Listing::Incomplete(Incompleteness::NoTotal { delivered: 0, repeated: 0 }));
}

#[test]
fn a_total_that_is_the_size_of_the_page_loses_nobody() {
    let outcome = walk(&Limits::default(), 10, provider(25, 10, |_, delivered| Some(delivered)));
    // The total falls on the way, so it proves nothing; but everybody was seen.
    assert_eq!(outcome, (4, 25, Listing::Incomplete(Incompleteness::Moved)));
}

#[test]
fn a_total_too_high_is_incomplete() {
    let outcome = walk(&Limits::default(), 10, provider(25, 10, |size, _| Some(size + 1)));
    assert_eq!(outcome, (4, 25, Listing::Incomplete(Incompleteness::Fewer { announced: 26, delivered: 25 })));
}

#[test]
fn an_ignored_start_index_ends_at_once() {
    for total in [Some(25), None, Some(10)] {
        let (requests, seen, listing) = walk(&Limits::default(), 10, |_| match total {
            Some(total) => json!({ "totalResults": total, "Resources": users(0..10) }),
            None => json!({ "Resources": users(0..10) }),
        });
        assert_eq!((requests, seen), (2, 10));
        assert_eq!(listing, Listing::Incomplete(Incompleteness::SamePage { delivered: 10 }));
    }
}

#[test]
fn a_resource_that_comes_twice_hides_one_that_did_not_come() {
    let mut page = 0;
    let (_, _, listing) = walk(&Limits::default(), 10, |_| {
        page += 1;
        let range = if page == 1 { 0..10 } else { 9..19 };
        json!({ "totalResults": 20, "Resources": users(range) })
    });
    assert_eq!(listing, Listing::Incomplete(Incompleteness::Fewer { announced: 20, delivered: 19 }));
}

#[test]
fn removals_and_unreadable_resources_are_noticed() {
    let mut total = 31;
    let (_, _, listing) = walk(&Limits::default(), 10, |position| {
        total -= 1;
        json!({ "totalResults": total, "Resources": users(index(position)..(index(position) + 10).min(30)) })
    });
    assert_eq!(listing, Listing::Incomplete(Incompleteness::Moved));
    for odd in [json!(7), json!({}), json!({"id": null})] {
        let (_, _, listing) = walk(&Limits::default(), 10, |_| json!({ "totalResults": 1, "Resources": [odd] }));
        assert_eq!(listing, Listing::Incomplete(Incompleteness::Unreadable { count: 1 }), "{odd}");
    }
}

#[test]
fn an_endless_listing_ends_at_the_cap() {
    let limits = Limits { listing_resources_max: 50, ..Limits::default() };
    let (requests, _, listing) = walk(
        &limits,
        10,
        |position| json!({ "totalResults": 1_000_000, "Resources": users(index(position)..index(position) + 10) }),
    );
    assert_eq!(requests, 5);
    assert_eq!(listing, Listing::Incomplete(Incompleteness::Endless { pages: 5, delivered: 50 }));
}

#[test]
fn cursors_are_followed_to_their_end() {
    let outcome = walk(&Limits::default(), 10, |position| {
        let start = index(position);
        let mut answer = json!({ "Resources": users(start..(start + 10).min(25)) });
        if start + 10 < 25 {
            answer["nextCursor"] = json!((start + 10).to_string());
        }
        answer
    });
    assert_eq!(outcome, (3, 25, Listing::Complete { resources: 25 }));
}

#[test]
fn cursors_without_resources_do_not_go_on_for_ever() {
    let (requests, _, listing) = walk(&Limits::default(), 10, |_| json!({ "Resources": [], "nextCursor": "0" }));
    assert_eq!(requests, EMPTY_PAGES_MAX + 1);
    assert!(matches!(listing, Listing::Incomplete(Incompleteness::Endless { .. })), "{listing:?}");
}

#[test]
fn a_saved_position_keeps_its_form() {
    let mut position = ListPosition::start();
    position.counted.total = Some(3);
    let text = serde_json::to_string(&position).unwrap();
    assert_eq!(
        text,
        r#"{"at":{"index":1},"counted":{"pages":0,"empty_pages":0,"delivered":0,"repeated":0,"unreadable":0,"total":3,"shrunk":false,"fingerprint":null}}"#
    );
    assert_eq!(
        serde_json::from_str::<ListPosition>(r#"{"at":{"cursor":""}}"#).unwrap(),
        ListPosition::start_by_cursor()
    );
}
