//! The worker against the testkit's service provider. What was sent is counted by the provider's journal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bulk;
mod doubt;
mod drift;
mod fairness;
mod figures;
mod leavers;
mod members;
mod nested;
mod pacing;
mod passwords;
mod refusals;
mod support;
mod taking_over;
