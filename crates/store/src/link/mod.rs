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
