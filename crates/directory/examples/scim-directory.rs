//! The directory's SCIM endpoint alone on a port, for third-party test suites:
//! `scim-directory DATABASE_URL PORT TOKEN`. It prints its base URL and runs until it is ended.

use std::process::ExitCode;

use scimfleet_directory::server::{BASE_PATH, ServerState, router};
use scimfleet_store::{Store, StoreOptions};
use secrecy::SecretString;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, port, token] = arguments.as_slice() else {
        eprintln!("usage: scim-directory DATABASE_URL PORT TOKEN");
        return ExitCode::from(2);
    };
    match serve(url, port, token).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("could not serve the directory: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(url: &str, port: &str, token: &str) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::connect(&StoreOptions::new(url), None).await?;
    store.migrate().await?;
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}{BASE_PATH}", listener.local_addr()?);
    let state = ServerState::new(store, Some(SecretString::from(token.to_owned())));
    axum::serve(listener, router(state)).await?;
    Ok(())
}
