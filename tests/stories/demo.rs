//! The first thing that anybody sees.

use scimfleet_tests::Fleet;

#[test]
fn the_demo_fills_its_provider_and_ends() {
    let ran = Fleet::embedded().run(&["demo", "--once"]).expect(0);
    for words in ["1250 users and 40 groups", "1290 unchanged", "0 writes", "One leaver", "lane `leavers`"] {
        assert!(ran.stdout.contains(words), "`{words}` is missing:\n{}", ran.stdout);
    }
    let report = Fleet::embedded().run(&["demo", "--once", "--output", "json"]).expect(0);
    assert_eq!(report.json["v"], 1);
    assert_eq!((report.run()["state"].as_str(), report.count("created")), (Some("completed"), 1290));
    assert_eq!(report.run()["tasks"]["users"], 13);
}
