//! What the operating system takes from a child: memory, files, core dumps.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Limits the address space to what is taken now and `memory_bytes` more, and forbids opening files and writing
/// core dumps, which would hold people's data.
pub(super) fn enter(memory_bytes: u64) -> io::Result<()> {
    if let Some(taken) = address_space_bytes() {
        limit(Resource::As, taken.saturating_add(memory_bytes))?;
    }
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    // Descriptors that are open stay usable; 0, 1 and 2 are.
    limit(Resource::Nofile, 3)
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

/// What `/proc` says; None where there is no `/proc`, and then no limit can be told from the binary's size.
fn address_space_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(pages.saturating_mul(u64::try_from(rustix::param::page_size()).ok()?))
}
