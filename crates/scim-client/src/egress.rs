//! Which addresses may be called. A base URL is typed by people and names are resolved by strangers, so
//! the check stands where the connection is made: in the resolver, and before literal addresses.
//! It never resolves a name itself to decide (a second look-up could give another answer).

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::carrier::Carried;

/// Which addresses inside may be called. Link-local, metadata, multicast and unspecified addresses are
/// refused whatever stands here.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// RFC 1918, RFC 6598 and unique local addresses.
    pub private: bool,
    /// This machine.
    pub loopback: bool,
    /// A proxy for every request. Its own host is trusted as configured, and names are then resolved by
    /// the proxy, which must keep the filter.
    pub proxy: Option<Url>,
    /// Takes every request in place of the network; `None` but in a simulation.
    pub carrier: Option<Carried>,
}

/// Why an address is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {address} is {what}; {hint}")]
pub struct Refusal {
    /// The address, or the host name when all its addresses were refused.
    pub address: String,
    /// What kind of address it is.
    pub what: &'static str,
    /// Whether a setting would allow it.
    pub hint: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Loopback,
    Never(&'static str),
}

impl Egress {
    /// Refuses `address` unless the settings allow it.
    ///
    /// # Errors
    /// With the setting that would allow it.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        let (what, hint) = match reach(address) {
            Reach::Public => return Ok(()),
            Reach::Private if self.private => return Ok(()),
            Reach::Loopback if self.loopback => return Ok(()),
            Reach::Private => ("a private address", "`[egress] private = true` would allow it"),
            Reach::Loopback => ("this machine", "`[egress] loopback = true` would allow it"),
            Reach::Never(what) => (what, "it is never called"),
        };
        Err(Refusal { address: address.to_string(), what, hint })
    }

    /// Refuses a URL whose host is a literal address that may not be called.
    pub(crate) fn check_literal(&self, url: &Url) -> Result<(), Refusal> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// What lies behind an address. IPv6 forms that carry an IPv4 address are judged by what they carry.
fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(embedded) => reach_v4(embedded),
            None => reach_v6(address),
        },
    }
}

/// Cloud metadata services outside the link-local ranges: Alibaba, Oracle (classic), Azure's host agent.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// The metadata service of Amazon EC2, and Google's.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [first, second, ..] = address.octets();
    if METADATA_V4.contains(&address) {
        return Reach::Never("a metadata service");
    }
    match (first, second) {
        (0, _) => Reach::Never("unspecified"),
        (127, _) => Reach::Loopback,
        (169, 254) => Reach::Never("link-local (metadata services live there)"),
        (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) | (198, 18..=19) => Reach::Private,
        (224.., _) => Reach::Never("multicast or reserved"),
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let first = address.segments()[0];
    if METADATA_V6.contains(&address) {
        return Reach::Never("a metadata service");
    }
    match first {
        _ if address.is_loopback() => Reach::Loopback,
        _ if address.is_unspecified() => Reach::Never("unspecified"),
        0xfe80..=0xfebf => Reach::Never("link-local"),
        0xfec0..=0xfeff | 0xfc00..=0xfdff => Reach::Private,
        0xff00..=0xffff => Reach::Never("multicast"),
        _ => Reach::Public,
    }
}

/// IPv4-mapped, IPv4-compatible, NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if address.is_loopback() || address.is_unspecified() {
        return None;
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    let (high, low) = match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => (g, h),
        (0x2002, ..) => (b, c),
        _ => return None,
    };
    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

/// Resolves names with the system's resolver and leaves out what may not be called.
pub(crate) struct FilteringResolver {
    egress: Egress,
}

impl FilteringResolver {
    pub(crate) fn new(egress: Egress) -> Self {
        Self { egress }
    }

    fn is_proxy(&self, host: &str) -> bool {
        self.egress.proxy.as_ref().and_then(Url::host_str).is_some_and(|proxy| proxy.eq_ignore_ascii_case(host))
    }
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.egress.clone();
        let trusted = self.is_proxy(name.as_str());
        Box::pin(async move {
            let host = name.as_str();
            // Port 0 is replaced by the connector with the URL's port.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let allowed = if trusted { found } else { keep_allowed(&egress, host, found)? };
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn keep_allowed(egress: &Egress, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refusal> {
    let mut refusal = None;
    let mut allowed = Vec::with_capacity(found.len());
    for address in found {
        match egress.check(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(reason) => refusal = Some(reason),
        }
    }
    match refusal {
        Some(reason) if allowed.is_empty() => {
            Err(Refusal { address: format!("{} of `{host}`", reason.address), ..reason })
        }
        _ => Ok(allowed),
    }
}

/// The refusal inside an error of the HTTP library, if that is what broke the request.
pub(crate) fn refusal_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Refusal> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(egress: &Egress, address: &str) -> bool {
        let url = Url::parse(&format!("https://{address}/scim")).unwrap();
        egress.check_literal(&url).is_ok()
    }

    const NEVER: &[&str] = &[
        "169.254.169.254",
        "169.254.0.1",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "[fe80::1]",
        "[febf::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[::ffff:0:169.254.169.254]",
        "0.0.0.0",
        "[::]",
        "255.255.255.255",
        "224.0.0.1",
        "[ff02::1]",
        "100.100.100.200",
        "168.63.129.16",
    ];
    const PRIVATE: &[&str] = &[
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "[fc00::1]",
        "[fd12::1]",
        "[::ffff:10.0.0.1]",
        "167772161",
        "[64:ff9b::a00:1]",
        "[fec0::1]",
    ];
    const LOOPBACK: &[&str] =
        &["127.0.0.1", "127.255.0.1", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]"];
    const PUBLIC: &[&str] = &["1.1.1.1", "172.32.0.1", "100.128.0.1", "[2606:4700::1111]", "[::ffff:1.1.1.1]"];

    #[test]
    fn addresses_are_refused_by_what_lies_behind_them() {
        let open = Egress { private: true, loopback: true, ..Egress::default() };
        let shut = Egress::default();
        let private = Egress { private: true, ..Egress::default() };
        for address in NEVER {
            assert!(!check(&open, address), "{address}");
        }
        for address in PRIVATE {
            assert!(check(&private, address) && !check(&shut, address), "{address}");
        }
        for address in LOOPBACK {
            assert!(check(&open, address) && !check(&private, address), "{address}");
        }
        for address in PUBLIC {
            assert!(check(&shut, address), "{address}");
        }
    }

    #[test]
    fn a_name_keeps_its_allowed_addresses_only() {
        let mixed = ["10.0.0.1:0", "1.1.1.1:0"].map(|text| text.parse().unwrap());
        assert_eq!(keep_allowed(&Egress::default(), "x", mixed.to_vec()).unwrap(), [mixed[1]]);
        let error = keep_allowed(&Egress::default(), "intern.example", vec![mixed[0]]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "address 10.0.0.1 of `intern.example` is a private address; `[egress] private = true` would allow it"
        );
    }
}
