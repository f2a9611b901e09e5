//! One small directory goes into the third-party servers of `tests/interop`, in each of their configurations:
//! the program there does it with the real binary, and reads everything back.

use scimfleet_tests::run_python;

#[test]
fn third_party_servers_hold_what_they_can() {
    let binary = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("scimfleet");
    assert!(binary.exists(), "{} is missing; run `cargo build --workspace` or `make test`", binary.display());
    println!("{}", run_python("tests/interop/matrix.py", &[&binary.display().to_string()]));
}
