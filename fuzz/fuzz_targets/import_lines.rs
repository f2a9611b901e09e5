//! Lines of an import file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = scimfleet_directory::import::check_line(bytes);
});
