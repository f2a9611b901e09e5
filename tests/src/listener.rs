//! Plain HTTP questions to a role that runs on this machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// An answer takes no longer, or there is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Where a role listens.
#[derive(Debug)]
pub struct Listener {
    port: u16,
}

impl Listener {
    /// On this port of loopback.
    pub fn new(port: u16) -> Self {
        Self { port }
    }

    /// As `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Status and body; 0 and nothing while nobody answers.
    pub fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        self.ask(path, token).unwrap_or_default()
    }

    fn ask(&self, path: &str, token: Option<&str>) -> Option<(u16, String)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
        let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        // HTTP/1.0: the body comes whole and ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{bearer}\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}
