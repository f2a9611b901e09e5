//! A program that is nothing but an expression child, for the tests of this crate.

fn main() -> std::process::ExitCode {
    scimfleet_expression::child_main()
}
