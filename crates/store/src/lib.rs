//! The database: the one truth about what should exist, what was sent and what is owed.
//!
//! One code serves PostgreSQL and SQLite: the same SQL text, parameters of two types (64-bit integers
//! and text), whole tasks passed as one JSON parameter. This crate never speaks SCIM and never decides
//! what is sent; it keeps what others decided, in transactions.

mod clock;
mod connect;
mod console;
mod directory;
mod drift;
mod epoch;
mod error;
mod headers;
mod hold;
mod lease;
mod leavers;
mod link;
mod lock;
mod log;
mod lost;
mod migrate;
mod parked;
mod password;
mod pool;
mod provider;
mod relay;
mod remote;
mod run;
mod seal;
mod signal;
mod sql;
mod statistics;
mod token;
mod trace;
mod trail;

pub use connect::{Store, StoreOptions};
pub use console::{Glance, MinuteCount, RunCell};
pub use directory::group::{MemberRow, MembersRead, MembershipDelta};
pub use directory::import::{Absent, Imported, IncomingResource, Rejection};
pub use directory::joining::GroupsSet;
pub use directory::read::{GroupRow, ResourceRow};
pub use directory::reference::Referee;
pub use directory::search::{Compare, Condition, GroupMember, Selection, SortKey};
pub use directory::tombstone::TOMBSTONES_KEPT_MS;
pub use directory::write::{Edit, MemberEdit, NewResource, WriteError};
pub use drift::{Linked, ShownRow};
pub use epoch::Epoch;
pub use error::StoreError;
pub use hold::{HoldItem, HoldRow};
pub use lease::Lease;
pub use leavers::{Leaver, LeaverFigure, LeaverPlace};
pub use link::claim::ClaimedLink;
pub use link::owed_members::{DoubtedMember, OwedMember};
pub use link::read::{LinkCounts, LinkRow, Share};
pub use link::record::{LinkResult, MembershipChange, Recorded, Released, TaskRecord};
pub use link::relink::{LinkedAccount, Relink, ShownMember};
pub use link::take_over::TakenLink;
pub use link::verdict::{Verdict, Wanted};
pub use log::{LogEntry, LogRow};
pub use lost::UNBEGUN_MS;
pub use parked::{Parked, ParkedGroup};
pub use password::{DeliveredPassword, PASSWORD_KEPT_MS, Password, PendingPassword};
pub use provider::{MappingRemoval, MappingRow, ProviderChange, ProviderRow};
pub use relay::{OutboxRow, Owed};
pub use remote::{Candidate, Seen};
pub use run::read::{RunRow, RunTaskRow};
pub use run::task::{NewTask, TaskClose};
pub use run::{Counts, Opening, RunError, RunKind};
pub use seal::{Resealed, SealError, Sealer};
pub use signal::{Signal, Signals};
pub use token::{TokenRow, TokenScope};
pub use trace::traced;
pub use trail::{TrailFilter, TrailRow};
