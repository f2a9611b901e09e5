//! A selection of seeds of each family, that a seed is the same play each time, and that damage is seen.

use scimfleet_simulation::network::Defect;
use scimfleet_simulation::script::{Family, Script};
use scimfleet_simulation::{perform, play};

/// As many as take a few seconds in an unoptimised build; `make simulate` plays more.
const EVERYTHING: u64 = 24;
const WAITS: u64 = 40;

fn assert_well(family: Family, seeds: u64) {
    let all = (1..=seeds).map(|seed| (seed, play(seed, family, false).found));
    let failed: Vec<_> = all.filter(|(_, found)| !found.is_empty()).collect();
    assert!(failed.is_empty(), "play one again with `--seed N`, family {family:?}: {failed:#?}");
}

#[test]
fn everything_ends_well() {
    assert_well(Family::Everything, EVERYTHING);
}

#[test]
fn nobody_waits_for_ever() {
    assert_well(Family::Waits, WAITS);
}

/// Seeds that showed something once.
#[test]
fn what_was_red_stays_mended() {
    let once = [77, 664, 20742, 30653, 31009, 31853, 31986, 32623, 32708, 33311, 33374, 40344, 40979, 40997, 41871];
    let all = once.map(|seed| (seed, play(seed, Family::Everything, false).found));
    let failed: Vec<_> = all.into_iter().filter(|(_, found)| !found.is_empty()).collect();
    assert!(failed.is_empty(), "play one again with `--seed N`: {failed:#?}");
}

#[test]
fn a_seed_is_the_same_play_each_time() {
    for family in [Family::Everything, Family::Waits] {
        for seed in [3, 71, 110] {
            let (first, second) = (play(seed, family, true), play(seed, family, true));
            assert!(first.trace.len() > 20, "{family:?} {seed}: {} lines", first.trace.len());
            let differs = first.trace.iter().zip(&second.trace).find(|(one, other)| one != other);
            assert_eq!(differs, None, "{family:?} {seed}");
            assert_eq!(first, second);
        }
    }
}

/// Something wrong on purpose is seen by a seed that ends well without it.
#[test]
fn each_defect_turns_a_seed_red() {
    for defect in [Defect::PatchesInVain, Defect::PostsTwice, Defect::DeletesInVain] {
        let red = (1..=EVERYTHING)
            .find(|seed| !perform(&Script::of(*seed, Family::Everything), *seed, Some(defect), false).found.is_empty());
        assert!(red.is_some(), "{defect:?} is seen by no seed up to {EVERYTHING}");
    }
}
