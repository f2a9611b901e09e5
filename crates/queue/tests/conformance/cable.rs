//! A way to the broker that can be cut.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::amqp_url;

pub(crate) struct Cable {
    pub(crate) url: String,
    plugged: watch::Sender<bool>,
}

impl Cable {
    pub(crate) async fn lay() -> Self {
        let url = amqp_url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let (user, address) = rest.rsplit_once('@').map_or(("", rest), |(user, address)| (user, address));
        let (target, vhost) = address.split_once('/').map_or((address, ""), |(target, vhost)| (target, vhost));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let (plugged, state) = watch::channel(true);
        let credentials = if user.is_empty() { String::new() } else { format!("{user}@") };
        let path = if vhost.is_empty() { String::new() } else { format!("/{vhost}") };
        tokio::spawn(serve(listener, target.to_owned(), state));
        Self { url: format!("{scheme}://{credentials}{own}{path}"), plugged }
    }

    pub(crate) fn cut(&self) {
        self.plugged.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.plugged.send_replace(true);
    }
}

async fn serve(listener: TcpListener, target: String, state: watch::Receiver<bool>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(carry(stream, target.clone(), state.clone()));
    }
}

/// While the cable is cut, connections end at once, and those that come are dropped.
async fn carry(mut stream: TcpStream, target: String, mut plugged: watch::Receiver<bool>) {
    if !*plugged.borrow_and_update() {
        return;
    }
    let mut server = TcpStream::connect(target).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut server) => {}
        _ = plugged.wait_for(|plugged| !plugged) => {}
    }
}
