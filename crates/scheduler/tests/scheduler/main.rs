//! The scheduler as a whole, at a broker that tells what is published.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod leavers;
mod stage;
mod traces;
