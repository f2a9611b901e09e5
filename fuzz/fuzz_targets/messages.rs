//! Messages from the broker: tasks and jobs, also from other programs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scimfleet_core::task::{Job, Task};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(task) = Task::decode(bytes) {
        assert_eq!(Task::decode(&task.encode()).ok(), Some(task));
    }
    if let Ok(job) = Job::decode(bytes) {
        assert_eq!(Job::decode(&job.encode()).ok(), Some(job));
    }
});
