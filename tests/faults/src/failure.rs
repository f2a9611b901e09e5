//! Why a scenario could not go on, in words.

/// Words for the table; made from any error by `?`.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// From words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What a step of a scenario returns.
pub type Told<T> = Result<T, Failure>;

/// A promise of the scenario that was broken ends it with these words.
///
/// # Errors
/// When it was broken.
pub fn ensure(holds: bool, words: impl FnOnce() -> String) -> Told<()> {
    if holds { Ok(()) } else { Err(Failure(words())) }
}
