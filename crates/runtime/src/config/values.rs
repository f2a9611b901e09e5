//! How the text of a setting becomes a value. A mistake is noted and the default stands in for it, so
//! that reading goes on; the default never escapes, because any mistake refuses the whole.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use super::layers::{Layers, Setting};
use crate::redact::ServiceUrl;
use crate::schedule::{SCHEDULE_HINT, Schedule, parse_duration};

/// The schemes that a service is reached by, and how an address looks.
#[derive(Clone, Copy)]
pub(super) struct Schemes {
    known: &'static [&'static str],
    hint: &'static str,
}

pub(super) const STORE: Schemes = Schemes {
    known: &["sqlite", "postgres", "postgresql"],
    hint: "write `sqlite://scimfleet.db` or `postgres://user:password@host/database`",
};
pub(super) const QUEUE: Schemes =
    Schemes { known: &["memory", "amqp", "amqps"], hint: "write `memory://` or `amqp://user:password@host:5672/%2f`" };
pub(super) const COORDINATION: Schemes =
    Schemes { known: &["memory", "redis", "rediss"], hint: "write `memory://` or `redis://host:6379`" };
pub(super) const PROXY: Schemes = Schemes { known: &["http", "https"], hint: "write `http://host:port`" };

pub(super) const OTLP: Schemes =
    Schemes { known: &["http", "https"], hint: "write `http://host:4318`, where a collector takes OTLP over HTTP" };

const LISTEN_HINT: &str = "write an address and a port such as `127.0.0.1:8686` or `[::]:8686`";
/// The guard counts what was taken away within the last hour; a day leaves room for clocks.
const DAY: Duration = Duration::from_secs(24 * 3600);
const PREFIX_RULE: &str = "1 to 32 letters, digits, `-` and `_`";

impl Layers {
    pub(super) fn url(&self, section: &'static str, key: &'static str, default: &str, schemes: Schemes) -> ServiceUrl {
        self.optional_url(section, key, schemes).unwrap_or_else(|| ServiceUrl::new(default))
    }

    pub(super) fn optional_url(
        &self,
        section: &'static str,
        key: &'static str,
        schemes: Schemes,
    ) -> Option<ServiceUrl> {
        let setting = self.setting(section, key)?;
        match check_url(setting.text.trim(), schemes) {
            Ok(url) => Some(url),
            Err(what) => {
                self.refuse(setting, what, schemes.hint);
                None
            }
        }
    }

    pub(super) fn prefix(&self, section: &'static str, key: &'static str, default: &str) -> String {
        let Some(setting) = self.setting(section, key) else { return default.to_owned() };
        let text = setting.text.as_str();
        // A dot would make `<prefix>.<provider>.<lane>` ambiguous.
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !fits {
            self.refuse(setting, format!("`{text}` is no name"), PREFIX_RULE);
        }
        text.to_owned()
    }

    pub(super) fn listen(&self, section: &'static str, key: &'static str, default: SocketAddr) -> SocketAddr {
        let Some(setting) = self.setting(section, key) else { return default };
        self.address(setting, LISTEN_HINT).unwrap_or(default)
    }

    pub(super) fn optional_listen(&self, section: &'static str, key: &'static str) -> Option<SocketAddr> {
        let setting = self.setting(section, key)?;
        if setting.text.trim() == "off" {
            return None;
        }
        self.address(setting, "write an address and a port such as `0.0.0.0:9464`, or `off`")
    }

    fn address(&self, setting: &Setting, hint: &str) -> Option<SocketAddr> {
        let text = setting.text.trim();
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        match numeric.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.refuse(setting, format!("`{text}` is no address to listen on"), hint);
                None
            }
        }
    }

    pub(super) fn schedule(&self, section: &'static str, key: &'static str, default: Duration) -> Schedule {
        let default = Schedule::Every(default);
        let Some(setting) = self.setting(section, key) else { return default };
        match setting.text.parse() {
            Ok(schedule) => schedule,
            Err(error) => {
                self.refuse(setting, format!("{error}"), SCHEDULE_HINT);
                default
            }
        }
    }

    /// How long something is kept: a duration of at least a day, or `off` for ever.
    pub(super) fn kept(&self, section: &'static str, key: &'static str, default: Duration) -> Option<Duration> {
        let Some(setting) = self.setting(section, key) else { return Some(default) };
        let text = setting.text.trim();
        if text == "off" {
            return None;
        }
        let kept = parse_duration(text).filter(|kept| *kept >= DAY);
        if kept.is_none() {
            self.refuse(setting, format!("`{text}` is no time of at least a day"), "such as `90d`, or `off` for ever");
        }
        kept
    }

    pub(super) fn flag(&self, section: &'static str, key: &'static str, default: bool) -> bool {
        let Some(setting) = self.setting(section, key) else { return default };
        match setting.text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.refuse(
                    setting,
                    format!("`{}` is neither true nor false", setting.text),
                    "write `true` or `false`",
                );
                default
            }
        }
    }

    pub(super) fn count(
        &self,
        section: &'static str,
        key: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> u32 {
        let Some(setting) = self.setting(section, key) else { return default };
        let found = setting.text.trim().parse().ok().filter(|count| range.contains(count));
        found.unwrap_or_else(|| {
            let hint = match key {
                "leavers_reserved" => {
                    format!("a number from {} to {}: fewer than `worker.tasks_in_flight`", range.start(), range.end())
                }
                _ => format!("a number from {} to {}", range.start(), range.end()),
            };
            self.refuse(setting, format!("`{}` is out of range", setting.text), &hint);
            default
        })
    }

    /// Words apart by commas.
    pub(super) fn words(&self, section: &'static str, key: &'static str) -> Vec<String> {
        let text = self.setting(section, key).map_or("", |setting| setting.text.as_str());
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    pub(super) fn path(&self, section: &'static str, key: &'static str, default: &str) -> PathBuf {
        PathBuf::from(self.setting(section, key).map_or(default, |setting| setting.text.as_str()))
    }

    /// A secret as it stands in the environment, without the line end that a file or a pipe leaves.
    pub(super) fn secret(&self, name: &str) -> Option<SecretString> {
        self.variable(name).map(|value| SecretString::from(value.trim()))
    }

    /// A secret that must be base64 of 32 bytes.
    pub(super) fn sealing_key(&self, name: &str) -> Option<SecretString> {
        let value = self.variable(name)?.trim();
        if STANDARD.decode(value).is_ok_and(|bytes| bytes.len() == 32) {
            return Some(SecretString::from(value));
        }
        self.refuse_variable(name, "is not 32 bytes in base64", "make one with `openssl rand -base64 32`");
        None
    }
}

/// Says what is wrong without repeating the address: it may hold a password.
fn check_url(text: &str, schemes: Schemes) -> Result<ServiceUrl, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("is no address: `://` is missing".to_owned());
    };
    let scheme = scheme.to_ascii_lowercase();
    if !schemes.known.contains(&scheme.as_str()) {
        return Err(format!("scheme `{scheme}` is not supported"));
    }
    match scheme.as_str() {
        "memory" => Ok(ServiceUrl::new("memory://")),
        "sqlite" if rest.is_empty() => Err("names no database file".to_owned()),
        "sqlite" => Ok(ServiceUrl::new(text)),
        _ => match url::Url::parse(text) {
            Ok(url) if url.has_host() && url.host_str() != Some("") => Ok(ServiceUrl::new(text)),
            Ok(_) => Err("names no host".to_owned()),
            Err(error) => Err(format!("is no address: {error}; special characters in a password are written as %XX")),
        },
    }
}
