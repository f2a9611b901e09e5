//! Plays the product in virtual time: the real loops of scheduler and workers, the real store on SQLite, the
//! in-process queue, and service providers without a socket, in one thread with a clock that jumps from one wait to
//! the next. What happens follows from a seed: a seed that fails fails again.
//!
//! It never judges by what the product says of itself, and holds no rule of the product but what a directory in
//! scope maps to.

pub mod broker;
pub mod cast;
pub mod directory;
pub mod failure;
pub mod network;
pub mod oracle;
pub mod script;
pub mod stage;
pub mod trace;

use std::sync::Arc;

use crate::failure::Told;
use crate::network::Defect;
use crate::script::{Family, Script};
use crate::stage::Stage;
use crate::trace::Trace;

/// What a play came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// What is wrong, in words; empty when all is well.
    pub found: Vec<String>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Plays a seed to its end.
pub fn play(seed: u64, family: Family, traced: bool) -> Played {
    perform(&Script::of(seed, family), seed, None, traced)
}

/// Plays a script to its end, with something wrong on purpose if asked for; `seed` draws the faults.
pub fn perform(script: &Script, seed: u64, defect: Option<Defect>, traced: bool) -> Played {
    match in_virtual_time(script, seed, defect, traced) {
        Ok(played) => played,
        Err(error) => Played { found: vec![format!("could not be played: {error}")], trace: Vec::new() },
    }
}

fn in_virtual_time(script: &Script, seed: u64, defect: Option<Defect>, traced: bool) -> Told<Played> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let trace = Arc::new(Trace::new(traced));
        let outcome = async { Stage::new(script, seed, defect, trace.clone()).await?.play().await }.await;
        let found = outcome.unwrap_or_else(|error| vec![format!("broke off: {error}")]);
        Ok(Played { found, trace: trace.lines() })
    })
}
