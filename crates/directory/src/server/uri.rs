//! The few things about URIs that a service provider needs: its own address, and ids as path segments.

use std::fmt::Write;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

/// The base URL as the client wrote it; behind a proxy, as the proxy says.
pub(super) fn base_url(parts: &Parts, base_path: &str) -> String {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = text("x-forwarded-proto").filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = forwarded.or_else(|| parts.uri.scheme_str()).unwrap_or("http");
    match text("x-forwarded-host").filter(|host| is_host(host)).or_else(|| host(&parts.headers)) {
        Some(host) => format!("{scheme}://{host}{base_path}"),
        None => match parts.uri.authority() {
            Some(authority) => format!("{scheme}://{authority}{base_path}"),
            None => base_path.to_owned(),
        },
    }
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|value| value.to_str().ok()).filter(|host| is_host(host))
}

/// A name or address with or without a port, and nothing that could begin a path.
fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
}

/// A path segment without its escapes; `None` when they are none.
pub(super) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// An id as a path segment (RFC 3986 §3.3).
pub(super) fn encode(id: &str) -> String {
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Writing into a text cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_travel_through_paths() {
        for id in ["0192-a", "a:b@c", "50%", "a?b#c", "\"<>"] {
            assert_eq!(decode(&encode(id)).as_deref(), Some(id));
        }
        assert_eq!((decode("%4"), decode("%zz"), decode("%ff")), (None, None, None));
        assert!(is_host("[::1]:8686") && is_host("acme.example") && !is_host("a/b") && !is_host(""));
    }
}
