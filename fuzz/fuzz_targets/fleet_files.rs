//! Fleet files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scimfleet_runtime::fleet::{Fleet, FleetContext};

fuzz_target!(|text: &str| {
    let _ = Fleet::parse("fleet.toml", text, &FleetContext::default());
});
