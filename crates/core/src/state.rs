//! One word for each state, the same in the database, the command line, metrics, logs and documents.
//! A state that is not listed here does not exist.

/// A word that is not one of the known states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{word}`")]
pub struct UnknownWord {
    /// The vocabulary that was asked.
    pub what: &'static str,
    /// The word.
    pub word: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every word, in the order of the documents.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands for this value everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::state::UnknownWord;
            fn from_str(word: &str) -> Result<Self, $crate::state::UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::state::UnknownWord { what: $what, word: word.to_owned() }),
                }
            }
        }
    };
}
pub(crate) use words;

words!(
    /// Whether a provider takes part in synchronisation.
    ProviderState, "provider state" {
        /// Takes full syncs, changes and leavers.
        Active = "active",
        /// Stopped by hand; everything is kept.
        Paused = "paused",
        /// The breaker is open: dead host, 5xx, credentials refused.
        Degraded = "degraded",
        /// Open for an hour or longer; probed ever more rarely.
        Quarantined = "quarantined",
        /// Off after 28 days of quarantine, or by hand.
        Disabled = "disabled",
    }
);

words!(
    /// Where a run stands. The five phases from `observing` to `clean-up` follow one another.
    RunState, "run state" {
        /// Waits for the run before it.
        Queued = "queued",
        /// Lists what the provider holds.
        Observing = "observing",
        /// Sends users.
        Users = "users",
        /// Sends groups.
        Groups = "groups",
        /// Sends references that were waiting (members, managers).
        References = "references",
        /// Takes away what left the scope.
        CleanUp = "clean-up",
        /// Done; parked objects do not change that.
        Completed = "completed",
        /// Ended by invalid data (`on_invalid = "stop"`).
        Stopped = "stopped",
        /// The run itself broke.
        Failed = "failed",
        /// Ended by hand.
        Cancelled = "cancelled",
        /// A scheduled run found another going, or the provider not active.
        Skipped = "skipped",
    }
);

impl RunState {
    /// The phase that follows this one when all its tasks are closed; `None` for what is not a phase.
    pub const fn next_phase(self) -> Option<Self> {
        match self {
            Self::Queued => Some(Self::Observing),
            Self::Observing => Some(Self::Users),
            Self::Users => Some(Self::Groups),
            Self::Groups => Some(Self::References),
            Self::References => Some(Self::CleanUp),
            Self::CleanUp => Some(Self::Completed),
            _ => None,
        }
    }

    /// Nothing follows.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Stopped | Self::Failed | Self::Cancelled | Self::Skipped)
    }
}

words!(
    /// The state of one object at one provider.
    LinkState, "link state" {
        /// Wanted, not yet sent.
        Pending = "pending",
        /// What we would send is what we sent.
        InSync = "in_sync",
        /// A transient failure; `due_at` says when it is tried again.
        Retrying = "retrying",
        /// Lacks something that is on its way (a member, a manager).
        Waiting = "waiting",
        /// Needs a change here or there before it is tried again.
        Parked = "parked",
        /// Its access is to be taken away.
        Leaving = "leaving",
        /// Out of scope, left alone by policy.
        Kept = "kept",
        /// Removed at the provider, confirmed.
        Gone = "gone",
    }
);

words!(
    /// Why an object is parked.
    ParkReason, "park reason" {
        /// The mapping failed or its result breaks the schema.
        Invalid = "invalid",
        /// The provider refused it for good.
        Refused = "refused",
        /// The account there belongs to somebody else, or more than one fits.
        Conflict = "conflict",
        /// Too many attempts.
        Exhausted = "exhausted",
        /// Sending it would risk an account that is not ours.
        Unsafe = "unsafe",
    }
);

words!(
    /// How an account at a provider came to be ours; decides what clean-up may delete.
    Ownership, "ownership" {
        /// We created it.
        Created = "created",
        /// It was there before us and we took it over.
        Adopted = "adopted",
    }
);

words!(
    /// What became of something that the guard withheld.
    HoldState, "hold state" {
        /// Waits for a person.
        Waiting = "waiting",
        /// May be executed.
        Approved = "approved",
        /// Will not be executed.
        Rejected = "rejected",
        /// Nobody decided within seven days.
        Expired = "expired",
    }
);
