#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| scimfleet_fuzz::patch_paths(text));
