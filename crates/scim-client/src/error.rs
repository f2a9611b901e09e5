//! What can come of a request that did not succeed. An error carries the decision: its retry class, and
//! whether the request may have been applied. It never carries a body, a query or a credential.

use std::time::Duration;

use scimfleet_core::ProviderName;
use scimfleet_core::retry::{Class, class_of_status};
use scimfleet_core::scim::message::ScimType;

use crate::egress::Refusal;

/// Whether the provider may have done what it was asked to, although it did not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Certainly not: the request never left, or it changes nothing.
    No,
    /// Look before writing again.
    Maybe,
}

/// Which request it was: for people, and safe to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The provider's name.
    pub provider: ProviderName,
    /// The HTTP method.
    pub method: &'static str,
    /// The path below the base URL, without the query.
    pub path: String,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} at `{}`", self.method, self.path, self.provider)
    }
}

impl Asked {
    fn writes(&self) -> bool {
        self.method != "GET"
    }

    /// For an error, which is kept small.
    pub(crate) fn boxed(&self) -> Box<Self> {
        Box::new(self.clone())
    }

    /// What may have happened to a request that left but was not understood.
    pub(crate) fn applied(&self) -> Applied {
        if self.writes() { Applied::Maybe } else { Applied::No }
    }
}

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ScimError {
    /// The provider answered, and the answer is no.
    #[error("{asked}: provider answered {status}{}", Words(scim_type.as_ref(), detail.as_deref(), *scim_body))]
    Refused {
        /// The request.
        asked: Box<Asked>,
        /// The HTTP status, or the one inside an error that came with a 200.
        status: u16,
        /// RFC 7644 §3.12, table 9.
        scim_type: Option<ScimType>,
        /// The provider's own words: cut, without control characters and without what we know to be secret.
        detail: Option<String>,
        /// `Retry-After` as it was asked for; clamping it is the caller's.
        retry_after: Option<Duration>,
        /// Whether the body was a SCIM error. A gateway's 404 is not, and proves nothing (R30).
        scim_body: bool,
    },
    /// No answer.
    #[error("{asked}: no answer ({reason})")]
    Unreachable {
        /// The request.
        asked: Box<Asked>,
        /// Whether it may have been applied.
        applied: Applied,
        /// The library's words, without the URL.
        reason: String,
        /// What the library said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A success whose body is not what SCIM says.
    #[error("{asked}: provider answered {status} with {reason}; is the base URL right?")]
    Malformed {
        /// The request.
        asked: Box<Asked>,
        /// The HTTP status.
        status: u16,
        /// What is wrong with the body.
        reason: String,
        /// Whether it may have been applied.
        applied: Applied,
    },
    /// More than we are willing to hold.
    #[error("{asked}: provider answered {status} with more than {limit} {unit}")]
    TooLarge {
        /// The request.
        asked: Box<Asked>,
        /// The HTTP status.
        status: u16,
        /// The limit that was passed.
        limit: usize,
        /// `bytes`, `JSON levels` or `JSON values`.
        unit: &'static str,
        /// Whether it may have been applied.
        applied: Applied,
    },
    /// A redirect. It is never followed: the token would go to a host that nobody configured.
    #[error("{asked}: provider answered {status}, a redirect{}; put the final address into `base_url`", to_host(location.as_deref()))]
    Redirected {
        /// The request.
        asked: Box<Asked>,
        /// The HTTP status.
        status: u16,
        /// Scheme, host and path that it pointed to, without the query.
        location: Option<String>,
    },
    /// The address may not be called.
    #[error("{asked}: not sent, {refusal}")]
    Egress {
        /// The request.
        asked: Box<Asked>,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// No token to send the request with.
    #[error("{asked}: not sent, no token was granted: {reason}")]
    Token {
        /// The request.
        asked: Box<Asked>,
        /// The HTTP status of the token endpoint, if it answered.
        status: Option<u16>,
        /// The token endpoint's `Retry-After`.
        retry_after: Option<Duration>,
        /// What it said, or why it said nothing.
        reason: String,
    },
    /// A request that cannot be put into HTTP.
    #[error("{asked}: not sent, {reason}")]
    Unsendable {
        /// The request.
        asked: Box<Asked>,
        /// What is wrong with it.
        reason: String,
    },
}

/// Renders what a provider said behind its status.
struct Words<'a>(Option<&'a ScimType>, Option<&'a str>, bool);

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(scim_type) = self.0 {
            write!(out, " ({scim_type})")?;
        }
        match self.1 {
            Some(detail) => write!(out, ": {detail}"),
            None if !self.2 => out.write_str(" without a SCIM error"),
            None => Ok(()),
        }
    }
}

fn to_host(location: Option<&str>) -> String {
    location.map(|location| format!(" to {location}")).unwrap_or_default()
}

impl ScimError {
    /// What the failure means, by the table of retry classes.
    pub fn class(&self) -> Class {
        match self {
            // RFC 7644 §3.12 wants 409 here; not every provider knows.
            Self::Refused { status: 400 | 409 | 422, scim_type: Some(ScimType::Uniqueness), .. } => Class::Conflict,
            Self::Refused { status, .. } => class_of_status(*status),
            Self::Unsendable { .. } => Class::Permanent,
            Self::Token { status: Some(400 | 401 | 403), .. } => Class::Credentials,
            Self::Token { status: Some(429), .. } => Class::Throttled,
            _ if self.may_have_been_applied() => Class::Unknown,
            // A redirect, a refused address or an odd page say something about the provider, not the object.
            _ => Class::Transient,
        }
    }

    /// Whether the object must be looked up before it is written again.
    ///
    /// 5xx (but 501 and 505) and 408 count: a gateway answers so when the provider behind it took the
    /// request and then broke off, and some say 503 for that.
    pub fn may_have_been_applied(&self) -> bool {
        match self {
            Self::Refused { asked, status, .. } => asked.writes() && matches!(status, 408 | 500 | 502..=504 | 506..),
            Self::Redirected { asked, status, .. } => asked.writes() && *status == 303,
            Self::Unreachable { applied, .. } | Self::Malformed { applied, .. } | Self::TooLarge { applied, .. } => {
                *applied == Applied::Maybe
            }
            Self::Egress { .. } | Self::Token { .. } | Self::Unsendable { .. } => false,
        }
    }

    /// `Retry-After` as the provider sent it, not clamped.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Token { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The HTTP status, if the provider answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. }
            | Self::Malformed { status, .. }
            | Self::TooLarge { status, .. }
            | Self::Redirected { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::Egress { .. } | Self::Token { .. } | Self::Unsendable { .. } => None,
        }
    }

    /// A 404 that is a SCIM error, which R30 believes.
    pub fn is_believable_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, scim_body: true, .. })
    }

    /// The position of a listing is no longer known: start over (R15). RFC 9865 §2.1 names the scim types.
    pub fn is_cursor_lost(&self) -> bool {
        match self {
            Self::Refused { scim_type, .. } => {
                matches!(scim_type, Some(ScimType::ExpiredCursor | ScimType::InvalidCursor))
            }
            _ => false,
        }
    }
}
