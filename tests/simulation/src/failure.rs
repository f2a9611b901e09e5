//! What keeps a play from being played at all.

/// Anything: it is shown to a person, with the seed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A result that fails with words for people.
pub type Told<T> = Result<T, Failure>;
