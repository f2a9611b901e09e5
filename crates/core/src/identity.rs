//! Names and ids, parsed at the door: inner code cannot hold an invalid one, and ours ([`ResourceId`])
//! cannot be swapped with theirs ([`RemoteId`]).

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id or name that cannot be accepted, with the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} `{value}`: {rule}")]
pub struct InvalidIdentity {
    /// What was being read: `resource id`, `provider name`, ….
    pub what: &'static str,
    /// The refused text, cut to 80 characters.
    pub value: String,
    /// What would have been accepted.
    pub rule: &'static str,
}

fn refuse(what: &'static str, value: &str, rule: &'static str) -> InvalidIdentity {
    InvalidIdentity { what, value: value.chars().take(80).collect(), rule }
}

macro_rules! text_identity {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Accepts `value` if it keeps the rule of this type.
            pub fn parse(value: impl Into<String>) -> Result<Self, InvalidIdentity> {
                let value = value.into();
                let accept: fn(&str) -> bool = $check;
                if accept(&value) { Ok(Self(value)) } else { Err(refuse($what, &value, $rule)) }
            }

            /// The text as it was accepted.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdentity;
            fn try_from(value: String) -> Result<Self, InvalidIdentity> {
                Self::parse(value)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidIdentity;
            fn from_str(value: &str) -> Result<Self, InvalidIdentity> {
                Self::parse(value)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_identity!(
    /// Our id of a directory resource: 1 to 128 visible ASCII characters without `/`, so that it can
    /// stand in a URL path and in a task message.
    ResourceId,
    "resource id",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'),
    "1 to 128 visible ASCII characters without `/`"
);

text_identity!(
    /// A service provider's id of a resource (RFC 7643 §3.1 `id`): opaque, never empty, at most 1,024
    /// bytes (the longest seen in the field is a distinguished name).
    RemoteId,
    "remote id",
    |text| (1..=1024).contains(&text.len()) && !text.contains('\0'),
    "1 to 1,024 bytes without U+0000"
);

text_identity!(
    /// The name that an operator gives to a provider: lower case letters, digits and `-`, at most 63,
    /// because it is part of queue names and metric labels.
    ProviderName,
    "provider name",
    |text| (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
    "lower case letters, digits and `-`, at most 63"
);

macro_rules! uuid_identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_identity!(
    /// The key of a provider in the database; it survives a rename.
    ProviderId
);
uuid_identity!(
    /// The id of one run.
    RunId
);
uuid_identity!(
    /// The id of one task; also the AMQP `message-id`.
    TaskId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_checked_at_the_door() {
        for good in ["acme", "a-1", "0"] {
            assert!(ProviderName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Acme", "a_b", "a.b", &"x".repeat(64)] {
            assert!(ProviderName::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", "a/b", "a b", "ä", &"x".repeat(129)] {
            assert!(ResourceId::parse(bad).is_err(), "{bad}");
        }
        assert!(RemoteId::parse("uid=anna,ou=people").is_ok());
        assert!(RemoteId::parse("a\0b").is_err());
    }

    #[test]
    fn a_refusal_names_the_rule() {
        let error = ProviderName::parse("Acme Corp").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid provider name `Acme Corp`: lower case letters, digits and `-`, at most 63"
        );
    }
}
