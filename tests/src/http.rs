//! As much HTTP as the stories need: a request with an answer, and a listener that takes what is posted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A peer that is silent for this long is broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status; 0 when nobody listens there yet.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Sends one request to a port of this machine.
///
/// # Panics
/// When what comes back is not HTTP.
pub fn request(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return Answer { status: 0, body: String::new() };
    };
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut answer = Vec::new();
    let exchanged = stream
        .set_read_timeout(Some(SILENCE_MAX))
        .and_then(|()| stream.write_all(text.as_bytes()))
        .and_then(|()| stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let Some(status) = status else { panic!("{method} {path}: {exchanged:?}: {answer}") };
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Answer { status, body }
}

/// Path and body of one request.
pub type Posted = (String, Vec<u8>);

/// Takes what is posted to it, and says 200 to everything.
#[derive(Debug)]
pub struct Receiver {
    /// Its port on loopback.
    pub port: u16,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    /// Listens in the background until the process ends.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn start() -> Self {
        let listener = match TcpListener::bind("127.0.0.1:0") {
            Ok(listener) => listener,
            Err(error) => panic!("no free port on loopback: {error}"),
        };
        let port = listener.local_addr().map_or(0, |address| address.port());
        let posted = Arc::new(Mutex::new(Vec::new()));
        let kept = posted.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || {
                    while let Some(one) = take(&stream) {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                    }
                });
            }
        });
        Self { port, posted }
    }

    /// Path and body of everything so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request of a connection that is kept open; `None` at its end.
fn take(mut stream: &TcpStream) -> Option<Posted> {
    let mut head = Vec::new();
    let mut byte = [0_u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1)?.to_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    Some((path, body))
}
