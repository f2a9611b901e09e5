//! Defects on purpose, one at a time, to show that the fault suite sees them. They exist only with the feature
//! `planted`, which no default, no other crate and no release can have.

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("`planted` puts defects into the worker: it is for the fault suite, never for a release");

/// Names the defect: `ack-before-record`, `no-look-up` or `incomplete-is-absent`.
#[cfg(feature = "planted")]
const VARIABLE: &str = "PLANTED_DEFECT";

/// What may be wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A delivery is acknowledged before its outcome is recorded.
    AckBeforeRecord,
    /// A create is sent again without looking whether the first was applied.
    NoLookUp,
    /// What an incomplete listing lacks counts as gone.
    IncompleteIsAbsent,
}

/// Whether a defect is in force: never, in a build without the feature.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is_planted(_defect: Defect) -> bool {
    false
}

/// Whether a defect is in force.
#[cfg(feature = "planted")]
pub(crate) fn is_planted(defect: Defect) -> bool {
    let word = match defect {
        Defect::AckBeforeRecord => "ack-before-record",
        Defect::NoLookUp => "no-look-up",
        Defect::IncompleteIsAbsent => "incomplete-is-absent",
    };
    std::env::var(VARIABLE).is_ok_and(|planted| planted == word)
}
