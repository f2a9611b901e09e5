//! The worker against the testkit's service provider. What was sent is counted by the provider's journal.

mod bulk;
mod drift;
mod support;
