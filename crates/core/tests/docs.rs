//! The page about targets names every profile and every switch, with its default.

use scimfleet_core::profile::{Profile, curated};

#[test]
fn the_page_about_targets_is_complete() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/targets.md")).unwrap();
    for profile in curated::all() {
        let row = format!("| `{}` | {} |", profile.name, profile.about);
        assert!(page.contains(&row), "docs/targets.md lacks: {row}");
        let line = page.lines().find(|line| line.starts_with(&row)).unwrap();
        for word in profile.hosts.iter().chain(profile.switches.keys()) {
            assert!(line.contains(&format!("`{word}`")), "docs/targets.md: `{word}` of `{}`", profile.name);
        }
    }
    let defaults = serde_json::to_value(Profile::default()).unwrap();
    for (switch, default) in defaults.as_object().unwrap() {
        let line = page.lines().find(|line| line.starts_with(&format!("| `{switch}` |")));
        let line = line.unwrap_or_else(|| panic!("docs/targets.md lacks the switch `{switch}`"));
        assert!(line.contains(&format!("| `{default}` |")), "docs/targets.md: the default of `{switch}` is {default}");
    }
}
