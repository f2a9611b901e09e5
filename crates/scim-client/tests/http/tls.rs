//! Certificates: checked by default, against further authorities where given, not at all where told.

use std::sync::Arc;

use scimfleet_core::ResourceKind::User;
use scimfleet_core::retry::Class;
use scimfleet_scim_client::{ScimClient, TlsOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use crate::server::{config, context, id};

/// A TLS server for `localhost` with a certificate of its own; gives the base URL and the certificate.
async fn start() -> (String, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://localhost:{}/scim", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate breaks off here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    (base, made.cert.pem().into_bytes())
}

#[tokio::test]
async fn a_certificate_is_trusted_only_for_a_reason() {
    let (base, pem) = start().await;
    let delete = |tls: TlsOptions| {
        let mut config = config(&base);
        config.tls = tls;
        let client = ScimClient::new(config).unwrap();
        async move { client.delete(User, &id("1"), None, &context()).await }
    };
    let error = delete(TlsOptions::default()).await.unwrap_err();
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Transient, false), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    delete(TlsOptions { ca_pem: Some(pem), ..TlsOptions::default() }).await.unwrap();
    delete(TlsOptions { verify: false, ..TlsOptions::default() }).await.unwrap();
}

#[tokio::test]
async fn authorities_that_are_no_pem_are_refused() {
    let mut config = config("https://localhost/scim");
    config.tls.ca_pem = Some(b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n".to_vec());
    let error = ScimClient::new(config).unwrap_err();
    assert!(error.to_string().starts_with("TLS for `acme`: "), "{error}");
}

/// A TLS server that demands a certificate of this authority.
async fn start_demanding(authority: &rcgen::CertifiedKey<rcgen::KeyPair>) -> (String, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(authority.cert.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://localhost:{}/scim", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    (base, made.cert.pem().into_bytes())
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_whoever_asks() {
    let ours = rcgen::generate_simple_self_signed(["scimfleet".to_owned()]).unwrap();
    let (base, ca_pem) = start_demanding(&ours).await;
    let pem = format!("{}{}", ours.cert.pem(), ours.signing_key.serialize_pem()).into_bytes();
    let with = |identity_pem: Option<Vec<u8>>| {
        let mut config = config(&base);
        config.tls = TlsOptions {
            ca_pem: Some(ca_pem.clone()),
            identity_pem: identity_pem.map(Into::into),
            ..TlsOptions::default()
        };
        ScimClient::new(config).unwrap()
    };
    with(Some(pem)).delete(User, &id("1"), None, &context()).await.unwrap();
    let error = with(None).delete(User, &id("1"), None, &context()).await.unwrap_err();
    assert!(matches!(error.class(), Class::Transient | Class::Unknown), "{error}");
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_without_its_text() {
    let mut config = config("https://localhost/scim");
    config.tls.identity_pem =
        Some(b"-----BEGIN PRIVATE KEY-----\ncanary-9\n-----END PRIVATE KEY-----\n".to_vec().into());
    let error = ScimClient::new(config).unwrap_err().to_string();
    assert!(error.starts_with("TLS for `acme`: the client certificate") && !error.contains("canary"), "{error}");
}
