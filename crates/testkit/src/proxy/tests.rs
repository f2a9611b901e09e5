use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(80);

/// Sends everything back.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.split();
                let _ = tokio::io::copy(&mut reads, &mut writes).await;
            });
        }
    });
    address
}

async fn proxy() -> Proxy {
    Proxy::start(echo().await).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Sends `text` and reads as much back.
async fn ask(stream: &mut TcpStream, text: &str) -> io::Result<String> {
    let exchange = async {
        stream.write_all(text.as_bytes()).await?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await?;
        Ok(String::from_utf8(back).unwrap())
    };
    tokio::time::timeout(DEADLINE, exchange).await.expect("an answer or an end in time")
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    stream.write_all(b"x").await.unwrap();
    tokio::time::timeout(SHORT, stream.read(&mut [0; 8])).await.is_err()
}

#[tokio::test]
async fn bytes_pass_and_goodbyes_too() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    assert_eq!(ask(&mut stream, "hello").await.unwrap(), "hello");
    let large = "x".repeat(100_000);
    assert_eq!(ask(&mut stream, &large).await.unwrap(), large);
    stream.shutdown().await.unwrap();
    assert_eq!(tokio::time::timeout(DEADLINE, stream.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn down_refuses_and_cuts_and_comes_back_on_the_same_port() {
    let proxy = proxy().await;
    let mut open = connect(&proxy).await;
    ask(&mut open, "a").await.unwrap();
    for _ in 0..3 {
        proxy.set(Mode::Down).await;
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(ask(&mut open, "b").await.is_err());
        proxy.set(Mode::Pass).await;
        open = connect(&proxy).await;
        assert_eq!(ask(&mut open, "c").await.unwrap(), "c");
    }
}

#[tokio::test]
async fn reset_cuts_new_and_open_connections() {
    let proxy = proxy().await;
    let mut open = connect(&proxy).await;
    ask(&mut open, "a").await.unwrap();
    proxy.set(Mode::Reset).await;
    assert_eq!(
        tokio::time::timeout(DEADLINE, open.read(&mut [0; 8])).await.unwrap().unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    let mut new = connect(&proxy).await;
    assert!(ask(&mut new, "b").await.is_err());
}

#[tokio::test]
async fn a_black_hole_swallows_and_gives_back_when_it_ends() {
    let proxy = proxy().await;
    let mut open = connect(&proxy).await;
    ask(&mut open, "a").await.unwrap();
    proxy.set(Mode::BlackHole).await;
    assert!(is_silent(&mut open).await);
    let mut new = connect(&proxy).await;
    assert!(is_silent(&mut new).await);
    proxy.set(Mode::Pass).await;
    let mut byte = [0];
    tokio::time::timeout(DEADLINE, open.read_exact(&mut byte)).await.unwrap().unwrap();
    assert_eq!(&byte, b"x");
}

#[tokio::test]
async fn latency_holds_back() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Mode::Latency(SHORT)).await;
    let start = Instant::now();
    assert_eq!(ask(&mut stream, "a").await.unwrap(), "a");
    assert!(start.elapsed() >= 2 * SHORT, "there and back");
}

#[tokio::test]
async fn a_slow_close_withholds_the_answer() {
    let proxy = proxy().await;
    proxy.set(Mode::SlowClose(SHORT)).await;
    let mut stream = connect(&proxy).await;
    let start = Instant::now();
    assert!(ask(&mut stream, "a").await.is_err());
    assert!(start.elapsed() >= SHORT / 2);
}

#[tokio::test]
async fn answers_trickle() {
    let proxy = proxy().await;
    proxy.set(Mode::Trickle { bytes: 1, every: SHORT / 4 }).await;
    let mut stream = connect(&proxy).await;
    let start = Instant::now();
    assert_eq!(ask(&mut stream, "abcd").await.unwrap(), "abcd");
    assert!(start.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_connection_is_cut_within_an_answer() {
    let proxy = proxy().await;
    proxy.set(Mode::CutAfter(3)).await;
    let mut stream = connect(&proxy).await;
    assert!(ask(&mut stream, "abcdef").await.is_err());
    let mut stream = connect(&proxy).await;
    assert_eq!(ask(&mut stream, "ab").await.unwrap(), "ab");
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::start(gone).await.unwrap();
    let mut stream = connect(&proxy).await;
    assert!(ask(&mut stream, "a").await.is_err());
}

#[tokio::test]
async fn it_ends_when_it_is_dropped() {
    let proxy = proxy().await;
    let (address, mut open) = (proxy.address(), connect(&proxy).await);
    ask(&mut open, "a").await.unwrap();
    drop(proxy);
    let end = tokio::time::timeout(DEADLINE, open.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(DEADLINE, refused).await.expect("nobody listens any more");
}
