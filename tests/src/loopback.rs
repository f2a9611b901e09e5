//! One HTTP/1.1 exchange with a server on loopback, by hand: what the stories ask a server must not go through
//! the client that they test.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// Sends one request and returns the JSON of the answer.
///
/// # Panics
/// When the server is not there, refuses, or answers without JSON.
pub(crate) fn exchange(url: &str, method: &str, token: &str, body: Option<&Value>) -> Value {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} is not on loopback"));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    let sent = TcpStream::connect(host).and_then(|mut stream| {
        stream.write_all(request.as_bytes())?;
        stream.read_to_end(&mut answer)
    });
    if let Err(error) = sent {
        panic!("{method} {url}: {error}");
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    assert!(head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')), "{method} {url}: {text}");
    // A chunked body has its lengths on lines of their own; JSON without line ends is the longest line.
    let body =
        if head.to_lowercase().contains("transfer-encoding: chunked") { dechunked(body) } else { body.to_owned() };
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{method} {url}: {error}: {body}"))
}

fn dechunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        if length == 0 || rest.len() < length {
            break;
        }
        out.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    out
}
