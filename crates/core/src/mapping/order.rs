//! The order in which mappings run: by their names, byte by byte, so that `10-…` comes before `50-…`
//! and the same set of mappings gives the same result wherever it runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::InvalidIdentity;

/// The longest name of a mapping, in bytes: it stands in tables, messages and a database index.
pub const NAME_LENGTH_MAX: usize = 255;

/// The name of a mapping; it orders the mapping among the others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MappingName(String);

impl MappingName {
    /// Accepts 1 to [`NAME_LENGTH_MAX`] bytes without control characters or blanks at the ends.
    pub fn parse(name: impl Into<String>) -> Result<Self, InvalidIdentity> {
        let name = name.into();
        let fits =
            (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.trim() == name && !name.contains(char::is_control);
        if fits {
            return Ok(Self(name));
        }
        let rule = "1 to 255 bytes without control characters, no blank at either end";
        Err(InvalidIdentity { what: "mapping name", value: name.chars().take(80).collect(), rule })
    }

    /// The name as it was accepted.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MappingName {
    type Error = InvalidIdentity;

    fn try_from(name: String) -> Result<Self, InvalidIdentity> {
        Self::parse(name)
    }
}

impl std::str::FromStr for MappingName {
    type Err = InvalidIdentity;

    fn from_str(name: &str) -> Result<Self, InvalidIdentity> {
        Self::parse(name)
    }
}

impl From<MappingName> for String {
    fn from(name: MappingName) -> Self {
        name.0
    }
}

impl fmt::Display for MappingName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl AsRef<str> for MappingName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Sorts by name; what has the same name keeps its order.
pub fn sort_by_name<T>(mappings: &mut [(MappingName, T)]) {
    mappings.sort_by(|(one, _), (other, _)| one.cmp(other));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_bytes() {
        let sorted = |names: &[&str]| {
            let mut mappings: Vec<_> = names.iter().map(|name| (MappingName::parse(*name).unwrap(), ())).collect();
            sort_by_name(&mut mappings);
            mappings.into_iter().map(|(name, ())| String::from(name)).collect::<Vec<_>>()
        };
        assert_eq!(sorted(&["50-b", "10-a", "100-c"]), ["10-a", "100-c", "50-b"]);
        assert_eq!(sorted(&["a", "B", "ä", "z", "_"]), ["B", "_", "a", "z", "ä"]);
    }

    #[test]
    fn names_are_checked_at_the_door() {
        for good in ["a", "authentik default SCIM Mapping: User", "größe", &"x".repeat(255)] {
            assert!(MappingName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a\nb", "a\0", &"x".repeat(256)] {
            assert!(MappingName::parse(bad).is_err(), "{bad}");
        }
    }
}
