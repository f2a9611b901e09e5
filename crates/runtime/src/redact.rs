//! Addresses that may carry a password: they are shown without it.

use std::fmt;

/// The address of a service. `Display` and `Debug` hide passwords; [`ServiceUrl::expose`] does not.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// Takes the address as it is; reading a configuration checks it before.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole address, password included; for the client library only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands before `://`, in lower case.
    pub fn scheme(&self) -> String {
        self.0.split_once("://").map_or(self.0.as_str(), |(scheme, _)| scheme).to_ascii_lowercase()
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ServiceUrl({})", redact(&self.0))
    }
}

/// The address with `***` in place of a password, in the authority or in the query.
pub(crate) fn redact(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    // The last `@` of all, because an unescaped password may hold `/`, `?` or `@` itself.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((info, rest)) if info.contains(':') => (format!("{}:***@", before_colon(info)), rest),
        Some((info, rest)) => (format!("{info}@"), rest),
        None => (String::new(), rest),
    };
    let rest = match rest.split_once('?') {
        Some((path, query)) => format!("{path}?{}", query.split('&').map(redact_pair).collect::<Vec<_>>().join("&")),
        None => rest.to_owned(),
    };
    format!("{scheme}{user}{rest}")
}

fn before_colon(info: &str) -> &str {
    info.split_once(':').map_or(info, |(user, _)| user)
}

fn redact_pair(pair: &str) -> String {
    const SECRET: [&str; 4] = ["pass", "secret", "token", "key"];
    match pair.split_once('=') {
        Some((name, _)) if SECRET.iter().any(|word| name.to_ascii_lowercase().contains(word)) => format!("{name}=***"),
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let cases = [
            ("postgres://fleet:s3cret@db/fleet", "postgres://fleet:***@db/fleet"),
            ("redis://:s3cret@cache", "redis://:***@cache"),
            ("amqp://fleet:s3/cr@et@mq:5672/%2f?heartbeat=10", "amqp://fleet:***@mq:5672/%2f?heartbeat=10"),
            ("postgres://db/fleet?user=u&password=s3cret", "postgres://db/fleet?user=u&password=***"),
            ("sqlite://scimfleet.db", "sqlite://scimfleet.db"),
            ("amqp://fleet@mq", "amqp://fleet@mq"),
            ("memory://", "memory://"),
        ];
        for (text, shown) in cases {
            assert_eq!(ServiceUrl::new(text).to_string(), shown);
            assert_eq!(format!("{:?}", ServiceUrl::new(text)), format!("ServiceUrl({shown})"));
        }
    }
}
