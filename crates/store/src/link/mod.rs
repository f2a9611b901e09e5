//! Links: one object at one provider. Who may write (lease and fencing token), what was sent, what is
//! owed. Every statement serves a whole task.

pub(crate) mod claim;
pub(crate) mod names;
pub(crate) mod owed_members;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod relink;
pub(crate) mod take_over;
pub(crate) mod twin;
pub(crate) mod verdict;
pub(crate) mod waits;

/// Owes an object again: whoever works on it now is not the last one. `$3` is the time, which counts from when it
/// was first owed.
const MARK_AGAIN: &str = "dirty = 1, marked = marked + 1, marked_at = CASE WHEN dirty = 0 THEN $3 ELSE marked_at END, \
     queued_at = CASE WHEN dirty = 0 THEN NULL ELSE queued_at END";
/// What parked it may be over.
const PARKED_NO_MORE: &str = "park_reason = NULL, state = CASE WHEN state = 'parked' THEN 'pending' ELSE state END";
